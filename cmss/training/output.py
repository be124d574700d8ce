"""Where a training's result goes, checked before the hours that it takes."""

import tempfile
from pathlib import Path

from cmss.errors import InputError


def check_writable(path: Path, key: str) -> None:
    """See that a file can be written, and make its folder.

    Args:
        path: the file; it need not exist.
        key: of the configuration, for the message.

    Raises:
        InputError: it is a folder.
        OSError: the folder cannot be made or written to.
    """
    if path.is_dir():
        raise InputError(f"{path}: {key}: is a folder, expected a file to write")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        reason = f"{key}: cannot be written: {error.strerror}"
        raise OSError(error.errno, reason, str(path)) from error
