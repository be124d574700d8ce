"""Sound files: an excerpt in, a FLAC out; sampling rate and loudness.

Everywhere else a waveform is `(channels, samples)`. Files, soxr and pyloudnorm have samples first;
this is the only module where an array is turned.

The arithmetic is that of pyclarity (`clarity.utils.flac_encoder` and `.signal_processing`), sample
for sample, because scores are compared with those of the official code. Unlike there, only the
excerpt is decoded, no temporary WAV is left, and a `.txt` file that happens to lie beside a FLAC
does not rescale it.
"""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyloudnorm
import soundfile
import soxr
from tqdm import tqdm

from cmss.command_line import one_line
from cmss.errors import InputError
from cmss.files.atomic import atomic_file
from cmss.files.containers import Container, Spliced, examine
from cmss.files.digests import file_sha256

FULL_SCALE_16_BIT = 32768.0
LARGEST_PEAK = 1000.0
"""60 dB above full scale: no mix has it, integers that are stored as floats mostly do."""
SHORTEST_LOUDNESS_S = 0.4
"""One gating block of ITU-R BS.1770-4: nothing shorter has an integrated loudness."""

# RFC 9639: a FLAC frame holds at most 65535 samples; digital silence in one channel, the shortest,
# takes 12 bytes.
_FRAME_SAMPLES = 65535
_FRAME_BYTES = 12
_BLOCK = 2**16  # samples that are decoded at a time
_UNKNOWN = np.iinfo(np.int64).max  # libsndfile's length of a FLAC stream that states none


@dataclass(frozen=True)
class Excerpt:
    """A piece of a sound file: `duration_s` seconds from `start_s` on."""

    path: Path
    start_s: float
    duration_s: float

    def span(self, sample_rate_hz: int) -> tuple[int, int]:
        """First sample, and the one after the last; rounded down as the official code does."""
        stop_s = self.start_s + self.duration_s
        return int(self.start_s * sample_rate_hz), int(stop_s * sample_rate_hz)


@dataclass(frozen=True)
class AudioHeader:
    """What a sound file says about itself.

    Args:
        sample_rate_hz: its sampling rate.
        channels: their number.
        samples: per channel.
        format: of the container, as libsndfile names it.
        subtype: the sample format, as libsndfile names it.
        comment: a free text.
        sha256: digest of the file; None if it was not asked for.
    """

    sample_rate_hz: int
    channels: int
    samples: int
    format: str
    subtype: str
    comment: str = ""
    sha256: str | None = None


def inspect(path: Path, digest: bool = False) -> AudioHeader:
    """Read the header and see that the data it promises are there.

    The container is held to the length that it states, and the last sample of a format that can be
    searched is decoded. Where no length is stated, it is found by decoding all.

    Args:
        path: the file.
        digest: compute the SHA-256 of the file as well, while it is open.

    Raises:
        InputError: no such file, not a sound file, or data that end early.
    """
    with _opened(path, digest) as (file, container, sha256):
        return replace(_header(file, container, path), sha256=sha256)


def _header(file: "_Stream", container: Container, path: Path) -> AudioHeader:
    samples = file.frames
    if container.stated:
        _require_end(file, path)
    else:
        status = path.stat()
        samples = _decoded_length(path, status.st_size, status.st_mtime_ns)
    if samples == 0:
        raise InputError(f"{path}: holds no sound")
    _remark_length(path, container, samples)
    return AudioHeader(
        file.samplerate, file.channels, samples, file.format, file.subtype, file.comment
    )


class _Stream(soundfile.SoundFile):
    """A sound file that is decoded in sequence.

    After each call of `read`, SoundFile seeks to where libsndfile is already if a file is seekable;
    in a FLAC stream of unknown length that fails, and in a lossy file it is not exact.
    """

    def seekable(self) -> bool:
        """False."""
        return False


