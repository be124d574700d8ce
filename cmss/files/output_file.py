"""Files that a command is asked to write, checked before its work instead of after it."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from cmss.errors import InputError
from cmss.files.atomic import atomic_file


class _EnoughError(Exception):
    """Ends the trial of a file before it gets its name."""


def check_output_file(
    path: Path, option: str, suffix: str | None = None, inputs: Iterable[Path] = ()
) -> None:
    """See that a file can be written at the end of a long computation.

    Nothing is left behind: an existing file stays as it is, and folders that would have to be made
    are removed again.

    Args:
        path: the file.
        option: that named it, for the message.
        suffix: which its name must have, such as ".flac", in upper or lower case.
        inputs: files that it must not replace.

    Raises:
        InputError: a name that no such file can have.
        OSError: the system does not let it be written: no permission, a full or read-only disk.
    """
    where = f"{option} {path}" if option else str(path)
    if suffix and path.suffix.lower() != suffix:
        raise InputError(f"{where}: expected a name that ends in {suffix}")
    if path.is_dir() or not path.name:
        raise InputError(f"{where}: is a folder, expected the name of a file")
    if path.exists() and not path.is_file():
        raise InputError(f"{where}: is neither a file nor free, expected another name")
    for given in inputs:
        if _same_file(path, given):
            raise InputError(f"{where}: would replace the input {given}, expected another name")
    missing = [folder for folder in path.parents if not folder.exists()]
    existing = path.parents[len(missing)]
    if not existing.is_dir():
        raise InputError(f"{where}: {existing} is a file, expected a folder")
    try:
        with suppress(_EnoughError), atomic_file(path):
            raise _EnoughError
    finally:
        for folder in missing:
            # Something else may have been put into it meanwhile, or it could not be made.
            with suppress(OSError):
                folder.rmdir()


def _same_file(path: Path, other: Path) -> bool:
    if path.exists() and other.exists():
        return path.samefile(other)
    return path.resolve() == other.resolve()
