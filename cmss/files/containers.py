"""What the container of a sound file says about its length, and whether the file has that much.

libsndfile decodes, but its lengths cannot be relied on: where a file is shorter than its header
says, libsndfile corrects the length without a word; where the header is unfinished, it finds no
sound; the length of an MP3 file without a Xing header it estimates, and it decodes no further than
that. This module reads the containers themselves: a file that falls short of a stated length, of
an end mark or of a checksum is refused; for a file that states none, it gives the header with which
libsndfile decodes to the end.

Read are RIFF (WAV), RIFX, RF64, BW64, W64, AIFF, AIFF-C, CAF, AU, FLAC, Ogg and MP3. Other
containers are taken to state nothing.
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
    """What a container says about the length of its sound.

    Args:
        stated: whether it states a length or an end, and the file has that much.
        head: what libsndfile must see in place of the first `skip` bytes in order to decode all.
        skip: number of bytes that `head` replaces.
        surplus: bytes after the stated end that do not belong to the container.
    """

    stated: bool = False
    head: bytes = b""
    skip: int = 0
    surplus: int = 0


def examine(path: Path, file: BinaryIO) -> Container:
    """Read the container of an open file.

    Args:
        path: names the file in messages.
        file: the file; its position afterwards is undefined.

    Raises:
        InputError: the file is shorter than the container states, or a page of an Ogg file is
            damaged.
        OSError: it cannot be read.
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
    """A file whose first bytes are replaced, for libsndfile to read."""

    def __init__(self, file: BinaryIO, head: bytes, skip: int) -> None:
        self._file, self._head, self._skip, self._at = file, head, skip, 0
        self._size = len(head) + file.seek(0, io.SEEK_END) - skip

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position in the spliced file."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position, within the file whatever is asked for."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = min(max(base + offset, 0), self._size)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer as far as the file reaches."""
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
        self.file.seek(min(place, self.size))  # a damaged header may name any place
        return self.file.read(count)

    def number(self, form: str, place: int) -> int:
        """One number at a place; 0 beyond the end."""
        count = struct.calcsize(form)
        return struct.unpack(form, self.at(place, count).ljust(count, b"\0"))[0]

    def damaged(self, problem: str) -> InputError:
        return InputError(f"{self.path}: truncated or damaged: {problem}; copy or export it again")

    def truncated(self, stated: str) -> InputError:
        return self.damaged(f"{stated}, the file ends after {self.size} bytes")


# Containers of chunks: RIFF and its like.


@dataclass(frozen=True)
class _Layout:
    """How chunks lie in a container.

    Args:
        magic: pattern of the first bytes.
        first: where the first chunk begins.
        id_bytes: of a chunk's name.
        size: of a chunk, as in :mod:`struct`.
        align: chunks begin at multiples of this.
        sound: the name with which that of the sound's chunk begins.
        counts_header: whether a chunk's size includes its name and its size.
        before: bytes in the sound's chunk before the sound.
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
"""What follows the stated end without being a chunk, and is too short to be worth a remark."""


def _is_placeholder(value: int, bits: int) -> bool:
    """Whether programs that cannot go back to the header write this in place of a size.

    Zero, or close to the largest signed or unsigned number: ffmpeg 0xFFFFFFFF, SoX 0x7FFFF000,
    arecord 0x80000000; some subtract the bytes of the header.
    """
    if bits == 64:
        return value == 0 or value >= 2**60
    return value == 0 or any(top - 4096 <= value <= top for top in (2**31, 2**32))


def _chunks(source: _Source, layout: _Layout) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and stated size of each chunk's contents."""
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
    long_size = None  # of RF64: where the 64 bits are
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
        return Container()  # libsndfile says that there is no sound
    if long_size is not None and size == 0xFFFFFFFF:
        size, bits = source.number("<Q", long_size), 64
    else:
        long_size = None
    end = content + size
    is_unfinished = size <= layout.before and not _is_chunk(source, layout, end)
    if is_unfinished or (_is_placeholder(size, bits) and end > source.size):
        return _open_ended(source, layout, content, long_size)
    if end > source.size:
        raise source.truncated(f"the header promises {size} bytes of sound from byte {content} on")
    if frames > size - layout.before and not _is_placeholder(frames, 32):
        raise source.truncated(f"the header promises {frames} bytes of sound, its chunk has {size}")
    surplus = source.size - end
    if surplus <= _TAG_BYTES or _is_chunk(source, layout, end):
        surplus = 0
    return Container(stated=True, surplus=surplus)


