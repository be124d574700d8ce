"""Sound files in many formats as bytes: complete, unfinished, without length, cut, damaged."""

import io
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from hypothesis import strategies as st

RATE_HZ = 44100


def music(samples: int = RATE_HZ // 2, channels: int = 2, seed: int = 1) -> np.ndarray:
    """Two tones and noise, (samples, channels) float64: integers over 32768."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / RATE_HZ
    tones = [np.sin(2 * np.pi * hz * time) for hz in (440, 660)][:channels]
    signal = 0.3 * np.stack(tones, axis=1) + 0.01 * rng.standard_normal((samples, channels))
    return np.rint(signal * 32768) / 32768


def encoded(signal: np.ndarray, kind: str, subtype: str, **options: float) -> bytes:
    """Encode a sound by libsndfile."""
    file = io.BytesIO()
    soundfile.write(file, signal, RATE_HZ, format=kind, subtype=subtype, **options)
    return file.getvalue()


def patched(data: bytes, *changes: tuple[int, bytes]) -> bytes:
    """Return bytes with some of them replaced, each (offset, new bytes)."""
    changed = bytearray(data)
    for place, part in changes:
        changed[place : place + len(part)] = part
    return bytes(changed)


def wav_of_sizes(data: bytes, riff: int, sound: int) -> bytes:
    """A WAV file with other sizes in its header."""
    place = data.index(b"data") + 4
    return patched(data, (4, struct.pack("<I", riff)), (place, struct.pack("<I", sound)))


def aiff_of_sizes(data: bytes, form: int, frames: int, sound: int) -> bytes:
    """An AIFF file with other sizes in its header."""
    return patched(
        data,
        (4, struct.pack(">I", form)),
        (data.index(b"COMM") + 10, struct.pack(">I", frames)),
        (data.index(b"SSND") + 4, struct.pack(">I", sound)),
    )


def streamed_flac(data: bytes) -> bytes:
    """A FLAC file that states no number of samples (RFC 9639, 8.2)."""
    return patched(data, (21, bytes([data[21] & 0xF0])), (22, bytes(4)))


def without_xing(data: bytes) -> bytes:
    """An MP3 file without the first frame, which states the number of frames."""
    table = max(data.find(b"Xing"), data.find(b"Info"))
    second = re.compile(re.escape(data[:2])).search(data, table)
    assert table > 0
    assert second
    return data[second.start() :]


@dataclass(frozen=True)
class Kind:
    """A format of sound files.

    Args:
        make: encodes a sound (samples, channels).
        states_length: whether a cut file can be distinguished from a complete one.
        suffix: of file names.
    """

    make: Callable[[np.ndarray], bytes]
    states_length: bool
    suffix: str


def _plain(kind: str, subtype: str, **options: float) -> Callable[[np.ndarray], bytes]:
    return lambda signal: encoded(signal, kind, subtype, **options)


def _open_wav(riff: int, sound: int) -> Callable[[np.ndarray], bytes]:
    return lambda signal: wav_of_sizes(encoded(signal, "WAV", "PCM_16"), riff, sound)


def _mp3(signal: np.ndarray) -> bytes:
    return encoded(signal, "MP3", "MPEG_LAYER_III", bitrate_mode="VARIABLE")


KINDS = {
    "wav": Kind(_plain("WAV", "PCM_16"), True, ".wav"),
    "wav-24": Kind(_plain("WAV", "PCM_24"), True, ".wav"),
    "wav-float": Kind(_plain("WAV", "FLOAT"), True, ".wav"),
    "wav-adpcm": Kind(_plain("WAV", "MS_ADPCM"), True, ".wav"),
    "wavex": Kind(_plain("WAVEX", "PCM_16"), True, ".wav"),
    "rf64": Kind(_plain("RF64", "PCM_16"), True, ".wav"),
    "w64": Kind(_plain("W64", "PCM_16"), True, ".w64"),
    "aiff": Kind(_plain("AIFF", "PCM_16"), True, ".aiff"),
    "aiff-float": Kind(_plain("AIFF", "FLOAT"), True, ".aif"),
    "caf": Kind(_plain("CAF", "PCM_16"), True, ".caf"),
    "au": Kind(_plain("AU", "PCM_16"), True, ".au"),
    "flac": Kind(_plain("FLAC", "PCM_16"), True, ".flac"),
    "flac-24": Kind(_plain("FLAC", "PCM_24"), True, ".flac"),
    "vorbis": Kind(_plain("OGG", "VORBIS"), True, ".ogg"),
    "opus": Kind(lambda s: _opus(s), True, ".opus"),
    "mp3": Kind(_mp3, True, ".mp3"),
    "mp3-counts-xing": Kind(lambda s: _counting_the_table(_mp3(s)), True, ".mp3"),
    "mp3-vbri": Kind(lambda s: _with_vbri(_mp3(s)), True, ".mp3"),
    "mp3-no-xing": Kind(lambda s: without_xing(_mp3(s)), False, ".mp3"),
    "wav-pipe": Kind(_open_wav(0xFFFFFFFF, 0xFFFFFFFF), False, ".wav"),
    "wav-sox-pipe": Kind(_open_wav(0x7FFFF024, 0x7FFFF000), False, ".wav"),
    "wav-crashed": Kind(_open_wav(0, 0), False, ".wav"),
    "wav-crashed-36": Kind(_open_wav(36, 0), False, ".wav"),
    "aiff-crashed": Kind(
        lambda s: aiff_of_sizes(encoded(s, "AIFF", "PCM_16"), 46, 0, 8), False, ".aiff"
    ),
    "au-pipe": Kind(lambda s: patched(encoded(s, "AU", "PCM_16"), (8, b"\xff" * 4)), False, ".au"),
    "au-crashed": Kind(lambda s: patched(encoded(s, "AU", "PCM_16"), (8, bytes(4))), False, ".au"),
    "caf-pipe": Kind(lambda s: _sized(encoded(s, "CAF", "PCM_16"), -1, ">q"), False, ".caf"),
    "w64-crashed": Kind(lambda s: _sized(encoded(s, "W64", "PCM_16"), 24, "<q", 16), False, ".w64"),
    "rf64-crashed": Kind(
        lambda s: patched(encoded(s, "RF64", "PCM_16"), (20, bytes(24))), False, ".wav"
    ),
    "flac-pipe": Kind(lambda s: streamed_flac(encoded(s, "FLAC", "PCM_16")), False, ".flac"),
}
"""Complete files by the name of their format, with and without a stated length."""


def _opus(signal: np.ndarray) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, signal, 48000, format="OGG", subtype="OPUS")
    return file.getvalue()


def _counting_the_table(data: bytes) -> bytes:
    """An MP3 file whose number of frames includes that of the table."""
    place = data.index(b"Xing") + 8
    frames = int.from_bytes(data[place : place + 4], "big") + 1
    return patched(data, (place, struct.pack(">I", frames)))


def _with_vbri(data: bytes) -> bytes:
    """An MP3 file with the table of Fraunhofer's encoders in place of Xing's."""
    table = data.index(b"Xing")
    frames = data[table + 8 : table + 12]
    first = data[: len(data) - len(without_xing(data))]
    vbri = first[:4] + bytes(32) + b"VBRI" + bytes(6) + struct.pack(">I", len(data)) + frames
    return vbri.ljust(len(first), b"\0") + without_xing(data)


def _sized(data: bytes, size: int, form: str, name_bytes: int = 4) -> bytes:
    return patched(data, (data.index(b"data") + name_bytes, struct.pack(form, size)))


def cuts(data: bytes) -> st.SearchStrategy[bytes]:
    """The beginning of a file, shorter by one byte at least; ends within a header as often."""
    lengths = st.one_of(
        st.integers(0, len(data) - 1), st.integers(0, 200), st.integers(1, 200).map(lambda n: -n)
    )
    return lengths.map(lambda length: data[:length])


def spoilt(data: bytes) -> st.SearchStrategy[bytes]:
    """A file with some bytes changed, in the header as often as elsewhere."""
    places = st.one_of(st.integers(0, len(data) - 1), st.integers(0, min(200, len(data) - 1)))
    change = st.tuples(places, st.binary(min_size=1, max_size=8))
    return st.lists(change, min_size=1, max_size=4).map(
        lambda changes: patched(data, *changes)[: len(data)]
    )


def written(folder: Path, kind: str, data: bytes) -> Path:
    """A file of a kind."""
    path = folder / f"sound{KINDS[kind].suffix}"
    path.write_bytes(data)
    return path
