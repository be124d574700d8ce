"""Sound files: an excerpt in, a FLAC out; sampling rate and loudness.

Everywhere else a waveform is `(channels, samples)`. Files, soxr and pyloudnorm have samples first;
this is the only module where an array is turned.

The arithmetic is that of pyclarity (`clarity.utils.flac_encoder` and `.signal_processing`), sample
for sample, because scores are compared with those of the official code. Unlike there, only the
excerpt is decoded, no temporary WAV is left, and a `.txt` file that happens to lie beside a FLAC
does not rescale it.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyloudnorm
import soundfile
import soxr

from cmss.atomic import atomic_file
from cmss.errors import InputError

FULL_SCALE_16_BIT = 32768.0
SHORTEST_LOUDNESS_S = 0.4
"""One gating block of ITU-R BS.1770-4: nothing shorter has an integrated loudness."""

# RFC 9639: a FLAC frame holds at most 65535 samples; digital silence in one channel, the shortest,
# takes 12 bytes.
_FRAME_SAMPLES = 65535
_FRAME_BYTES = 12


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
    """What a sound file says about itself; `comment` is a free text."""

    sample_rate_hz: int
    channels: int
    samples: int
    format: str
    subtype: str
    comment: str = ""


def inspect(path: Path) -> AudioHeader:
    """Read the header, and the last sample to see that the data it promises are there.

    A file that was cut off keeps its header; only a look at its end tells. One seek, whatever the
    length.

    Raises:
        InputError: no such file, not a sound file, no length stated, or data that end early.
    """
    try:
        if not path.is_file():
            raise InputError(f"{path}: no such audio file")
        file = soundfile.SoundFile(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: not a readable sound file ({error.error_string})") from error
    with file:
        header = AudioHeader(
            file.samplerate, file.channels, file.frames, file.format, file.subtype, file.comment
        )
        # libsndfile answers the largest 64-bit integer where a FLAC stream leaves its length open.
        if header.samples == np.iinfo(np.int64).max:
            raise InputError(f"{path}: the header states no length; encode the file anew")
        if header.samples == 0:
            raise InputError(f"{path}: holds no sound")
        size = path.stat().st_size
        if header.format == "FLAC" and header.samples > size // _FRAME_BYTES * _FRAME_SAMPLES:
            raise InputError(
                f"{path}: truncated or damaged: the header promises {header.samples} samples, "
                f"more than {size} bytes can hold"
            )
        _read(file, path, header.samples - 1, header.samples)
    return header


def _read(file: soundfile.SoundFile, path: Path, start: int, stop: int) -> np.ndarray:
    """Samples `start` to `stop` as int16 (samples, channels), or an InputError."""
    try:
        file.seek(start)
        samples = file.read(stop - start, dtype="int16", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InputError(
            f"{path}: truncated or damaged: the header promises {file.frames} samples, "
            f"but samples {start} to {stop} cannot be decoded"
        ) from error
    if len(samples) != stop - start:
        raise InputError(
            f"{path}: truncated: samples {start} to {stop} wanted, "
            f"the data end at {start + len(samples)}"
        )
    return samples


def _to_waveform(samples: np.ndarray) -> npt.NDArray[np.float32]:
    # Division by a power of two: exact, so float32 gives what pyclarity's detour by float64 gives.
    return np.ascontiguousarray(samples.T.astype(np.float32) / np.float32(FULL_SCALE_16_BIT))


def read_excerpt(excerpt: Excerpt, sample_rate_hz: int) -> npt.NDArray[np.float32]:
    """Decode one excerpt of a stereo file, as 16-bit integers over 32768.

    Returns:
        waveform (2, samples), float32.

    Raises:
        InputError: unreadable, another sampling rate, not stereo, or shorter than the excerpt.
    """
    header = inspect(excerpt.path)
    if header.sample_rate_hz != sample_rate_hz:
        raise InputError(
            f"{excerpt.path}: sampling rate {header.sample_rate_hz} Hz, "
            f"expected {sample_rate_hz} Hz"
        )
    if header.channels != 2:
        raise InputError(f"{excerpt.path}: {header.channels} channel(s), expected 2")
    start, stop = excerpt.span(sample_rate_hz)
    if not 0 <= start < stop <= header.samples:
        raise InputError(
            f"{excerpt.path}: samples {start} to {stop} wanted, the file has {header.samples}"
        )
    with soundfile.SoundFile(excerpt.path) as file:
        return _to_waveform(_read(file, excerpt.path, start, stop))


def read_flac(path: Path) -> tuple[npt.NDArray[np.float32], int]:
    """Decode a whole file of any number of channels and any sampling rate.

    Returns:
        waveform (channels, samples), float32, and its sampling rate in Hz.

    Raises:
        InputError: missing, unreadable, empty or cut off.
    """
    header = inspect(path)
    with soundfile.SoundFile(path) as file:
        return _to_waveform(_read(file, path, 0, header.samples)), header.sample_rate_hz


def read_stereo(path: Path) -> tuple[npt.NDArray[np.float32], int]:
    """As :func:`read_sound`, but mono goes to both ears: (2, samples)."""
    signal, rate_hz = read_sound(path)
    return np.ascontiguousarray(np.broadcast_to(signal, (2, signal.shape[1]))), rate_hz


def read_sound(path: Path) -> tuple[npt.NDArray[np.float32], int]:
    """Decode a whole file of any format, sampling rate and sample format, mono or stereo.

    Returns:
        waveform (channels, samples), float32, full scale = 1, and its sampling rate in Hz.

    Raises:
        InputError: missing, unreadable, empty, cut off, more than two channels, or not finite.
    """
    header = inspect(path)
    if header.channels > 2:
        raise InputError(f"{path}: {header.channels} channels, expected 1 or 2")
    try:
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: truncated or damaged ({error.error_string})") from error
    if len(samples) != header.samples:
        raise InputError(
            f"{path}: truncated: the header promises {header.samples} samples, "
            f"the data end at {len(samples)}"
        )
    if not np.isfinite(samples).all():
        raise InputError(f"{path}: the signal holds NaN or infinity")
    return np.ascontiguousarray(samples.T), rate_hz


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
