"""Reads and writes sound files, resamples signals and measures loudness.

A waveform is an array of shape (channels, samples). The libraries soundfile, soxr and pyloudnorm
use the shape (samples, channels); only this module transposes arrays.

This module reads and writes the same sample values as pyclarity (`clarity.utils.flac_encoder` and
`clarity.utils.signal_processing`), because scores are compared with those of the official code.
Unlike pyclarity, this module decodes only the excerpt, leaves no temporary WAV file, and does not
rescale a FLAC file if there is a `.txt` file of the same name.
"""

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from tqdm import tqdm

from cmss.command_line import one_line
from cmss.errors import InputError
from cmss.files.atomic import atomic_file
from cmss.files.containers import Container, Spliced, examine
from cmss.files.digests import file_sha256
from cmss.machine.pieces import Pieces

FULL_SCALE_16_BIT, FULL_SCALE_24_BIT = 32768.0, 8388608.0
SHORTEST_LOUDNESS_S = 0.4
"""Length of a gating block of ITU-R BS.1770-4. The integrated loudness of a shorter signal is not
defined."""

_UNKNOWN = np.iinfo(np.int64).max
"""Length that libsndfile returns for a FLAC stream whose header does not state its length."""


@dataclass(frozen=True)
class Excerpt:
    """An excerpt of a sound file, which starts at `start_s` and lasts `duration_s` seconds."""

    path: Path
    start_s: float
    duration_s: float

    def span(self, sample_rate_hz: int) -> tuple[int, int]:
        """Return the first sample and the end; both are rounded down as in the official code."""
        stop_s = self.start_s + self.duration_s
        return int(self.start_s * sample_rate_hz), int(stop_s * sample_rate_hz)


@dataclass(frozen=True)
class AudioHeader:
    """Properties of a sound file.

    Args:
        sample_rate_hz: sampling rate.
        channels: number of channels.
        samples: number of samples in each channel.
        format: container format, as named by libsndfile.
        subtype: sample format, as named by libsndfile.
        comment: text of the file's comment tag.
        sha256: SHA-256 digest of the file; None if the digest was not computed.
    """

    sample_rate_hz: int
    channels: int
    samples: int
    format: str
    subtype: str
    comment: str = ""
    sha256: str | None = None


def read_header(path: Path, digest: bool = False) -> AudioHeader:
    """Read the header of a sound file, and check that the length in the header is correct.

    The size of the file is compared with the length in the header, and the last sample is decoded
    if the format allows an exact seek. If the header states no length, the entire file is decoded
    to count the samples.

    Args:
        path: path of the sound file.
        digest: whether to compute the SHA-256 digest of the file as well.

    Raises:
        InputError: the file does not exist, is not a sound file, or is truncated.
    """
    with _opened(path, digest) as (file, container, sha256):
        return replace(_header(file, container, path), sha256=sha256)


def _header(file: "_Stream", container: Container, path: Path) -> AudioHeader:
    """Return the properties of an open file, without its digest; see :func:`read_header`."""
    samples = file.frames
    if container.stated:
        _require_end(file, path)
    else:
        status = path.stat()
        samples = _decoded_length(path, status.st_size, status.st_mtime_ns)
    if samples == 0:
        raise InputError(f"{path}: expected sound, got a file without samples")
    _report_length(path, container, samples)
    return AudioHeader(
        file.samplerate, file.channels, samples, file.format, file.subtype, file.comment
    )


class _Stream(soundfile.SoundFile):
    """A sound file that is decoded sequentially.

    If a file is seekable, SoundFile seeks to the current position after each call of `read`. In a
    FLAC stream of unknown length, such a seek fails; in a lossy file, the seek is not exact.
    """

    def seekable(self) -> bool:
        """Return False."""
        return False