@contextmanager
def _opened(path: Path, digest: bool = False) -> Iterator[tuple[_Stream, Container, str | None]]:
    """A sound file that can be decoded, what its container says, and its SHA-256 if wanted.

    The file is opened once for all of these.

    Raises:
        InputError: no such file, not a sound file, or truncated by what its container says.
    """
    try:
        if not path.is_file():
            raise InputError(f"{path}: no such audio file")
        raw = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    with raw:
        try:
            container = examine(path, raw)
            raw.seek(0)
            sha256 = file_sha256(raw) if digest else None
            if not container.head:
                # libsndfile begins where the descriptor is, which buffering has moved on.
                os.lseek(raw.fileno(), 0, os.SEEK_SET)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}") from error
        # Not by its name: libsndfile takes the endings of some for a format without a header.
        source = Spliced(raw, container.head, container.skip) if container.head else raw.fileno()
        try:
            file = _Stream(source, closefd=False)
        except soundfile.LibsndfileError as error:
            raise InputError(f"{path}: not a readable sound file ({error.error_string})") from error
        with file:
            is_mpeg = file.subtype.startswith("MPEG")
            if is_mpeg and (file.format != "MP3" or not (container.stated or container.head)):
                raise InputError(f"{path}: MP3 without readable frames; export it as WAV or FLAC")
            yield file, container, sha256


def _is_exact(file: _Stream) -> bool:
    """Whether libsndfile seeks to the very sample: in lossy formats it was seen not to."""
    searched = file.subtype.startswith("PCM") or file.subtype in ("FLOAT", "DOUBLE", "ULAW", "ALAW")
    return searched and file.format not in ("OGG", "MP3") and file.frames != _UNKNOWN


def _require_end(file: _Stream, path: Path) -> None:
    """Decode the last sample, where that needs no more than a seek."""
    size = path.stat().st_size
    if file.format == "FLAC" and file.frames > size // _FRAME_BYTES * _FRAME_SAMPLES:
        raise InputError(
            f"{path}: truncated or damaged: the header promises {file.frames} samples, "
            f"more than {size} bytes can hold"
        )
    if _is_exact(file) and file.frames:
        _decode(file, path, file.frames - 1, file.frames)


@lru_cache(maxsize=4096)
def _decoded_length(path: Path, _size: int, _changed_ns: int) -> int:
    """Count the samples of a file by decoding it; once for each state of the file."""
    with _opened(path) as (file, *_):
        return sum(block.shape[1] for block in _blocks(file, path, 0, None))


def _blocks(
    file: _Stream, path: Path, start: int, stop: int | None
) -> Iterator[npt.NDArray[np.float32]]:
    """Decode samples `start` to `stop`, or to the end: (channels, samples) each."""
    place = 0
    try:
        if _is_exact(file):
            place = file.seek(start)
        while stop is None or place < stop:
            wanted = _BLOCK if stop is None else min(_BLOCK, stop - place)
            block = file.read(wanted, dtype="float32", always_2d=True)
            if not len(block):
                return
            skipped = max(0, start - place)
            place += len(block)
            if skipped < len(block):
                yield np.ascontiguousarray(block[skipped:].T)
    except soundfile.LibsndfileError as error:
        promised = f"{file.frames} samples" if file.frames != _UNKNOWN else "more samples"
        missing = f"samples {start} to {stop}" if stop else f"those from {place} on"
        raise InputError(
            f"{path}: truncated or damaged: the header promises {promised}, "
            f"but {missing} cannot be decoded"
        ) from error


def _decode(file: _Stream, path: Path, start: int, stop: int | None) -> npt.NDArray[np.float32]:
    """Decode samples `start` to `stop`, or to the end: (channels, samples).

    Raises:
        InputError: they end early or cannot be decoded.
    """
    empty = np.empty((file.channels, 0), np.float32)
    signal = np.concatenate([empty, *_blocks(file, path, start, stop)], axis=1)
    if stop is not None and signal.shape[1] != stop - start:
        raise InputError(
            f"{path}: truncated or damaged: the header promises {file.frames} samples, "
            f"{start} to {stop} are wanted, the data end at {start + signal.shape[1]}"
        )
    return signal


def _read(file: _Stream, path: Path, start: int, stop: int | None) -> npt.NDArray[np.float32]:
    """As :func:`_decode`, and refuse what `_require_audible` refuses."""
    signal = _decode(file, path, start, stop)
    _require_audible(path, signal)
    return signal


