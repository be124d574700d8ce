"""Writes sound files with libsndfile, in pieces and atomically."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from cmss.audio.resampling import resampled
from cmss.errors import InputError
from cmss.files.atomic import atomic_file
from cmss.machine.pieces import Pieces

FULL_SCALE_16_BIT, FULL_SCALE_24_BIT = 32768.0, 8388608.0


class _Target:
    """Receives the bytes that libsndfile writes, and stores the first error of the system.

    libsndfile does not report the reason of an error, and an exception must not reach the C code of
    libsndfile. Therefore, libsndfile continues after an error, and the caller must check `error`.
    """

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write data; after an error, discard the data."""
        rest = memoryview(data)
        try:
            while rest and self.error is None:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self.error = error
        return len(data)


FORMATS = {
    ".flac": ("FLAC", {"16": "PCM_16", "24": "PCM_24"}),
    ".wav": ("WAV", {"16": "PCM_16", "24": "PCM_24", "float": "FLOAT"}),
    ".mp3": ("MP3", {"": "MPEG_LAYER_III"}),
    ".ogg": ("OGG", {"": "VORBIS"}),
    ".opus": ("OGG", {"": "OPUS"}),
}
"""Container format and sample formats for each suffix of a file.

The value of a suffix is a pair. The first item is libsndfile's name for the container format. The
second item is a dict from our name for a sample format to libsndfile's name. The first sample
format of the dict is the default.
"""

OPUS_RATE_HZ = 48000


def sample_format(path: Path, name: str | None = None) -> tuple[str, str]:
    """Return libsndfile's names for the container format and the sample format of an output file.

    Args:
        path: the output file. The suffix is a key of :data:`FORMATS`, in upper or lower case.
        name: name of the sample format in :data:`FORMATS`. If `name` is None, the default sample
            format of the suffix is used.

    Raises:
        InputError: the suffix or the sample format does not exist, or this version of libsndfile
            cannot write the format.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        *others, last = FORMATS
        raise InputError(f"{path}: expected a name that ends in {', '.join(others)} or {last}")
    container, names = FORMATS[suffix]
    if name is not None and name not in names:
        expected = " or ".join(filter(None, names)) or "no choice of the sample format"
        raise InputError(f"{path}: sample format {name}: expected {expected} for {suffix} files")
    subtype = names[name] if name is not None else next(iter(names.values()))
    if not soundfile.check_format(container, subtype):
        raise InputError(
            f"{path}: libsndfile {soundfile.__libsndfile_version__} cannot write {suffix}; "
            "expected .flac or .wav"
        )
    return container, subtype


def write_flac(
    path: Path,
    signal: np.ndarray,
    sample_rate_hz: int,
    soft_clip: bool = False,
    comment: str = "",
) -> int:
    """Write a 16-bit FLAC file; the same signal always gives the same bytes.

    Args:
        path: path of the file. The file gets this name only when the file is complete.
        signal: floating-point signal (channels, samples); samples beyond -1 to 1 are clipped.
        sample_rate_hz: sampling rate of the signal.
        soft_clip: whether to apply the function tanh to the signal first, see `soft_clip` of the
            official configuration.
        comment: text of the comment tag; :func:`read_header` returns this text.

    Returns:
        The total number of clipped samples in all channels.

    Raises:
        FloatingPointError: the signal contains NaN or infinity, which would be written as noise.
        OSError: the file cannot be written.
    """
    limited: Pieces = (
        (np.tanh(piece) if soft_clip else piece) for piece in _finite([signal], path)
    )
    return _write(path, limited, len(signal), sample_rate_hz, ("FLAC", "PCM_16"), comment)


def write_sound(
    path: Path,
    signal: Pieces,
    channels: int,
    sample_rate_hz: int,
    name: str | None = None,
    compression: float = 0.1,
) -> int:
    """Write the pieces of a signal to a file; the suffix of the file determines the format.

    Lossy formats are encoded at high quality, about 250 kbit/s for MP3. An Opus file has a sampling
    rate of 48 kHz.

    Args:
        path: file to write. The file is created only when the complete content has been written.
        signal: pieces of the signal, floating-point arrays of shape (channels, samples). Samples
            beyond +-1 are clipped, except in a WAV file with floating-point samples.
        channels: number of channels.
        sample_rate_hz: sampling rate of the signal.
        name: name of the sample format, see :func:`sample_format`.
        compression: compression of a lossy format, from 0 (largest file) to 1 (smallest file).

    Returns:
        The number of samples beyond +-1 in all channels.

    Raises:
        InputError: the format does not exist.
        FloatingPointError: the signal contains NaN or infinity, which would become noise.
        OSError: the file cannot be written.
    """
    chosen, signal = sample_format(path, name), _finite(signal, path)
    if chosen == ("OGG", "OPUS"):
        signal, sample_rate_hz = resampled(signal, sample_rate_hz, OPUS_RATE_HZ), OPUS_RATE_HZ
    return _write(path, signal, channels, sample_rate_hz, chosen, compression=compression)


def _finite(signal: Pieces, path: Path) -> Iterator[np.ndarray]:
    """Yield the pieces of a signal, and check that all samples are finite."""
    for piece in signal:
        if not np.isfinite(piece).all():
            raise FloatingPointError(f"{path}: the signal contains NaN or infinity")
        yield piece


def _write(
    path: Path,
    signal: Pieces,
    channels: int,
    sample_rate_hz: int,
    chosen: tuple[str, str],
    comment: str = "",
    compression: float = 0.1,
) -> int:
    """Write the pieces of a signal; return the number of samples beyond +-1."""
    container, subtype = chosen
    lossy = subtype in ("MPEG_LAYER_III", "VORBIS", "OPUS")
    beyond = 0
    with atomic_file(path) as temporary, temporary.open("r+b", buffering=0) as raw:
        target = _Target(raw)
        with soundfile.SoundFile(
            target,
            "w",
            sample_rate_hz,
            channels,
            subtype,
            format=container,
            compression_level=compression if lossy else None,
        ) as file:
            if comment:
                file.comment = comment
            for piece in signal:
                beyond += int(np.count_nonzero(np.abs(piece) > 1.0))
                samples = _stored(piece, subtype).T
                # The encoder of Vorbis needs memory on the stack for all samples of a call.
                for start in range(0, len(samples), 2**14):
                    file.write(samples[start : start + 2**14])
                if target.error:
                    break
        if target.error:
            raise target.error
    return beyond


def _stored(piece: np.ndarray, subtype: str) -> np.ndarray:
    """Convert samples to the data type for libsndfile; clip samples except for the format FLOAT."""
    if subtype == "FLOAT":
        return piece.astype(np.float32)
    if not subtype.startswith("PCM"):
        return np.clip(piece, -1.0, 1.0).astype(np.float32)
    # Like pyclarity's `clip_signal` and `to_16bit`, this function rounds samples towards zero, and
    # converts a sample of 1 to 32767.
    full_scale = FULL_SCALE_16_BIT if subtype == "PCM_16" else FULL_SCALE_24_BIT
    integers = np.clip(piece * full_scale, -full_scale, full_scale - 1)
    if subtype == "PCM_16":
        return integers.astype(np.int16)
    return integers.astype(np.int32) << 8  # libsndfile takes the 24 bits at the top