@contextmanager
def _opened(path: Path, digest: bool = False) -> Iterator[tuple[_Stream, Container, str | None]]:
    """Open a sound file, check its container, and compute its digest if this is requested.

    Yields:
        The open file, the properties of its container, and its SHA-256 digest (None if `digest` is
        False).

    Raises:
        InputError: the file does not exist, is not a sound file, or is shorter than its container
            states.
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
                # libsndfile starts at the position of the descriptor, which buffering has changed.
                os.lseek(raw.fileno(), 0, os.SEEK_SET)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}") from error
        # The file is not opened by its name, because libsndfile takes files with some suffixes for
        # raw samples without a header.
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
    """Return whether libsndfile seeks to the exact sample, which it does not in lossy formats."""
    exact = file.subtype.startswith("PCM") or file.subtype in ("FLOAT", "DOUBLE", "ULAW", "ALAW")
    return exact and file.format not in ("OGG", "MP3") and file.frames != _UNKNOWN


def _require_end(file: _Stream, path: Path) -> None:
    """Decode the last sample to check the length, if the format allows an exact seek."""
    size = path.stat().st_size
    # By RFC 9639, a FLAC frame has at most 65535 samples and at least 12 bytes. The shortest frame
    # is silence in one channel.
    if file.format == "FLAC" and file.frames > size // 12 * 65535:
        raise InputError(
            f"{path}: truncated or damaged: the header states {file.frames} samples, "
            f"more than {size} bytes can hold"
        )
    if _is_exact(file) and file.frames:
        for _ in _decoded(file, path, file.frames - 1, file.frames):
            pass


@lru_cache(maxsize=4096)
def _decoded_length(path: Path, _size: int, _changed_ns: int) -> int:
    """Count the samples of a file by decoding it; cache the result until the file changes."""
    with _opened(path) as (file, *_):
        return sum(block.shape[1] for block in _blocks(file, path, 0, None))


def _blocks(
    file: _Stream, path: Path, start: int, stop: int | None
) -> Iterator[npt.NDArray[np.float32]]:
    """Decode samples `start` to `stop` (None: to the end) in blocks (channels, samples)."""
    position = 0
    try:
        if _is_exact(file):
            position = file.seek(start)
        while stop is None or position < stop:
            wanted = 2**16 if stop is None else min(2**16, stop - position)
            block = file.read(wanted, dtype="float32", always_2d=True)
            if not len(block):
                return
            # If the seek is not exact, the samples before the start are decoded and discarded.
            skipped = max(0, start - position)
            position += len(block)
            if skipped < len(block):
                yield np.ascontiguousarray(block[skipped:].T)
    except soundfile.LibsndfileError as error:
        stated = f"{file.frames} samples" if file.frames != _UNKNOWN else "more samples"
        missing = f"samples {start} to {stop}" if stop else f"samples after {position}"
        raise InputError(
            f"{path}: truncated or damaged: the header states {stated}, "
            f"but {missing} cannot be decoded"
        ) from error


def _decoded(
    file: _Stream, path: Path, start: int, stop: int | None
) -> Iterator[npt.NDArray[np.float32]]:
    """Decode samples `start` to `stop` (None: to the end) in blocks (channels, samples).

    Raises:
        InputError: the samples cannot be decoded, or end before `stop`.
    """
    position = start
    for block in _blocks(file, path, start, stop):
        position += block.shape[1]
        yield block
    if stop is not None and position != stop:
        raise InputError(
            f"{path}: truncated or damaged: the header states {file.frames} samples, "
            f"expected {start} to {stop}, the data end at {position}"
        )


def _checked(
    path: Path, blocks: Iterable[npt.NDArray[np.float32]]
) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the blocks of a signal, and check its values after the last block.

    Samples beyond full scale are reported once.

    Raises:
        InputError: the signal contains NaN, infinity or impossible values.
    """
    peak, beyond = np.float32(0.0), 0
    for block in blocks:
        # NaN and infinity propagate to the peak of the signal.
        of_block = np.maximum(block.max(initial=0.0), -block.min(initial=0.0))
        peak = np.maximum(peak, of_block)
        if not of_block <= 1.0:
            beyond += int(np.count_nonzero(np.abs(block) > 1.0))
        yield block
    if not np.isfinite(peak):
        raise InputError(f"{path}: the signal contains NaN or infinity")
    # A level of 60 dB above full scale does not occur in music. It occurs if integers were stored
    # as floats.
    if peak > 1000.0:
        raise InputError(
            f"{path}: a sample of {peak:g}, expected -1 to 1 (full scale); "
            "if these are integers stored as floats, divide them by their full scale"
        )
    if beyond:
        _print_once(
            path,
            "beyond full scale",
            f"{beyond} samples beyond full scale, the largest {peak:.4g}; they are not changed",
        )


