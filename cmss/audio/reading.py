"""Decodes sound files with libsndfile: excerpts or entire files, at once or in pieces."""

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from tqdm import tqdm

from cmss.command_line import one_line
from cmss.errors import InputError
from cmss.files.containers import Container, Spliced, examine
from cmss.files.digests import file_sha256
from cmss.machine.pieces import Pieces

_UNKNOWN = np.iinfo(np.int64).max
"""Length that libsndfile returns for a FLAC stream of unknown length."""


@dataclass(frozen=True)
class Excerpt:
    """Defines an excerpt of a sound file by the start and the duration of the excerpt."""

    path: Path
    start_s: float
    duration_s: float

    def span(self, sample_rate_hz: int) -> tuple[int, int]:
        """Return the index of the first sample, and the index that follows the last sample.

        The official code also rounds both indices down.
        """
        stop_s = self.start_s + self.duration_s
        return int(self.start_s * sample_rate_hz), int(stop_s * sample_rate_hz)


@dataclass(frozen=True)
class AudioHeader:
    """Properties of a sound file.

    Args:
        sample_rate_hz: sampling rate.
        channels: number of channels.
        samples: number of samples in each channel.
        format: container format, as libsndfile names it, for example WAV.
        subtype: sample format, as libsndfile names it, for example PCM_16.
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
    """Return the properties of an open file, except the digest; see :func:`read_header`."""
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
    """Open a sound file, check the container, and compute the digest if `digest` is True.

    Yields:
        The open file, the properties of the container, and the SHA-256 digest of the file (None if
        `digest` is False).

    Raises:
        InputError: the file does not exist, is not a sound file, or is shorter than the container
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
        # The file is not opened by its name, because libsndfile reads files with some suffixes as
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
    """Return whether libsndfile can seek to an exact sample; lossy formats do not allow this."""
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
            f"but a file of {size} bytes cannot contain so many samples"
        )
    if _is_exact(file) and file.frames:
        for _ in _decoded(file, path, file.frames - 1, file.frames):
            pass


@lru_cache(maxsize=4096)
def _decoded_length(path: Path, _size: int, _changed_ns: int) -> int:
    """Decode a file to count its samples; cache the result until the file changes."""
    with _opened(path) as (file, *_):
        return sum(block.shape[1] for block in _blocks(file, path, 0, None))


def _blocks(
    file: _Stream, path: Path, start: int, stop: int | None
) -> Iterator[npt.NDArray[np.float32]]:
    """Decode samples `start` to `stop` in blocks (channels, samples).

    If `stop` is None, all samples from `start` to the end of the file are decoded.
    """
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
            f"but the data end at sample {position}; samples {start} to {stop} were requested"
        )


def _checked(
    path: Path, blocks: Iterable[npt.NDArray[np.float32]]
) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the blocks of a signal; after the last block, report invalid samples.

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
    """Decode and check samples `start` to `stop` (None: to the end), as (channels, samples)."""
    empty = np.empty((file.channels, 0), np.float32)
    blocks = _checked(path, _decoded(file, path, start, stop))
    return np.concatenate([empty, *blocks], axis=1)


def _report_length(path: Path, container: Container, samples: int) -> None:
    """Report that a file states no length, or that data follow the stated end of the file."""
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
    """Print a line to standard error at the first call with this file and this subject."""
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
    """Decode samples `start` to `stop` of a file; a lossy file is decoded from the beginning.

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
    by 32768; pyclarity does the same. Samples beyond full scale are not clipped.

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
    """Decode a mono or stereo file to shape (2, samples).

    A mono signal is copied to both channels.
    """
    signal, rate_hz = read_sound(path, most_channels=2)
    return np.ascontiguousarray(np.broadcast_to(signal, (2, signal.shape[1]))), rate_hz


@contextmanager
def stereo_pieces(path: Path) -> Iterator[tuple[AudioHeader, Pieces]]:
    """Open a mono or stereo file, to decode it in pieces.

    Yields:
        Properties of the file, and an iterable of float32 pieces (2, samples). Both channels of a
        mono signal are equal. If a sample is not valid, the iterable raises an InputError after the
        last piece.

    Raises:
        InputError: the file is missing, unreadable, empty or truncated, or has too many channels.
    """
    with _opened(path) as (file, container, _):
        _require_channels(file, path, 2)
        header = _header(file, container, path)
        blocks = _checked(path, _decoded(file, path, 0, header.samples))
        yield header, (np.broadcast_to(block, (2, block.shape[1])) for block in blocks)


def read_pipe(name: str, data: bytes) -> tuple[npt.NDArray[np.float32], int]:
    """Decode the output of another program; the format must not require seeking.

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
