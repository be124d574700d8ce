"""Checks Ogg files: each page has a checksum, and the last page of each stream has a mark."""

import struct
import zlib

from cmss.errors import InputError
from cmss.files.containers.container import Container, Source

_PAGE = struct.Struct("<4sBBqIIIB")
_FIRST, _LAST = 2, 4
# Table that reverses the order of the bits of a byte.
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def ogg(source: Source, start: int) -> Container:
    """Check the checksum of each page, and the page numbers and the last page of each stream."""
    file, place = source.file, start
    expected: dict[int, int | None] = {}  # Next page number of each stream; None after its last.
    file.seek(place)
    while True:
        header = file.read(_PAGE.size)
        if expected and not any(expected.values()) and not header.startswith(b"OggS"):
            return Container(stated=True)  # A tag in another format follows.
        if not header:
            raise source.truncated("the Ogg stream has no last page")
        if len(header) < _PAGE.size:
            raise source.truncated(f"the Ogg page at byte {place} is not complete")
        magic, _, flags, _, serial, number, checksum, segments = _PAGE.unpack(header)
        if magic != b"OggS":
            raise source.damaged(f"no Ogg page at byte {place}")
        table = file.read(segments)
        body = file.read(sum(table))
        if len(table) < segments or len(body) < sum(table):
            raise source.truncated(f"the Ogg page at byte {place} is not complete")
        if _checksum(header[:22] + bytes(4) + header[26:] + table + body) != checksum:
            raise source.damaged(f"wrong checksum of the Ogg page at byte {place}")
        if flags & _FIRST:
            if None in expected.values():
                raise InputError(
                    f"{source.path}: several recordings in one file, the second from byte {place} "
                    "on; expected one, save each to its own file"
                )
        elif expected.get(serial) != number:
            raise InputError(
                f"{source.path}: truncated or damaged: Ogg pages are missing before byte {place}"
            )
        expected[serial] = None if flags & _LAST else number + 1
        place += len(header) + len(table) + len(body)


def _checksum(page: bytes) -> int:
    """Compute the CRC-32 of an Ogg page (RFC 3533) from the CRC-32 of zlib.

    The two CRCs have opposite bit orders. Unlike the CRC of zlib, the CRC of Ogg starts from 0 and
    is not inverted at the end.
    """
    value = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{value:032b}"[::-1], 2)
