"""Files and folders that appear whole or not at all.

A result is written under a hidden temporary name next to its final one, flushed to disk and
renamed. Both names lie on one file system, so that the rename is one step: whoever finds the file
finds all of it.
"""

import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")


def is_temporary(path: Path) -> bool:
    """Whether this is what a killed run left half-written: never a result, safe to delete."""
    return _TEMPORARY.fullmatch(path.name) is not None


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield the name to write to; it becomes `path`, replacing it, when the block ends well.

    The folder of `path` is made when it is missing. If the block raises, `path` stays as it was
    and nothing half-written is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(path)
    try:
        yield temporary
        # Without this a power cut after the rename may leave an empty file of the final name.
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; it becomes `path`, replacing it, when the block ends well.

    A folder cannot be renamed onto one that has files: the old one steps aside first and is
    deleted last.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, previous = _temporary_name(path), _temporary_name(path)
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            path.rename(previous)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(previous, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 text file, line ends as given."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