def _read(file: _Stream, path: Path, start: int, stop: int | None) -> npt.NDArray[np.float32]:
    """Decode and check samples `start` to `stop`, or to the end: (channels, samples)."""
    empty = np.empty((file.channels, 0), np.float32)
    blocks = _checked(path, _decoded(file, path, start, stop))
    return np.concatenate([empty, *blocks], axis=1)


def _report_length(path: Path, container: Container, samples: int) -> None:
    """Report that a file states no length, or that it has data after its stated end."""
    if not container.stated:
        _print_once(
            path,
            "unstated",
            "the header states no length that can be checked; "
            f"used as far as it can be decoded, {samples} samples",
        )
    if container.surplus:
        _print_once(
            path,
            "surplus",
            f"{container.surplus} bytes after the stated end of the sound are not used; "
            "if the recording was interrupted, repair its header",
        )


_printed: set[tuple[Path, str]] = set()


def _print_once(path: Path, subject: str, text: str) -> None:
    """Print a line to standard error, but only once for the same file and subject."""
    if (path, subject) not in _printed:
        _printed.add((path, subject))
        tqdm.write(one_line(f"{path}: {text}"), file=sys.stderr)


def read_excerpt(excerpt: Excerpt, sample_rate_hz: int) -> npt.NDArray[np.float32]:
    """Decode an excerpt of a stereo file; see :func:`read_sound` for sample formats.

    Returns:
        The waveform, an array of shape (2, samples) and type float32.

    Raises:
        InputError: the file is unreadable, has another sampling rate, is not stereo, ends before
            the end of the excerpt, or has samples that are not finite.
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
                f"{path}: expected samples {start} to {stop}, the file has {header.samples}"
            )
        return _read(file, path, start, stop)


def read_span(path: Path, start: int, stop: int) -> npt.NDArray[np.float32]:
    """Decode samples `start` to `stop` of a file; a lossy format is decoded from its beginning.

    Returns:
        The waveform, an array of shape (channels, samples) and type float32.

    Raises:
        InputError: the file is unreadable, ends before `stop`, or has samples that are not finite.
    """
    with _opened(path) as (file, container, _):
        _header(file, container, path)
        return _read(file, path, start, stop)


def read_sound(
    path: Path,
    most_channels: int | None = None,
    check: Callable[[AudioHeader], None] | None = None,
) -> tuple[npt.NDArray[np.float32], int]:
    """Decode a file of any format and any sampling rate.

    All sample formats are decoded to float32, with 1 as full scale. Samples of 16 bits are divided
    by 32768, as in pyclarity. Samples beyond full scale are not clipped.

    Args:
        path: path of the sound file.
        most_channels: maximum number of channels; a file with more channels is refused.
        check: function that is called with the header before the file is decoded. The function may
            raise an exception to refuse the file.

    Returns:
        The waveform, an array of shape (channels, samples) and type float32, and the sampling rate
        in Hz.

    Raises:
        InputError: the file is missing, unreadable, empty or truncated, has too many channels, or
            has samples that are not finite.
    """
    with _opened(path) as (file, container, _):
        if most_channels:
            _require_channels(file, path, most_channels)
        if check:
            check(_header(file, container, path))
        elif container.stated:
            _require_end(file, path)
        signal = _read(file, path, 0, file.frames if container.stated else None)
        if signal.shape[1] == 0:
            raise InputError(f"{path}: expected sound, got a file without samples")
        _report_length(path, container, signal.shape[1])
        return signal, file.samplerate


def _require_channels(file: _Stream, path: Path, most_channels: int) -> None:
    if file.channels > most_channels:
        expected = " or ".join(map(str, range(1, most_channels + 1)))
        raise InputError(f"{path}: {file.channels} channels, expected {expected}")


def read_stereo(path: Path) -> tuple[npt.NDArray[np.float32], int]:
    """Decode a mono or stereo file to shape (2, samples); a mono signal is in both channels."""
    signal, rate_hz = read_sound(path, most_channels=2)
    return np.ascontiguousarray(np.broadcast_to(signal, (2, signal.shape[1]))), rate_hz


@contextmanager
def stereo_pieces(path: Path) -> Iterator[tuple[AudioHeader, Pieces]]:
    """Open a mono or stereo file, to decode it in pieces.

    Yields:
        Properties of the file; and an iterable of float32 pieces (2, samples), with mono in both
        channels. The iterable raises an InputError as :func:`read_sound` does: if a value is not
        valid, after the last piece.

    Raises:
        InputError: the file is missing, unreadable, empty or truncated, or has too many channels.
    """
    with _opened(path) as (file, container, _):
        _require_channels(file, path, 2)
        header = _header(file, container, path)
        blocks = _checked(path, _decoded(file, path, 0, header.samples))
        yield header, (np.broadcast_to(block, (2, block.shape[1])) for block in blocks)


def read_pipe(name: str, data: bytes) -> tuple[npt.NDArray[np.float32], int]:
    """Decode the output of another program, in a format that needs no seek.

    Args:
        name: source of the data, for messages.
        data: all bytes of the output.

    Returns:
        The waveform, an array of shape (channels, samples) and type float32, and the sampling rate
        in Hz.

    Raises:
        InputError: the data are unreadable, or have samples that are not finite.
    """
    try:
        file = _Stream(io.BytesIO(data))
    except soundfile.LibsndfileError as error:
        raise InputError(f"{name}: not a readable sound ({error.error_string})") from error
    with file:
        return _read(file, Path(name), 0, None), file.samplerate


def resampled_length(samples: int, from_hz: int, to_hz: int) -> int:
    """Return the number of samples after :func:`resample`; halves are rounded up."""
    return (2 * samples * to_hz + from_hz) // (2 * from_hz)


def resample(signal: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """Resample along the last axis with soxr at its quality HQ, as pyclarity does.

    Args:
        signal: floating-point signal of shape (samples,) or (channels, samples).
        from_hz: sampling rate of the signal.
        to_hz: sampling rate of the resampled signal.

    Returns:
        The resampled signal, with the dtype of the original. If both sampling rates are equal, the
        original signal is returned.
    """
    if from_hz == to_hz:
        return signal
    return np.ascontiguousarray(soxr.resample(signal.T, from_hz, to_hz, quality="HQ").T)


def resampled(signal: Pieces, from_hz: int, to_hz: int) -> Iterator[npt.NDArray[np.floating]]:
    """Resample a signal in pieces; the result equals that of :func:`resample`.

    Args:
        signal: pieces (channels, samples), floating point.
        from_hz: sampling rate of the signal.
        to_hz: sampling rate of the result.
    """
    if from_hz == to_hz:
        yield from signal
        return
    stream = None
    for piece in signal:
        if stream is None:
            stream = soxr.ResampleStream(
                from_hz, to_hz, len(piece), dtype=piece.dtype, quality="HQ"
            )
            nothing = np.empty((0, len(piece)), piece.dtype)
        yield stream.resample_chunk(np.ascontiguousarray(piece.T)).T
    if stream is not None:
        yield stream.resample_chunk(nothing, last=True).T


class _Target:
    """Receives the bytes that libsndfile writes, and keeps the first error of the system.

    libsndfile does not report the reason of an error, and an exception must not reach its C code.
    So libsndfile continues after an error, and the caller has to look at `error`.
    """

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write data; after an error, discard them."""
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
"""Dict from the suffix of a file to the format of libsndfile, and a dict from the name of a sample
format to that of libsndfile; the first sample format is the default."""