def _require_audible(path: Path, signal: npt.NDArray[np.float32]) -> None:
    """Refuse what no recording holds; remark once on what is beyond full scale."""
    lowest, highest = signal.min(initial=0.0), signal.max(initial=0.0)
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        raise InputError(f"{path}: the signal holds NaN or infinity")
    peak = float(max(-lowest, highest))
    if peak > LARGEST_PEAK:
        raise InputError(
            f"{path}: a sample of {peak:g}, expected -1 to 1 (full scale); "
            "if these are integers stored as floats, divide them by their full scale"
        )
    if peak > 1.0:
        _say_once(
            path,
            "beyond full scale",
            f"{np.count_nonzero(np.abs(signal) > 1.0)} samples beyond full scale, "
            f"the largest {peak:.4g}; used as they are",
        )


def _remark_length(path: Path, container: Container, samples: int) -> None:
    """Say what a container leaves open."""
    if not container.stated:
        _say_once(
            path,
            "unstated",
            "states no length that can be checked; "
            f"all that can be decoded is used, {samples} samples",
        )
    if container.surplus:
        _say_once(
            path,
            "surplus",
            f"{container.surplus} bytes after the stated end of the sound are not used; "
            "if the recording was interrupted, repair its header",
        )


_said: set[tuple[Path, str]] = set()


def _say_once(path: Path, subject: str, text: str) -> None:
    """A line on the standard error, once for each file and subject."""
    if (path, subject) not in _said:
        _said.add((path, subject))
        tqdm.write(one_line(f"{path}: {text}"), file=sys.stderr)


def read_excerpt(excerpt: Excerpt, sample_rate_hz: int) -> npt.NDArray[np.float32]:
    """Decode one excerpt of a stereo file; see :func:`read_flac` for sample formats.

    Returns:
        waveform (2, samples), float32.

    Raises:
        InputError: unreadable, another sampling rate, not stereo, shorter than the excerpt, or
            samples that are not finite.
    """
    path = excerpt.path
    with _opened(path) as (file, container, _):
        header = _header(file, container, path)
        if header.sample_rate_hz != sample_rate_hz:
            raise InputError(
                f"{path}: sampling rate {header.sample_rate_hz} Hz, expected {sample_rate_hz} Hz"
            )
        if header.channels != 2:
            raise InputError(f"{path}: {header.channels} channel(s), expected 2")
        start, stop = excerpt.span(sample_rate_hz)
        if not 0 <= start < stop <= header.samples:
            raise InputError(
                f"{path}: samples {start} to {stop} wanted, the file has {header.samples}"
            )
        return _read(file, path, start, stop)


def read_span(path: Path, start: int, stop: int) -> npt.NDArray[np.float32]:
    """Decode samples `start` to `stop` of a file, lossy formats from their beginning.

    Returns:
        waveform (channels, samples), float32.

    Raises:
        InputError: unreadable, ends before, or samples that are not finite.
    """
    with _opened(path) as (file, container, _):
        _header(file, container, path)
        return _read(file, path, start, stop)


def read_flac(
    path: Path,
    most_channels: int | None = None,
    check: Callable[[AudioHeader], None] | None = None,
) -> tuple[npt.NDArray[np.float32], int]:
    """Decode a whole file of any format and any sampling rate.

    Every sample format is decoded to float32 with full scale = 1, so that the same sound, rounded
    to 24 significant bits, gives the same waveform in each. For 16 bits that is the integer over
    32768, exactly, as in pyclarity. Samples beyond full scale are not clipped.

    Args:
        path: the file.
        most_channels: more are refused.
        check: is called with the header before anything is decoded, and raises what it finds wrong.

    Returns:
        waveform (channels, samples), float32, and its sampling rate in Hz.

    Raises:
        InputError: missing, unreadable, empty, cut off, more channels than wanted, or samples that
            are not finite.
    """
    with _opened(path) as (file, container, _):
        if most_channels and file.channels > most_channels:
            expected = " or ".join(map(str, range(1, most_channels + 1)))
            raise InputError(f"{path}: {file.channels} channels, expected {expected}")
        if check:
            check(_header(file, container, path))
        elif container.stated:
            _require_end(file, path)
        signal = _read(file, path, 0, file.frames if container.stated else None)
        if signal.shape[1] == 0:
            raise InputError(f"{path}: holds no sound")
        _remark_length(path, container, signal.shape[1])
        return signal, file.samplerate


