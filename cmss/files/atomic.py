"""Writes files and folders atomically, and provides a lock that only one process can hold.

A result is first written to a hidden temporary file in the folder of the final file. Then the
temporary file is flushed to disk and renamed. The temporary file and the final file are on the same
file system. Therefore, the rename is atomic, and a file under its final name is always complete.

The process that writes a temporary file locks the file through the library filelock, which calls
flock on Linux and macOS and LockFileEx on Windows. The system releases the lock when the process
ends, even if the process is killed. A temporary file without a lock is therefore left over from a
killed process, on this or another machine, and can be deleted. On a file system that does not
support locks, temporary files are not deleted.

If another process deletes a new file before the file is locked, the file is created again. The
number of attempts is limited, because in some folders, such as /proc, no file can be created.
"""

import errno
import os
import re
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import lock_descriptor

from cmss.errors import InputError

ATTEMPTS = 100
"""Number of attempts to create a file that other processes delete before the file is locked."""
WAIT_S = 60.0
"""Maximum waiting time for a lock; processes usually hold a lock for some milliseconds."""
_MESSAGE_AFTER_S = 1.0

_NOT_SUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")
_TEMPORARY_PART = re.compile(r"(?<![^/])\.([^/]+)\.[0-9a-f]{32}\.tmp(?![^/])")


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")


def is_temporary(path: Path) -> bool:
    """Return whether a path has the name of a temporary file, which is never a result."""
    return _TEMPORARY.fullmatch(path.name) is not None


def final_path(text: str) -> str:
    """Replace each temporary name in a path by its final name."""
    return _TEMPORARY_PART.sub(r"\1", text)


def _open(path: Path, flags: int = 0) -> int:
    # Network file systems lock only files that are open for writing. A folder cannot be opened for
    # writing.
    return os.open(path, flags | (os.O_RDONLY if path.is_dir() else os.O_RDWR), 0o666)


def _lock(descriptor: int) -> bool | None:
    """Lock an open file until the file is closed.

    Returns:
        True if the file is locked, False if another process holds the lock, None if the file system
        or this installation of Python does not support locks.
    """
    try:
        return lock_descriptor(descriptor, blocking=False)
    except OSError:
        return None


def _wait_for_lock(descriptor: int, path: Path, work: str) -> bool | None:
    """Repeat `_lock` for up to `WAIT_S` seconds; print a message if the waiting time is long."""
    begin, is_said = time.monotonic(), False
    while (locked := _lock(descriptor)) is False:
        waited_s = time.monotonic() - begin
        if waited_s > WAIT_S:
            break
        if waited_s > _MESSAGE_AFTER_S and not is_said:
            is_said = True
            print(f"waiting for another process to finish {work}: {path}", file=sys.stderr)
        time.sleep(0.02)
    return locked


def _is_open_as(descriptor: int, path: Path) -> bool:
    """Return whether an open file still exists under a path; other processes may delete files."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def flush_to_disk(descriptor: int) -> None:
    """Wait until the data written to a file are on the disk, if the file system supports this.

    Raises:
        OSError: the data cannot be written.
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise


def _attempts(path: Path) -> Iterator[None]:
    """Yield None before each attempt to create a file or folder in the folder of `path`.

    If the folder of `path` is missing, the folder is created before the attempt.

    Raises:
        NotADirectoryError: the folder cannot be created, because there is a file at its path.
        FileNotFoundError: all `ATTEMPTS` have failed.
    """
    for _ in range(ATTEMPTS):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            reason = "expected a folder, got a file"
            raise NotADirectoryError(errno.ENOTDIR, reason, str(path.parent)) from error
        except FileNotFoundError:
            if not path.parent.parent.exists():
                raise  # The path has a dangling link, or no folder can be created there.
        yield
    reason = "cannot be created: its folder accepts no files or is deleted again and again"
    raise FileNotFoundError(errno.ENOENT, reason, str(path))