OPUS_RATE_HZ = 48000


def sample_format(path: Path, name: str | None = None) -> tuple[str, str]:
    """Return the format and the sample format of a file to write, as named by libsndfile.

    Args:
        path: the file, whose suffix is one of :data:`FORMATS`, in upper or lower case.
        name: name of the sample format in :data:`FORMATS`; None for the default of the suffix.

    Raises:
        InputError: the suffix or the sample format does not exist, or this version of libsndfile
            cannot write it.
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
        path: path of the file, which does not exist under this name until it is complete.
        signal: floating-point signal (channels, samples); samples beyond -1 to 1 are clipped.
        sample_rate_hz: sampling rate of the signal.
        soft_clip: whether to apply the function tanh to the signal first, as the official
            `soft_clip` does.
        comment: text of the comment tag, which :func:`read_header` returns.

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
    path: Path, signal: Pieces, channels: int, sample_rate_hz: int, name: str | None = None
) -> int:
    """Write a signal in pieces to a file whose suffix gives the format.

    A lossy format has a high quality: some 250 kbit/s for MP3. An Opus file has a sampling rate of
    48 kHz.

    Args:
        path: file to write; it appears only once it is complete.
        signal: pieces (channels, samples), floating point; samples beyond +-1 are clipped, except
            in a WAV of floating-point samples.
        channels: number of channels.
        sample_rate_hz: sampling rate of the signal.
        name: name of the sample format, see :func:`sample_format`.

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
    return _write(path, signal, channels, sample_rate_hz, chosen)


