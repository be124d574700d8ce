"""Receives recordings from the browser, and checks them."""

from collections.abc import AsyncIterator
from pathlib import Path

from cmss.errors import InputError
from cmss.listen.inputs import check_recording, stated_seconds

LONGEST_S = 600.0
"""Maximum length of a recording in seconds. The browser decodes all stems into memory; each stem
takes 21 MB per minute. On a page from disk, the browser copies the decoded stems to the audio
thread. On the desk's pages, the main thread and the audio thread share the decoded stems. Therefore
a recording on the desk may be twice as long as a recording on a page from disk."""


class TooLargeError(InputError):
    """Raised if a recording is larger than the desk accepts."""


def too_large(title: str, most_bytes: int) -> TooLargeError:
    """Return the exception for a recording that is larger than the desk accepts."""
    return TooLargeError(
        f"{title}: expected at most {most_bytes / 1e6:g} MB; raise the limit with --max-mb"
    )


async def receive(chunks: AsyncIterator[bytes], path: Path, title: str, most_bytes: int) -> None:
    """Receive a recording, and write it to a file.

    Args:
        chunks: consecutive parts of the recording.
        path: file to write.
        title: name of the recording, for messages.
        most_bytes: maximum size in bytes.

    Raises:
        TooLargeError: the recording is larger than `most_bytes`.
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
    """Check the format, the length and the sampling rate of a recording.

    If the format requires ffmpeg, this function checks only that ffmpeg and the file exist.

    Raises:
        InputError: the file is not a sound file, or the desk cannot process it.
    """
    check_recording(path)
    check_length(path, stated_seconds(path))


def check_length(path: Path, seconds: float) -> None:
    """Check the length of a recording.

    Raises:
        InputError: the recording is longer than `LONGEST_S`.
    """
    if seconds > LONGEST_S:
        raise InputError(
            f"{path}: lasts {seconds:.0f} s, expected at most {LONGEST_S:.0f} s; "
            "cut the recording, or run `cmss listen -o`, which has no limit"
        )


def named(problems: tuple[str, ...], path: Path, title: str) -> list[str]:
    """In messages, replace the temporary path of a recording by the name of the recording."""
    return [line.replace(str(path), title) for line in problems]
