"""Checks whether a sound file is as long as its container states.

libsndfile decodes the sounds, but the lengths that libsndfile returns are not reliable:

* If a file is shorter than its header states, libsndfile corrects the length without an error.
* If the header has no length because the writer was interrupted, libsndfile finds no sound.
* For an MP3 file without a Xing header, libsndfile estimates the length. Samples after the
  estimated end are not decoded.

Because the lengths of libsndfile are not reliable, this module reads the containers of sound files.
A file is refused if it is shorter than stated, has no end mark or has a wrong checksum. For a file
without a stated length, this module returns a header. With this header, libsndfile decodes the file
to the end.

The supported containers are RIFF (WAV), RIFX, RF64, BW64, W64, AIFF, AIFF-C, CAF, AU, FLAC, Ogg and
MP3. The lengths of files in other containers are not checked.
"""

import io
import re
import struct
import zlib
from collections.abc import Iterator
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


def examine(path: Path, file: BinaryIO) -> Container:
    """Read the container of an open file.

    Args:
        path: path of the file, for messages.
        file: the open file; its position is undefined afterwards.

    Raises:
        InputError: the file is shorter than the container states, or a page of an Ogg file is
            damaged.
        OSError: the file cannot be read.
    """
    source = _Source(path, file, file.seek(0, io.SEEK_END))
    start = _end_of_id3(source)
    magic = source.at(start, 12)
    if magic.startswith(b"fLaC"):
        return _flac(source, start)
    if magic.startswith(b"OggS"):
        return _ogg(source, start)
    for layout in _LAYOUTS:
        if start == 0 and re.match(layout.magic, magic, re.DOTALL):
            return _chunked(source, layout)
    if start == 0 and magic[:4] in (b".snd", b"dns."):
        return _au(source, ">" if magic.startswith(b".") else "<")
    if start > 0 or _frame_bytes(magic):
        return _mp3(source, start)
    return Container()


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


@dataclass(frozen=True)
class _Source:
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
        return InputError(f"{self.path}: truncated or damaged: {problem}; copy or export it again")

    def truncated(self, stated: str) -> InputError:
        return self.damaged(f"{stated}, the file ends after {self.size} bytes")


# Containers that consist of chunks: RIFF and similar formats.


@dataclass(frozen=True)
class _Layout:
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
        return self.id_bytes + struct.calcsize(self.size)


_LAYOUTS = (
    _Layout(rb"(RIFF|RF64|BW64)....WAVE", 12, 4, "<I", 2, b"data"),
    _Layout(rb"RIFX....WAVE", 12, 4, ">I", 2, b"data"),
    _Layout(rb"FORM....AIF[FC]", 12, 4, ">I", 2, b"SSND", before=8),
    _Layout(rb"riff\x2e\x91\xcf\x11", 40, 16, "<Q", 8, b"data", counts_header=True),
    _Layout(rb"caff", 8, 4, ">Q", 1, b"data", before=4),
)
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


def _chunks(source: _Source, layout: _Layout) -> Iterator[tuple[bytes, int, int]]:
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


def _chunked(source: _Source, layout: _Layout) -> Container:
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


