"""Converts the exceptions of damaged archives to messages that name the archive."""

import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cmss.errors import InputError


@contextmanager
def reading_archive(path: Path) -> Iterator[None]:
    """Convert the exceptions of zipfile, tarfile and the decompressors to InputError."""
    # zipfile raises NotImplementedError if a damaged byte looks like an unknown compression method.
    damage = (
        zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, struct.error,
        NotImplementedError, ValueError,
    )  # fmt: skip
    try:
        yield
    except damage as error:
        raise InputError(f"{path}: damaged ({error}); download the archive again") from error
    except OSError as error:
        # An OSError without an errno comes from a decompressor, not from the operating system.
        if error.errno is not None:
            raise
        raise InputError(f"{path}: damaged ({error}); download the archive again") from error
