"""Decodes sound files with libsndfile: excerpts or entire files, at once or in pieces."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cmss.audio.decoding import (
    Stream,
    checked_blocks,
    decode,
    decoded_length,
    opened,
    print_once,
    require_end,
)
from cmss.errors import InputError
from cmss.files.containers import Container
from cmss.machine.pieces import Pieces


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
    with opened(path, digest) as (file, container, sha256):
        return replace(_header(file, container, path), sha256=sha256)


def _header(file: Stream, container: Container, path: Path) -> AudioHeader:
    """Return the properties of an open file, except the digest; see :func:`read_header`."""
    samples = file.frames
    if container.stated:
        require_end(file, path)
    else:
        status = path.stat()
        samples = decoded_length(path, status.st_size, status.st_mtime_ns)
    if samples == 0:
        raise InputError(f"{path}: expected sound, got a file without samples")
    _report_length(path, container, samples)
    return AudioHeader(
        file.samplerate, file.channels, samples, file.format, file.subtype, file.comment
    )


def _report_length(path: Path, container: Container, samples: int) -> None:
    """Report that a file states no length, or that data follow the stated end of the file."""
    if not container.stated:
        print_once(
            path,
            "unstated",
            "the header states no length that can be checked; "
            f"used as far as it can be decoded, {samples} samples",
        )
    if container.surplus:
        print_once(
            path,
            "surplus",
            f"{container.surplus} bytes after the stated end of the sound are not used; "
            "if the recording was interrupted, repair its header",
        )


def read_excerpt(excerpt: Excerpt, sample_rate_hz: int) -> npt.NDArray[np.float32]:
    """Decode an excerpt of a stereo file; see :func:`read_sound` for sample formats.

    Returns:
        The waveform, an array of shape (2, samples) and type float32.

    Raises:
        InputError: the file is unreadable, has another sampling rate, is not stereo, ends before
            the end of the excerpt, or has samples that are not finite.
    """
    path = excerpt.path
    with opened(path) as (file, container, _):
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
        return decode(file, path, start, stop)


def read_span(path: Path, start: int, stop: int) -> npt.NDArray[np.float32]:
    """Decode samples `start` to `stop` of a file; a lossy file is decoded from the beginning.

    Returns:
        The waveform, an array of shape (channels, samples) and type float32.

    Raises:
        InputError: the file is unreadable, ends before `stop`, or has samples that are not finite.
    """
    with opened(path) as (file, container, _):
        _header(file, container, path)
        return decode(file, path, start, stop)


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
    with opened(path) as (file, container, _):
        if most_channels:
            _require_channels(file, path, most_channels)
        if check:
            check(_header(file, container, path))
        elif container.stated:
            require_end(file, path)
        signal = decode(file, path, 0, file.frames if container.stated else None)
        if signal.shape[1] == 0:
            raise InputError(f"{path}: expected sound, got a file without samples")
        _report_length(path, container, signal.shape[1])
        return signal, file.samplerate


def _require_channels(file: Stream, path: Path, most_channels: int) -> None:
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
    with opened(path) as (file, container, _):
        _require_channels(file, path, 2)
        header = _header(file, container, path)
        blocks = checked_blocks(file, path, 0, header.samples)
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
    with Stream(io.BytesIO(data), Path(name)) as file:
        return decode(file, Path(name), 0, None), file.samplerate
