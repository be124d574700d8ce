"""Replaces the beginning of an open file without changing the file."""

import io
from typing import BinaryIO


class Spliced(io.RawIOBase):
    """Presents a file to libsndfile with a new beginning; the file on disk is not changed.

    Args:
        file: the original file.
        head: the new first bytes.
        skip: number of bytes of `file` that `head` replaces.
    """

    def __init__(self, file: BinaryIO, head: bytes, skip: int) -> None:
        self._file, self._head, self._skip, self._at = file, head, skip, 0
        self._size = len(head) + file.seek(0, io.SEEK_END) - skip

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position in the spliced file."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position, limited to the range of the file, and return the new position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = min(max(base + offset, 0), self._size)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read until the buffer is full or the file ends; return the number of bytes."""
        done = 0
        if self._at < len(self._head):
            part = self._head[self._at : self._at + len(buffer)]
            buffer[: len(part)] = part
            done = len(part)
        if done < len(buffer):
            self._file.seek(self._at + done - len(self._head) + self._skip)
            rest = self._file.read(len(buffer) - done)
            buffer[done : done + len(rest)] = rest
            done += len(rest)
        self._at += done
        return done
