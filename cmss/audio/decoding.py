"""Opens sound files, and decodes their samples in blocks.

Damaged and truncated files are refused, and so are samples that are not finite.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import IOBase
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from tqdm import tqdm

from cmss.command_line import one_line
from cmss.errors import InputError
from cmss.files.containers import Container, Spliced, examine
from cmss.files.digests import file_sha256

_UNKNOWN = np.iinfo(np.int64).max
"""Length that libsndfile returns for a FLAC stream of unknown length."""


class Stream(soundfile.SoundFile):
    """A sound file that is decoded sequentially.

    If a file is seekable, SoundFile seeks to the current position after each call of `read`. In a
    FLAC stream of unknown length, such a seek fails; in a lossy file, the seek is not exact.

    Args:
        source: binary file, or descriptor of a file.
        path: name of the file in messages.

    Raises:
        InputError: the data do not begin like a sound file.
    """

    def __init__(self, source: IOBase | int, path: Path) -> None:
        try:
            super().__init__(source, closefd=False)
        except soundfile.LibsndfileError as error:
            raise InputError(f"{path}: not a readable sound file ({error.error_string})") from error

    def seekable(self) -> bool:
        """Return False."""
        return False


@contextmanager
def opened(path: Path, digest: bool = False) -> Iterator[tuple[Stream, Container, str | None]]:
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
        with Stream(source, path) as file:
            is_mpeg = file.subtype.startswith("MPEG")
            if is_mpeg and (file.format != "MP3" or not (container.stated or container.head)):
                raise InputError(f"{path}: MP3 without readable frames; export it as WAV or FLAC")
            yield file, container, sha256


def _is_exact(file: Stream) -> bool:
    """Return whether libsndfile can seek to an exact sample; lossy formats do not allow this."""
    exact = file.subtype.startswith("PCM") or file.subtype in ("FLOAT", "DOUBLE", "ULAW", "ALAW")
    return exact and file.format not in ("OGG", "MP3") and file.frames != _UNKNOWN


def require_end(file: Stream, path: Path) -> None:
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
def decoded_length(path: Path, _size: int, _changed_ns: int) -> int:
    """Decode a file to count its samples; cache the result until the file changes."""
    with opened(path) as (file, *_):
        return sum(block.shape[1] for block in _blocks(file, path, 0, None))


def _blocks(
    file: Stream, path: Path, start: int, stop: int | None
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
    file: Stream, path: Path, start: int, stop: int | None
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


def checked_blocks(
    file: Stream, path: Path, start: int, stop: int | None
) -> Iterator[npt.NDArray[np.float32]]:
    """Decode samples `start` to `stop` (None: to the end) in blocks (channels, samples), and check.

    After the last block, invalid samples are reported. Samples beyond full scale are reported once.

    Raises:
        InputError: the samples cannot be decoded, end before `stop`, or contain NaN, infinity or
            impossible values.
    """
    peak, beyond = np.float32(0.0), 0
    for block in _decoded(file, path, start, stop):
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
        print_once(
            path,
            "beyond full scale",
            f"{beyond} samples beyond full scale, the largest {peak:.4g}; they are not changed",
        )


def decode(file: Stream, path: Path, start: int, stop: int | None) -> npt.NDArray[np.float32]:
    """Decode and check samples `start` to `stop` (None: to the end), as (channels, samples)."""
    empty = np.empty((file.channels, 0), np.float32)
    return np.concatenate([empty, *checked_blocks(file, path, start, stop)], axis=1)


_printed: set[tuple[Path, str]] = set()


def print_once(path: Path, subject: str, text: str) -> None:
    """Print a line to standard error at the first call with this file and this subject."""
    if (path, subject) not in _printed:
        _printed.add((path, subject))
        tqdm.write(one_line(f"{path}: {text}"), file=sys.stderr)
