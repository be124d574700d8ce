"""Checks whether an output file can be written, before a long computation."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from cmss.errors import InputError
from cmss.files.atomic import atomic_file


class _TrialError(Exception):
    """Raised to leave the `with` block, so that the temporary file is deleted, not renamed."""


def check_output_file(
    path: Path, option: str, suffix: str | None = None, inputs: Iterable[Path] = ()
) -> None:
    """Check that a file can be written.

    The check creates a file under a temporary name, and then deletes this file and all newly
    created folders. An existing file at `path` is not changed.

    Args:
        path: path of the file.
        option: name of the option that gave the path, for the message.
        suffix: required suffix in lower case, such as ".flac". The suffix of `path` may be in upper
            case.
        inputs: files that must not be replaced.

    Raises:
        InputError: the path has another suffix, is a folder, is not a regular file, is one of
            `inputs`, or has a parent that is a file.
        OSError: the file cannot be written, for example without permission or on a full disk.
    """
    where = f"{option} {path}" if option else str(path)
    if suffix and path.suffix.lower() != suffix:
        raise InputError(f"{where}: expected a name that ends in {suffix}")
    if path.is_dir() or not path.name:
        raise InputError(f"{where}: is a folder, expected the name of a file")
    if path.exists() and not path.is_file():
        raise InputError(f"{where}: exists and is not a regular file, expected another name")
    for given in inputs:
        if _same_file(path, given):
            raise InputError(f"{where}: would replace the input {given}, expected another name")
    missing = [folder for folder in path.parents if not folder.exists()]
    existing = path.parents[len(missing)]
    if not existing.is_dir():
        raise InputError(f"{where}: {existing} is a file, expected a folder")
    try:
        with suppress(_TrialError), atomic_file(path):
            raise _TrialError
    finally:
        for folder in missing:
            # Another process may have written to the folder, or the folder was not created.
            with suppress(OSError):
                folder.rmdir()


def _same_file(path: Path, other: Path) -> bool:
    if path.exists() and other.exists():
        return path.samefile(other)
    return path.resolve() == other.resolve()
