"""Computes SHA-256 digests of data and files."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO


def sha256(parts: Iterable[bytes]) -> str:
    """Return the SHA-256 digest of the concatenated parts, in hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def file_sha256(file: Path | BinaryIO) -> str:
    """Return the SHA-256 digest of a file in hexadecimal digits.

    An open file is read from its current position to its end.

    Raises:
        OSError: the file cannot be read.
    """
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return file_sha256(opened)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