def _aiff_bytes(source: _Source, content: int) -> int:
    """Return the number of bytes of sound that the COMM chunk of an AIFF file states."""
    if source.at(8, 4) == b"AIFC" and source.at(content + 18, 4) not in (b"NONE", b"sowt", b"twos"):
        return 0
    channels = source.number(">H", content)
    return source.number(">I", content + 2) * channels * -(-source.number(">H", content + 6) // 8)


def _is_chunk(source: _Source, layout: _Layout, place: int) -> bool:
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


def _open_ended(source: _Source, layout: _Layout, content: int, long_size: int | None) -> Container:
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


def _au(source: _Source, order: str) -> Container:
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


# FLAC: if the header states the number of samples, libFLAC checks the length and the checksums.


def _flac(source: _Source, start: int) -> Container:
    # RFC 9639: the last 36 bits of bytes 18 to 25 are the number of samples; 0 means unknown.
    return Container(stated=source.number(">Q", start + 18) & (2**36 - 1) > 0)


# Ogg: each page has a checksum, and the last page of each stream has a mark.

_PAGE = struct.Struct("<4sBBqIIIB")
_FIRST, _LAST = 2, 4
# Table that reverses the order of the bits of a byte.
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _ogg(source: _Source, start: int) -> Container:
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
        if _ogg_checksum(header[:22] + bytes(4) + header[26:] + table + body) != checksum:
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


def _ogg_checksum(page: bytes) -> int:
    """Compute the CRC-32 of an Ogg page (RFC 3533) from the CRC-32 of zlib.

    The two CRCs have opposite bit orders. Unlike the CRC of zlib, the CRC of Ogg starts from 0 and
    is not inverted at the end.
    """
    value = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{value:032b}"[::-1], 2)


# An MP3 file is a sequence of frames. The first frame may have a table with the number of frames.

_KBPS = {
    # Keys: 1 for MPEG version 1 or 2 for versions 2 and 2.5, and the layer. Values: the bit rates,
    # from index 1.
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES_HZ = (44100, 48000, 32000)
_VERSION_1 = 3
_SEARCHED_BYTES = 2**16
_SMALLEST_FRAME = 24


def _frame_bytes(header: bytes) -> int:
    """Return the length of an MPEG audio frame from its first four bytes; 0 if they are invalid."""
    if len(header) < 4 or header[0] != 0xFF or header[1] < 0xE0:
        return 0
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    kbps, rate, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer == 4 or rate == 3 or not 0 < kbps < 15:
        return 0
    rate_hz = _RATES_HZ[rate] // {_VERSION_1: 1, 2: 2, 0: 4}[version]
    bits = 1000 * _KBPS[1 if version == _VERSION_1 else 2, layer][kbps - 1]
    if layer == 1:
        return (12 * bits // rate_hz + padding) * 4
    samples = 576 if layer == 3 and version != _VERSION_1 else 1152
    return samples // 8 * bits // rate_hz + padding


def _end_of_id3(source: _Source) -> int:
    """Return the end of the ID3 tags at the beginning of a file."""
    place = 0
    while (tag := source.at(place, 10)).startswith(b"ID3") and len(tag) == 10:
        size = 0
        for byte in tag[6:]:
            size = size << 7 | byte & 0x7F
        place += 10 + size + (10 if tag[5] & 0x10 else 0)
    return place


def _mp3(source: _Source, start: int) -> Container:
    beginning = source.at(start, _SEARCHED_BYTES)
    # The first frame has a valid header, and a second valid header follows at the end of the frame.
    first = next(
        (
            n
            for n in range(len(beginning) - 4)
            if (length := _frame_bytes(beginning[n : n + 4]))
            and (n + length + 4 > len(beginning) or _frame_bytes(beginning[n + length :][:4]))
        ),
        None,
    )
    if first is None:
        return Container()
    frame = beginning[first:][: _frame_bytes(beginning[first : first + 4])]
    place, after = start + first, start + first + len(frame)
    # This number of frames exceeds what the file can have, so that libsndfile decodes to the end.
    plenty = struct.pack(">I", min(source.size // _SMALLEST_FRAME + 1, 2**31))
    xing = _xing(frame)
    if xing is not None:
        stated = int.from_bytes(frame[xing + 8 : xing + 12], "big")
        found, end = _count_frames(source, after)
        if found == stated:
            return Container(stated=True)
        # Some encoders also count the frame that holds the table. Then the stated number of bytes
        # shows whether the file is complete.
        is_complete = found == stated - 1 and _xing_bytes(frame, xing) == end - place
        if is_complete or found > stated:
            frames = struct.pack(">I", found) if is_complete else plenty
            head = source.at(0, place) + frame[: xing + 8] + frames + frame[xing + 12 :]
            return Container(stated=is_complete, head=head, skip=after)
    elif frame[36:40] == b"VBRI":
        stated = int.from_bytes(frame[50:54], "big")
        found, _ = _count_frames(source, after)
        if found == stated:
            plenty = struct.pack(">I", found)
    else:
        stated, found, after = 0, 0, place
    if found < stated:
        raise source.truncated(f"the header states {stated} MP3 frames, {found} are complete")
    return Container(stated=found == stated > 0, head=_xing_frame(frame, plenty), skip=after)


def _xing(frame: bytes) -> int | None:
    """Return the position of the Xing table in a frame.

    Returns:
        The position. The result is None if the frame has no Xing table, or if the table states no
        number of frames.
    """
    place = _side_end(frame)
    has_frames = len(frame) >= place + 12 and frame[place + 7] & 1
    return place if frame[place : place + 4] in (b"Xing", b"Info") and has_frames else None


def _xing_bytes(frame: bytes, place: int) -> int | None:
    """Read the total size of all frames in bytes from a Xing table; None if the size is missing."""
    stated = frame[place + 12 : place + 16]
    return int.from_bytes(stated, "big") if frame[place + 7] & 2 and len(stated) == 4 else None


def _side_end(frame: bytes) -> int:
    """Return the position at which the side information of a Layer III frame ends."""
    is_mono = frame[3] >> 6 == 3
    if frame[1] >> 3 & 3 == _VERSION_1:
        return 4 + (17 if is_mono else 32)
    return 4 + (9 if is_mono else 17)


def _xing_frame(frame: bytes, frames: bytes) -> bytes:
    """Return a frame that holds only a Xing table, with the version, layer and mode of `frame`.

    Args:
        frame: a frame of the file.
        frames: the number of frames for the table, as four bytes.
    """
    header = bytes([frame[0], frame[1] | 1, frame[2] & 0x0C | 0x90, frame[3]])
    table = header.ljust(_side_end(frame), b"\0") + b"Xing" + struct.pack(">I", 1) + frames
    return table.ljust(_frame_bytes(header), b"\0")


def _count_frames(source: _Source, place: int) -> tuple[int, int]:
    """Count the complete frames that follow a position.

    Returns:
        The number of complete frames, and the position at which the last of these frames ends.
    """
    file, found = source.file, 0
    while True:
        file.seek(place)
        length = _frame_bytes(file.read(4))
        if not length or place + length > source.size:
            return found, place
        place += length
        found += 1