@contextmanager
def _temporary(path: Path, folder: bool) -> Iterator[tuple[Path, int]]:
    """Yield a locked, empty temporary file or folder for `path`, and its descriptor.

    A temporary file or folder that still exists at the end of the block is deleted, even if the
    user interrupts the creation or the deletion.
    """
    temporary, descriptor = _temporary_name(path), -1
    try:
        for _ in _attempts(path):
            temporary = _temporary_name(path)
            try:
                if folder:
                    temporary.mkdir()
                descriptor = _open(temporary, 0 if folder else os.O_CREAT | os.O_EXCL)
            except FileNotFoundError:
                continue
            # `clear_stale` of another process may have deleted the file before it was locked. On a
            # file system without locks, `clear_stale` deletes nothing.
            locked = _lock(descriptor)
            if locked is None or (locked and _is_open_as(descriptor, temporary)):
                break
            os.close(descriptor)
            descriptor = -1
        yield temporary, descriptor
    except OSError as error:
        _name_result(error, temporary, path)
        raise
    finally:
        try:
            _delete(temporary)
        except KeyboardInterrupt:
            _delete(temporary)
            raise
        finally:
            if descriptor >= 0:
                os.close(descriptor)


def _delete(path: Path) -> None:
    """Delete a file or a folder, if it exists."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    elif path.exists():  # The folder of the path may be a file.
        path.unlink(missing_ok=True)


def _name_result(error: OSError, temporary: Path, path: Path) -> None:
    """Replace the temporary name in an error by the final name.

    If an error names no file, for example because the disk is full, the final name is added to the
    error.
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
    """Yield an empty temporary file, and rename it to `path` after the block.

    An existing file is replaced. The folder of `path` is created if necessary. If the block raises
    an exception, `path` is unchanged and the temporary file is deleted.
    """
    with _temporary(path, folder=False) as (temporary, descriptor):
        yield temporary
        # Otherwise a power failure after the rename could leave an empty file.
        flush_to_disk(descriptor)
        temporary.replace(path)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder, and rename it to `path` after the block.

    A folder with files cannot be replaced by a single system call. Therefore, an existing folder is
    first renamed. The existing folder is deleted after the new folder has got its final name. If
    the new folder cannot be renamed, the existing folder is restored.
    """
    with _temporary(path, folder=True) as (temporary, _):
        if path.exists() and not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "expected a folder, got a file", str(path))
        yield temporary
        previous = _temporary_name(path)
        had_previous = path.exists()
        if had_previous:
            path.rename(previous)
        try:
            temporary.rename(path)
        except OSError:
            if had_previous:
                previous.rename(path)
            raise
        shutil.rmtree(previous, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically; line ends are not changed."""
    write_bytes(path, text.encode())


def clear_stale(folder: Path) -> None:
    """Delete the temporary files that ended processes have left in a folder."""
    for path in filter(is_temporary, folder.glob(".*")):
        try:
            descriptor = _open(path)
        except OSError:  # The file has been deleted meanwhile, or the user has no permission.
            continue
        try:
            if _lock(descriptor):
                _delete(path)
        finally:
            os.close(descriptor)


@contextmanager
def alone(path: Path, work: str, wait: bool = False) -> Iterator[None]:
    """Hold a lock during the block, so that only one process does the work of the block.

    On a file system without locks, a warning is printed and the work continues.

    Args:
        path: the lock file. The lock file is created before the block and deleted after the block.
            A lock file that is left over from a killed process does not prevent the work.
        work: name of the work, for messages.
        wait: whether to wait while another process holds the lock. The waiting time is at most
            `WAIT_S` seconds; a message is printed if the waiting time is long. If `wait` is False
            and another process holds the lock, an error is raised at once.

    Raises:
        InputError: another process holds the lock.
    """
    for _ in _attempts(path):
        try:
            descriptor = _open(path, os.O_CREAT)
        except FileNotFoundError:
            continue
        locked = _wait_for_lock(descriptor, path, work) if wait else _lock(descriptor)
        if locked is False:
            os.close(descriptor)
            raise InputError(f"{path.parent}: another process is working in this folder: {work}")
        if locked is None:
            _warn_without_locks(path.parent)
        if locked is None or _is_open_as(descriptor, path):
            break
        os.close(descriptor)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


_without_locks: set[Path] = set()


def _warn_without_locks(folder: Path) -> None:
    if folder not in _without_locks:
        _without_locks.add(folder)
        print(
            f"{folder}: this file system has no locks; do not start the same work twice at a time",
            file=sys.stderr,
        )
