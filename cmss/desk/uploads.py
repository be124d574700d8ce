"""Receives a recording from the browser, and checks it."""

from collections.abc import AsyncIterator
from pathlib import Path

from cmss.audio import read_header
from cmss.errors import InputError
from cmss.listen.inputs import FFMPEG, check_recording

LONGEST_S = 600.0
"""Greatest length of a recording. The browser decodes all stems into memory, 21 MB for each minute
and stem. The pages of the desk share this memory with the audio thread, so that a recording may be
twice as long as that of a page from disk, for which it is copied."""


class TooLargeError(InputError):
    """A recording is larger than the desk accepts."""


def too_large(title: str, most_bytes: int) -> TooLargeError:
    """Return the error about a recording that is larger than the desk accepts."""
    return TooLargeError(f"{title}: expected at most {most_bytes / 1e6:g} MB; see --max-mb")


async def receive(chunks: AsyncIterator[bytes], path: Path, title: str, most_bytes: int) -> None:
    """Write a recording while it arrives.

    Args:
        chunks: parts of the file.
        path: file to write.
        title: name of the recording, for messages.
        most_bytes: greatest size.

    Raises:
        TooLargeError: the file is larger than `most_bytes`.
        OSError: the file cannot be written.
    """
    size = 0
    with path.open("wb") as file:
        async for chunk in chunks:
            size += len(chunk)
            if size > most_bytes:
                raise too_large(title, most_bytes)
            file.write(chunk)


def check(path: Path) -> None:
    """Check a recording as far as this is possible without decoding it.

    Raises:
        InputError: the file is not a sound, or has a property that the desk cannot use.
    """
    check_recording(path)
    if path.suffix not in FFMPEG:
        header = read_header(path)
        check_length(path, header.samples / header.sample_rate_hz)


def check_length(path: Path, seconds: float) -> None:
    """Check the length of a recording.

    Raises:
        InputError: the recording is longer than `LONGEST_S`.
    """
    if seconds > LONGEST_S:
        raise InputError(
            f"{path}: lasts {seconds:.0f} s, expected at most {LONGEST_S:.0f} s; "
            "cut the recording, or use cmss listen -o, which has no limit"
        )


def named(problems: tuple[str, ...], path: Path, title: str) -> list[str]:
    """Replace the path of a recording in messages by the name that the user knows."""
    return [line.replace(str(path), title) for line in problems]