def read_stereo(path: Path) -> tuple[npt.NDArray[np.float32], int]:
    """As :func:`read_sound`, but mono goes to both ears: (2, samples)."""
    signal, rate_hz = read_sound(path)
    return np.ascontiguousarray(np.broadcast_to(signal, (2, signal.shape[1]))), rate_hz


def read_sound(path: Path) -> tuple[npt.NDArray[np.float32], int]:
    """As :func:`read_flac`, but mono or stereo alone."""
    return read_flac(path, most_channels=2)


def read_pipe(name: str, data: bytes) -> tuple[npt.NDArray[np.float32], int]:
    """Decode what a program wrote into a pipe in a format that libsndfile reads to its end.

    Returns:
        waveform (channels, samples), float32, and its sampling rate in Hz.

    Raises:
        InputError: unreadable, or samples that are not finite.
    """
    try:
        file = _Stream(io.BytesIO(data))
    except soundfile.LibsndfileError as error:
        raise InputError(f"{name}: not a readable sound ({error.error_string})") from error
    with file:
        return _read(file, Path(name), 0, None), file.samplerate


def resampled_length(samples: int, from_hz: int, to_hz: int) -> int:
    """How many samples `resample` makes of `samples`: to the nearest, halves upwards."""
    return (2 * samples * to_hz + from_hz) // (2 * from_hz)


def resample(signal: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """Change the sampling rate along the last axis: soxr at its high quality (HQ), as in pyclarity.

    Args:
        signal: (samples,) or (channels, samples), floating point.

    Returns:
        the same dtype and leading shape; the signal itself when both rates are equal.
    """
    if from_hz == to_hz:
        return signal
    return np.ascontiguousarray(soxr.resample(signal.T, from_hz, to_hz, quality="HQ").T)


def write_flac(
    path: Path,
    signal: np.ndarray,
    sample_rate_hz: int,
    soft_clip: bool = False,
    comment: str = "",
) -> int:
    """Write a 16-bit FLAC; equal signals give equal bytes. The file appears only when it is whole.

    Args:
        path: the file.
        signal: (channels, samples), floating point; what lies beyond +-1 is clipped.
        sample_rate_hz: its sampling rate.
        soft_clip: bend the signal by tanh first, the official `soft_clip`.
        comment: a text for the header, which :func:`inspect` reads.

    Returns:
        the number of samples, over all channels, that were clipped.

    Raises:
        FloatingPointError: NaN or infinity in the signal, which 16 bits would turn into noise.
        OSError: it cannot be written.
    """
    if not np.isfinite(signal).all():
        raise FloatingPointError(f"{path}: the signal holds NaN or infinity")
    if soft_clip:
        signal = np.tanh(signal)
    clipped = int(np.count_nonzero(np.abs(signal) > 1.0))
    # Towards zero, +1 one step below full scale: pyclarity's `clip_signal` and `to_16bit` in one.
    integers = np.clip(signal * FULL_SCALE_16_BIT, -32768.0, 32767.0).astype(np.int16)
    # In memory: on a full disk libsndfile would not say what went wrong.
    encoded = io.BytesIO()
    with soundfile.SoundFile(
        encoded, "w", sample_rate_hz, len(integers), subtype="PCM_16", format="FLAC"
    ) as file:
        if comment:
            file.comment = comment
        file.write(integers.T)
    with atomic_file(path) as temporary:
        temporary.write_bytes(encoded.getbuffer())
    return clipped


def loudness_lufs(signal: np.ndarray, sample_rate_hz: int) -> float:
    """Integrated loudness (ITU-R BS.1770-4, by pyloudnorm); -inf for silence.

    Args:
        signal: (channels, samples), of `SHORTEST_LOUDNESS_S` at least.

    Raises:
        ValueError: the signal is shorter than that.
    """
    return float(pyloudnorm.Meter(sample_rate_hz).integrated_loudness(signal.T))
