"""Files and folders that appear whole or not at all, and work that one process does at a time.

A result is written under a hidden temporary name next to its final one, flushed to disk and
renamed. Both names lie on one file system, so that the rename is one step: whoever finds the file
finds all of it.

Whoever writes a temporary holds a lock on it (flock), which the system takes back when the process
ends, however it ends. So what is not locked was left behind and can go, whichever process on
whichever machine left it; on a file system without locks it stays.

Nothing is retried without end: other processes may delete what was just made, but there are places,
such as /proc, where nothing can ever be made.
"""

import errno
import fcntl
import os
import re
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cmss.errors import InputError

ATTEMPTS = 100
"""How often a file is created that other processes delete at once: in a second's time at most."""
WAIT_S = 60.0
"""How long a lock is waited for; it is held for some milliseconds."""
_SAY_AFTER_S = 1.0

_NOT_SUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")
_TEMPORARY_PART = re.compile(r"(?<![^/])\.([^/]+)\.[0-9a-f]{32}\.tmp(?![^/])")


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")


def is_temporary(path: Path) -> bool:
    """Whether this is what a killed run left half-written: never a result, safe to delete."""
    return _TEMPORARY.fullmatch(path.name) is not None


def final_path(text: str) -> str:
    """A path in which each temporary has the name that it is to get."""
    return _TEMPORARY_PART.sub(r"\1", text)


def _open(path: Path, flags: int = 0) -> int:
    # Network file systems lock only what is open for writing, which a folder cannot be.
    return os.open(path, flags | (os.O_RDONLY if path.is_dir() else os.O_RDWR), 0o666)


def _lock(descriptor: int) -> bool | None:
    """Lock until closed: False if another process has the lock, None where there are no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _wait_for_lock(descriptor: int, path: Path, work: str) -> bool | None:
    """As `_lock`, but try for `WAIT_S` seconds; say so if it takes long."""
    begin, is_said = time.monotonic(), False
    while (locked := _lock(descriptor)) is False:
        waited_s = time.monotonic() - begin
        if waited_s > WAIT_S:
            break
        if waited_s > _SAY_AFTER_S and not is_said:
            is_said = True
            print(f"waiting for another process to finish {work}: {path}", file=sys.stderr)
        time.sleep(0.02)
    return locked


def _is_open_as(descriptor: int, path: Path) -> bool:
    """Whether the path still names what was opened, or another process has deleted it since."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def flush_to_disk(descriptor: int) -> None:
    """Return when what was written is on the disk, or at once where a file system cannot tell.

    Raises:
        OSError: it cannot be written.
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise


def _attempts(path: Path) -> Iterator[None]:
    """Make the folder of `path`, which another process may have deleted, each time anew.

    Raises:
        NotADirectoryError: it is a file.
        FileNotFoundError: none of `ATTEMPTS` has succeeded.
    """
    for _ in range(ATTEMPTS):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            reason = "expected a folder, got a file"
            raise NotADirectoryError(errno.ENOTDIR, reason, str(path.parent)) from error
        except FileNotFoundError:
            if not path.parent.parent.exists():
                raise  # dangling, or in a place where no folder can be made
        yield
    reason = "cannot be created: its folder accepts no files or is deleted again and again"
    raise FileNotFoundError(errno.ENOENT, reason, str(path))


@contextmanager
def _temporary(path: Path, folder: bool) -> Iterator[tuple[Path, int]]:
    """An empty temporary for `path`, locked, and its descriptor; gone when the block ends."""
    for _ in _attempts(path):
        temporary = _temporary_name(path)
        try:
            if folder:
                temporary.mkdir()
            descriptor = _open(temporary, 0 if folder else os.O_CREAT | os.O_EXCL)
        except FileNotFoundError:
            continue
        # `clear_stale`, which deletes nothing without locks, may have come by before this one.
        locked = _lock(descriptor)
        if locked is None or (locked and _is_open_as(descriptor, temporary)):
            break
        os.close(descriptor)
    try:
        yield temporary, descriptor
    except OSError as error:
        _name_result(error, temporary, path)
        raise
    finally:
        if folder:
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
        os.close(descriptor)


def _name_result(error: OSError, temporary: Path, path: Path) -> None:
    """Have an error name the file that was to be written, not its temporary, which is gone.

    A write that fails, on a full disk for one, names no file at all.
    """
    if error.errno is None:
        return
    if error.filename is None:
        error.filename = str(path)
    elif str(error.filename).startswith(str(temporary)):
        error.filename = str(path) + str(error.filename).removeprefix(str(temporary))
        del error.filename2


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield the empty file to write to; it becomes `path`, replacing it, when the block ends well.

    The folder of `path` is made when it is missing. If the block raises, `path` stays as it was
    and nothing half-written is left.
    """
    with _temporary(path, folder=False) as (temporary, descriptor):
        yield temporary
        # Without this a power cut after the rename may leave an empty file of the final name.
        flush_to_disk(descriptor)
        temporary.replace(path)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; it becomes `path`, replacing it, when the block ends well.

    A folder cannot be renamed onto one that has files: the old one steps aside first and is
    deleted last. It comes back if the new one cannot take its place.
    """
    with _temporary(path, folder=True) as (temporary, _):
        if path.exists() and not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "expected a folder, got a file", str(path))
        yield temporary
        previous = _temporary_name(path)
        is_aside = path.exists()
        if is_aside:
            path.rename(previous)
        try:
            temporary.rename(path)
        except OSError:
            if is_aside:
                previous.rename(path)
            raise
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
        wait: for up to `WAIT_S` seconds until another process lets go of it; one line on standard
            error says so. Where a file system has no locks, a line says that too.

    Raises:
        InputError: another process holds it.
    """
    for _ in _attempts(path):
        try:
            descriptor = _open(path, os.O_CREAT)
        except FileNotFoundError:
            continue
        locked = _wait_for_lock(descriptor, path, work) if wait else _lock(descriptor)
        if locked is False:
            os.close(descriptor)
            raise InputError(f"{path.parent}: another process is at work on it: {work}")
        if locked is None:
            _say_without_locks(path.parent)
        if locked is None or _is_open_as(descriptor, path):
            break
        os.close(descriptor)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


_without_locks: set[Path] = set()


def _say_without_locks(folder: Path) -> None:
    if folder not in _without_locks:
        _without_locks.add(folder)
        print(
            f"{folder}: this file system has no locks; do not start the same work twice at a time",
            file=sys.stderr,
        )
