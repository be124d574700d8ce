"""Defines the result of the check of a container, and reads the bytes of a sound file."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cmss.errors import InputError


@dataclass(frozen=True)
class Container:
    """Holds the result of the check of a container.

    Args:
        stated: True if the sound is complete and the container states where the sound ends, by a
            length or by an end mark.
        head: bytes that must replace the first `skip` bytes of the file, so that libsndfile decodes
            all sound.
        skip: number of bytes that `head` replaces.
        surplus: number of bytes after the stated end that do not belong to the container.
    """

    stated: bool = False
    head: bytes = b""
    skip: int = 0
    surplus: int = 0


@dataclass(frozen=True)
class Source:
    """Reads an open sound file at any position.

    Args:
        path: path of the file, for messages.
        file: the open file.
        size: number of bytes of the file.
    """

    path: Path
    file: BinaryIO
    size: int

    def at(self, place: int, count: int) -> bytes:
        """Read `count` bytes at a position; fewer bytes if the file ends earlier."""
        self.file.seek(min(place, self.size))  # A damaged header may state any position.
        return self.file.read(count)

    def number(self, form: str, place: int) -> int:
        """Read a number in a format of :mod:`struct` at a position; missing bytes count as 0."""
        count = struct.calcsize(form)
        return struct.unpack(form, self.at(place, count).ljust(count, b"\0"))[0]

    def damaged(self, problem: str) -> InputError:
        """Return the error for a damaged file."""
        return InputError(f"{self.path}: truncated or damaged: {problem}; copy or export it again")

    def truncated(self, stated: str) -> InputError:
        """Return the error for a file that is shorter than its container states."""
        return self.damaged(f"{stated}, the file ends after {self.size} bytes")
