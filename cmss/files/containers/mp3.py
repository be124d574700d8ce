"""Checks MP3 files.

An MP3 file is a sequence of frames. The first frame may have a table with the number of frames.
"""

import struct

from cmss.files.containers.container import Container, Source

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


def frame_bytes(header: bytes) -> int:
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


def end_of_id3(source: Source) -> int:
    """Return the end of the ID3 tags at the beginning of a file."""
    place = 0
    while (tag := source.at(place, 10)).startswith(b"ID3") and len(tag) == 10:
        size = 0
        for byte in tag[6:]:
            size = size << 7 | byte & 0x7F
        place += 10 + size + (10 if tag[5] & 0x10 else 0)
    return place


def mp3(source: Source, start: int) -> Container:
    """Check whether a file has as many frames as its table states."""
    beginning = source.at(start, _SEARCHED_BYTES)
    # The first frame has a valid header, and a second valid header follows at the end of the frame.
    first = next(
        (
            n
            for n in range(len(beginning) - 4)
            if (length := frame_bytes(beginning[n : n + 4]))
            and (n + length + 4 > len(beginning) or frame_bytes(beginning[n + length :][:4]))
        ),
        None,
    )
    if first is None:
        return Container()
    frame = beginning[first:][: frame_bytes(beginning[first : first + 4])]
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
    return table.ljust(frame_bytes(header), b"\0")


def _count_frames(source: Source, place: int) -> tuple[int, int]:
    """Count the complete frames that follow a position.

    Returns:
        The number of complete frames, and the position at which the last of these frames ends.
    """
    file, found = source.file, 0
    while True:
        file.seek(place)
        length = frame_bytes(file.read(4))
        if not length or place + length > source.size:
            return found, place
        place += length
        found += 1
