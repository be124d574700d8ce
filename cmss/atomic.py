"""Files and folders that appear whole or not at all, and work that one process does at a time.

A result is written under a hidden temporary name next to its final one, flushed to disk and
renamed. Both names lie on one file system, so that the rename is one step: whoever finds the file
finds all of it.

Whoever writes a temporary holds a lock on it (flock), which the system takes back when the process
ends, however it ends. So what is not locked was left behind and can go, whichever process on
whichever machine left it; on a file system without locks it stays.
"""

import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cmss.errors import InputError

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")


def is_temporary(path: Path) -> bool:
    """Whether this is what a killed run left half-written: never a result, safe to delete."""
    return _TEMPORARY.fullmatch(path.name) is not None


def _open(path: Path, flags: int = 0) -> int:
    # Network file systems lock only what is open for writing, which a folder cannot be.
    return os.open(path, flags | (os.O_RDONLY if path.is_dir() else os.O_RDWR), 0o666)


def _lock(descriptor: int, wait: bool = False) -> bool | None:
    """Lock until closed: False if another process has the lock, None where there are no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_open_as(descriptor: int, path: Path) -> bool:
    """Whether the path still names what was opened, or another process has deleted it since."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def _temporary(path: Path, folder: bool) -> Iterator[tuple[Path, int]]:
    """An empty temporary for `path`, locked, and its descriptor; gone when the block ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        temporary = _temporary_name(path)
        if folder:
            temporary.mkdir()
        try:
            descriptor = _open(temporary, 0 if folder else os.O_CREAT | os.O_EXCL)
        except FileNotFoundError:
            continue
        # `clear_stale` may have come by before the lock was there.
        if _lock(descriptor) is not False and _is_open_as(descriptor, temporary):
            break
        os.close(descriptor)
    try:
        yield temporary, descriptor
    except OSError as error:
        # A write that fails, on a full disk for one, does not say which file it was for.
        if error.errno and error.filename is None:
            error.filename = str(path)
        raise
    finally:
        if folder:
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
        os.close(descriptor)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield the empty file to write to; it becomes `path`, replacing it, when the block ends well.

    The folder of `path` is made when it is missing. If the block raises, `path` stays as it was
    and nothing half-written is left.
    """
    with _temporary(path, folder=False) as (temporary, descriptor):
        yield temporary
        # Without this a power cut after the rename may leave an empty file of the final name.
        os.fsync(descriptor)
        temporary.replace(path)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; it becomes `path`, replacing it, when the block ends well.

    A folder cannot be renamed onto one that has files: the old one steps aside first and is
    deleted last.
    """
    with _temporary(path, folder=True) as (temporary, _):
        yield temporary
        previous = _temporary_name(path)
        try:
            if path.exists():
                path.rename(previous)
            temporary.rename(path)
        finally:
            shutil.rmtree(previous, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 text file, line ends as given."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def clear_stale(folder: Path) -> None:
    """Delete the temporaries in a folder that no living process is writing."""
    for path in filter(is_temporary, folder.glob(".*")):
        try:
            descriptor = _open(path)
        except OSError:  # gone by now, or not ours to delete
            continue
        try:
            if _lock(descriptor):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


@contextmanager
def alone(path: Path, work: str, wait: bool = False) -> Iterator[None]:
    """Hold a lock file for as long as the block lasts.

    Args:
        path: the lock file; made, and deleted at the end. One that a killed process left is empty
            and locks nobody out.
        work: what is being done, for the message.
        wait: until another process lets go of it.

    Raises:
        InputError: another process holds it, and `wait` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = _open(path, os.O_CREAT)
        if _lock(descriptor, wait) is False:
            os.close(descriptor)
            raise InputError(f"{path.parent}: another process is at work on it: {work}")
        if _is_open_as(descriptor, path):
            break
        os.close(descriptor)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)
