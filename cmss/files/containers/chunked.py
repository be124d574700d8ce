"""Checks containers that consist of chunks, such as RIFF (WAV), AIFF, W64 and CAF, and AU files."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from cmss.errors import InputError
from cmss.files.containers.container import Container, Source


@dataclass(frozen=True)
class Layout:
    """Defines how the chunks of a container are stored in a file.

    Args:
        magic: regular expression that matches the first bytes of the file.
        first: position of the first chunk in the file.
        id_bytes: number of bytes of a chunk's name.
        size: format of a chunk's size, see :mod:`struct`.
        align: alignment of the chunks. The position of each chunk is a multiple of `align`.
        sound: name of the sound chunk, or the first characters of this name.
        counts_header: whether the stated size of a chunk includes the header of the chunk. The
            header consists of the name and the size.
        before: number of bytes between the header of the sound chunk and the first sample.
    """

    magic: bytes
    first: int
    id_bytes: int
    size: str
    align: int
    sound: bytes
    counts_header: bool = False
    before: int = 0

    @property
    def header(self) -> int:
        """Number of bytes of a chunk's name and size."""
        return self.id_bytes + struct.calcsize(self.size)


LAYOUTS = (
    Layout(rb"(RIFF|RF64|BW64)....WAVE", 12, 4, "<I", 2, b"data"),
    Layout(rb"RIFX....WAVE", 12, 4, ">I", 2, b"data"),
    Layout(rb"FORM....AIF[FC]", 12, 4, ">I", 2, b"SSND", before=8),
    Layout(rb"riff\x2e\x91\xcf\x11", 40, 16, "<Q", 8, b"data", counts_header=True),
    Layout(rb"caff", 8, 4, ">Q", 1, b"data", before=4),
)
"""Layouts of the supported containers."""

_LARGEST_CHUNKS = 100_000
_TAG_BYTES = 1024
"""Up to this number of bytes after the stated end are ignored, because they are usually a tag."""


def _is_placeholder(value: int, bits: int) -> bool:
    """Return whether a size is a placeholder.

    Programs that write to a pipe cannot go back at the end to correct the size in the header.
    Therefore, these programs write a placeholder: zero, or a number close to the largest signed or
    unsigned number. For example, ffmpeg writes 0xFFFFFFFF, SoX writes 0x7FFFF000, and arecord
    writes 0x80000000. Some programs subtract the size of the header from the placeholder.
    """
    if bits == 64:
        return value == 0 or value >= 2**60
    return value == 0 or any(top - 4096 <= value <= top for top in (2**31, 2**32))


def _chunks(source: Source, layout: Layout) -> Iterator[tuple[bytes, int, int]]:
    """Yield each chunk's name, the position of its content and the stated size of its content."""
    place = layout.first
    for _ in range(_LARGEST_CHUNKS):
        header = source.at(place, layout.header)
        if len(header) < layout.header:
            return
        content = place + layout.header
        size = struct.unpack(layout.size, header[layout.id_bytes :])[0]
        if layout.counts_header:
            size = max(size - layout.header, 0)
        yield header[: layout.id_bytes], content, size
        place = content + size
        place += -place % layout.align


def chunked(source: Source, layout: Layout) -> Container:
    """Check whether the file extends to the stated end of the sound chunk."""
    bits = 8 * struct.calcsize(layout.size)
    long_size = None  # In RF64 files, the position of the 64-bit size.
    frames = 0
    for chunk in _chunks(source, layout):
        name, content, size = chunk
        if name == b"ds64":
            long_size = content + 8
        if name == b"COMM":
            frames = _aiff_bytes(source, content)
        if name.startswith(layout.sound):
            break
    else:
        return Container()  # libsndfile reports that there is no sound.
    if long_size is not None and size == 0xFFFFFFFF:
        size, bits = source.number("<Q", long_size), 64
    else:
        long_size = None
    end = content + size
    is_unfinished = size <= layout.before and not _is_chunk(source, layout, end)
    if is_unfinished or (_is_placeholder(size, bits) and end > source.size):
        return _open_ended(source, layout, content, long_size)
    if end > source.size:
        raise source.truncated(
            f"according to the header, {size} bytes of sound start at byte {content}"
        )
    if frames > size - layout.before and not _is_placeholder(frames, 32):
        raise source.truncated(
            f"the header states {frames} bytes of sound, but the chunk with the sound has {size}"
        )
    surplus = source.size - end
    if surplus <= _TAG_BYTES or _is_chunk(source, layout, end):
        surplus = 0
    return Container(stated=True, surplus=surplus)


def _aiff_bytes(source: Source, content: int) -> int:
    """Return the number of bytes of sound that the COMM chunk of an AIFF file states."""
    if source.at(8, 4) == b"AIFC" and source.at(content + 18, 4) not in (b"NONE", b"sowt", b"twos"):
        return 0
    channels = source.number(">H", content)
    return source.number(">I", content + 2) * channels * -(-source.number(">H", content + 6) // 8)


def _is_chunk(source: Source, layout: Layout, place: int) -> bool:
    """Return True if another chunk begins at a position or if the file ends there."""
    place += -place % layout.align
    header = source.at(place, layout.header)
    if not header:
        return True
    if len(header) < layout.header:
        return False
    size = struct.unpack(layout.size, header[layout.id_bytes :])[0]
    is_named = re.fullmatch(rb"[ -~]{4}", header[:4]) is not None
    return is_named and place + size <= source.size


def _open_ended(source: Source, layout: Layout, content: int, long_size: int | None) -> Container:
    """Return a header that states that the sound chunk extends to the end of the file."""
    size = source.size - content
    form, place = layout.size, content - struct.calcsize(layout.size)
    if long_size is not None:
        form, place = "<Q", long_size
    elif layout.counts_header:
        size += layout.header
    if size >= 2 ** (8 * struct.calcsize(form)):
        raise InputError(
            f"{source.path}: states no length and is larger than its format allows (4 GiB); "
            "export it again as RF64 or FLAC"
        )
    head = bytearray(source.at(0, content))
    struct.pack_into(form, head, place, size)
    return Container(head=bytes(head), skip=content)


def au(source: Source, order: str) -> Container:
    """Check whether an AU file is complete; `order` is the byte order, as in :mod:`struct`."""
    start, size = source.number(f"{order}I", 4), source.number(f"{order}I", 8)
    end = start + size
    if _is_placeholder(size, 32) and end != source.size:
        # With this placeholder libsndfile reads to the end of the file.
        head = source.at(0, 8) + b"\xff\xff\xff\xff"
        return Container(head=head, skip=len(head))
    if end > source.size:
        raise source.truncated(
            f"according to the header, {size} bytes of sound start at byte {start}"
        )
    surplus = source.size - end
    return Container(stated=True, surplus=surplus if surplus > _TAG_BYTES else 0)