def _aiff_bytes(source: _Source, content: int) -> int:
    """Bytes of sound that the COMM chunk of an AIFF file states; 0 if it is compressed."""
    if source.at(8, 4) == b"AIFC" and source.at(content + 18, 4) not in (b"NONE", b"sowt", b"twos"):
        return 0
    channels = source.number(">H", content)
    return source.number(">I", content + 2) * channels * -(-source.number(">H", content + 6) // 8)


def _is_chunk(source: _Source, layout: _Layout, place: int) -> bool:
    """Whether another chunk begins at a place, or the file ends there."""
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
    """A header that gives the sound all bytes up to the end of the file."""
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
        # libsndfile knows this placeholder, and reads to the end of the file.
        head = source.at(0, 8) + b"\xff\xff\xff\xff"
        return Container(head=head, skip=len(head))
    if end > source.size:
        raise source.truncated(f"the header promises {size} bytes of sound from byte {start} on")
    surplus = source.size - end
    return Container(stated=True, surplus=surplus if surplus > _TAG_BYTES else 0)


# FLAC: the number of samples, which libFLAC holds the file to, frame by frame with checksums.


def _flac(source: _Source, start: int) -> Container:
    # RFC 9639: the number of samples is the last 36 bits of bytes 18 to 25; 0 if unknown.
    return Container(stated=source.number(">Q", start + 18) & (2**36 - 1) > 0)


# Ogg: pages with checksums, the last of each stream with a mark.

_PAGE = struct.Struct("<4sBBqIIIB")
_FIRST, _LAST = 2, 4
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _ogg(source: _Source, start: int) -> Container:
    """Hold each page to its checksum, and each stream to its numbering and its end."""
    file, place = source.file, start
    expected: dict[int, int | None] = {}  # next page by stream; None after its last
    file.seek(place)
    while True:
        header = file.read(_PAGE.size)
        if expected and not any(expected.values()) and not header.startswith(b"OggS"):
            return Container(stated=True)  # whatever follows is a tag of another format
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
                    f"{source.path}: several recordings in a row, the second from byte {place} "
                    "on; expected one, save each as a file"
                )
        elif expected.get(serial) != number:
            raise InputError(
                f"{source.path}: truncated or damaged: Ogg pages are missing before byte {place}"
            )
        expected[serial] = None if flags & _LAST else number + 1
        place += len(header) + len(table) + len(body)


def _ogg_checksum(page: bytes) -> int:
    """CRC-32 with the bits the other way round than zlib's, from 0, not inverted (RFC 3533)."""
    value = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{value:032b}"[::-1], 2)


# MP3: frames, the first of which may hold a table that states their number.

_KBPS = {
    # by version (1; or 2 and 2.5) and layer, from index 1 on
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
    """Length of the MPEG audio frame that begins with these four bytes; 0 if none does."""
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
    """Where the tags at the beginning end."""
    place = 0
    while (tag := source.at(place, 10)).startswith(b"ID3") and len(tag) == 10:
        size = 0
        for byte in tag[6:]:
            size = size << 7 | byte & 0x7F
        place += 10 + size + (10 if tag[5] & 0x10 else 0)
    return place


def _mp3(source: _Source, start: int) -> Container:
    beginning = source.at(start, _SEARCHED_BYTES)
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
    # More than there can be, so that libsndfile goes on to the end of the file.
    plenty = struct.pack(">I", min(source.size // _SMALLEST_FRAME + 1, 2**31))
    xing = _xing(frame)
    if xing is not None:
        stated = int.from_bytes(frame[xing + 8 : xing + 12], "big")
        found, end = _count_frames(source, after)
        if found == stated:
            return Container(stated=True)
        # Some encoders count the table's frame, too; the number of bytes shows that all are there.
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
        raise source.truncated(f"the header promises {stated} MP3 frames, {found} are complete")
    return Container(stated=found == stated > 0, head=_xing_frame(frame, plenty), skip=after)


def _xing(frame: bytes) -> int | None:
    """Where a Xing or LAME encoder's table begins, if it states the number of frames."""
    place = _side_end(frame)
    has_frames = len(frame) >= place + 12 and frame[place + 7] & 1
    return place if frame[place : place + 4] in (b"Xing", b"Info") and has_frames else None


def _xing_bytes(frame: bytes, place: int) -> int | None:
    """The number of bytes that a table states, of the table's frame and all others."""
    stated = frame[place + 12 : place + 16]
    return int.from_bytes(stated, "big") if frame[place + 7] & 2 and len(stated) == 4 else None


def _side_end(frame: bytes) -> int:
    """Where the header and the side information of a Layer III frame end."""
    is_mono = frame[3] >> 6 == 3
    if frame[1] >> 3 & 3 == _VERSION_1:
        return 4 + (17 if is_mono else 32)
    return 4 + (9 if is_mono else 17)


def _xing_frame(frame: bytes, frames: bytes) -> bytes:
    """A frame with nothing but a Xing table, of the version, layer and mode of another."""
    header = bytes([frame[0], frame[1] | 1, frame[2] & 0x0C | 0x90, frame[3]])
    table = header.ljust(_side_end(frame), b"\0") + b"Xing" + struct.pack(">I", 1) + frames
    return table.ljust(_frame_bytes(header), b"\0")


def _count_frames(source: _Source, place: int) -> tuple[int, int]:
    """Number of complete frames in a row from a place on, and where they end."""
    file, found = source.file, 0
    while True:
        file.seek(place)
        length = _frame_bytes(file.read(4))
        if not length or place + length > source.size:
            return found, place
        place += length
        found += 1