def _finite(signal: Pieces, path: Path) -> Iterator[np.ndarray]:
    """Yield the pieces of a signal, and check that they are finite."""
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
            compression_level=0.1 if lossy else None,
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
    """Convert samples to the type in which libsndfile receives them, clipped where necessary."""
    if subtype == "FLOAT":
        return piece.astype(np.float32)
    if not subtype.startswith("PCM"):
        return np.clip(piece, -1.0, 1.0).astype(np.float32)
    # As in pyclarity's `clip_signal` and `to_16bit`, samples are rounded towards zero, and a sample
    # of 1 becomes 32767.
    full_scale = FULL_SCALE_16_BIT if subtype == "PCM_16" else FULL_SCALE_24_BIT
    integers = np.clip(piece * full_scale, -full_scale, full_scale - 1)
    if subtype == "PCM_16":
        return integers.astype(np.int16)
    return integers.astype(np.int32) << 8  # libsndfile takes the 24 bits at the top


def loudness_lufs(signal: np.ndarray, sample_rate_hz: int) -> float:
    """Compute the integrated loudness (ITU-R BS.1770-4); -inf for silence.

    Args:
        signal: (channels, samples), mono or stereo, at least :data:`SHORTEST_LOUDNESS_S` long.
        sample_rate_hz: sampling rate of the signal.

    Raises:
        ValueError: the signal is shorter than :data:`SHORTEST_LOUDNESS_S` seconds.
    """
    return loudness_of_pieces([signal], sample_rate_hz)


def loudness_of_pieces(signal: Pieces, sample_rate_hz: int) -> float:
    """Compute the loudness of a signal in pieces (channels, samples), as :func:`loudness_lufs`."""
    # Imported late, because scipy.signal takes a second to import.
    import pyloudnorm
    from scipy.signal import sosfilt

    filters = pyloudnorm.Meter(sample_rate_hz)._filters.values()
    sections = np.array([[*(f.passband_gain * f.b), *f.a] for f in filters])
    block = SHORTEST_LOUDNESS_S * sample_rate_hz
    # As in pyloudnorm: a block begins after each quarter of a block, rounded down to a sample.
    spans = ((int(n / 4 * block), int((n / 4 + 1) * block)) for n in count())
    start, stop = next(spans)
    powers: list[float] = []
    state = None
    kept, offset = np.empty(0), 0  # squared samples of incomplete blocks, and position of the first
    for piece in signal:
        if state is None:
            state = np.zeros((len(sections), len(piece), 2))
        weighted, state = sosfilt(sections, piece, zi=state)
        kept = np.concatenate([kept, np.square(weighted).sum(axis=0)])
        while stop <= offset + len(kept):
            powers.append(kept[start - offset : stop - offset].sum() / block)
            start, stop = next(spans)
        kept, offset = kept[start - offset :], start
    samples = offset + len(kept)
    if samples < block:
        raise ValueError(f"{samples} samples: expected at least {SHORTEST_LOUDNESS_S:g} s")
    # The last block may be incomplete, because the number of blocks is rounded to the nearest.
    blocks = round(4 * (samples / block - 1)) + 1
    power = np.array([*powers, kept.sum() / block][:blocks])
    # Gating: first by -70 LUFS, then by 10 LU below the loudness of the remaining blocks.
    power = power[power >= 10 ** ((-70 + 0.691) / 10)]
    if not power.size:
        return -np.inf
    return float(-0.691 + 10 * np.log10(power[power > power.mean() / 10].mean()))


def true_peak(signal: Pieces, sample_rate_hz: int) -> float:
    """Return the largest magnitude of a signal between its samples, too (ITU-R BS.1770-4, Annex 2).

    Args:
        signal: pieces (channels, samples), floating point.
        sample_rate_hz: sampling rate of the signal, which is multiplied by four.
    """
    between = resampled(signal, sample_rate_hz, 4 * sample_rate_hz)
    return max((float(np.abs(piece).max(initial=0.0)) for piece in between), default=0.0)
