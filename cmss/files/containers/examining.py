"""Recognises the container of a sound file by the first bytes, and checks the container."""

import io
import re
from pathlib import Path
from typing import BinaryIO

from cmss.files.containers.chunked import LAYOUTS, au, chunked
from cmss.files.containers.container import Container, Source
from cmss.files.containers.mp3 import end_of_id3, frame_bytes, mp3
from cmss.files.containers.ogg import ogg


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
    source = Source(path, file, file.seek(0, io.SEEK_END))
    start = end_of_id3(source)
    magic = source.at(start, 12)
    if magic.startswith(b"fLaC"):
        return _flac(source, start)
    if magic.startswith(b"OggS"):
        return ogg(source, start)
    for layout in LAYOUTS:
        if start == 0 and re.match(layout.magic, magic, re.DOTALL):
            return chunked(source, layout)
    if start == 0 and magic[:4] in (b".snd", b"dns."):
        return au(source, ">" if magic.startswith(b".") else "<")
    if start > 0 or frame_bytes(magic):
        return mp3(source, start)
    return Container()


def _flac(source: Source, start: int) -> Container:
    """If the header states the number of samples, libFLAC checks the length and the checksums."""
    # RFC 9639: the last 36 bits of bytes 18 to 25 are the number of samples; 0 means unknown.
    return Container(stated=source.number(">Q", start + 18) & (2**36 - 1) > 0)
