"""Finds recordings, and uses ffmpeg to decode the formats that libsndfile cannot read."""

import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cmss.audio import SHORTEST_LOUDNESS_S, read_header
from cmss.errors import InputError
from cmss.quantities import RECORDED_RATE_HZ

LIBSNDFILE = (".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus",
    ".rf64", ".snd", ".w64", ".wav")  # fmt: skip
FFMPEG = (".3gp", ".aac", ".ac3", ".amr", ".ape", ".avi", ".dts", ".eac3", ".flv", ".m2ts", ".m4a",
    ".m4b", ".m4v", ".mka", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wma", ".wmv",
    ".wv")  # fmt: skip
"""Suffixes of formats that ffmpeg converts to WAV.

libsndfile reads all other files, including files with an unknown suffix.
"""


def find_recordings(inputs: Sequence[Path]) -> list[Path]:
    """Replace each folder by the recordings in the folder, sorted by name.

    Recordings in subfolders are not included.

    Raises:
        InputError: a folder is not readable, or contains no file with the suffix of a recording.
    """
    found: dict[Path, None] = {}
    problems = []
    for path in inputs:
        if not path.is_dir():
            found[path] = None
            continue
        inside = [
            file
            for file in sorted(path.iterdir())
            if file.suffix.lower() in LIBSNDFILE + FFMPEG and not file.name.startswith(".")
        ]
        if not inside:
            problems.append(f"{path}: expected recordings, such as WAV or FLAC, found none")
        found.update(dict.fromkeys(inside))
    if problems:
        raise InputError(problems)
    return list(found)


def check_recording(path: Path) -> None:
    """Check the format, the length and the sampling rate of a recording.

    If the format requires ffmpeg, this function checks only that ffmpeg and the file exist.

    Raises:
        InputError: the file is missing or unreadable, has more than two channels or an impossible
            sampling rate, is too short to have a loudness, or requires ffmpeg, which is not
            installed.
    """
    if path.suffix.lower() in FFMPEG:
        _ffmpeg(path)
        return
    header = read_header(path)
    if header.channels > 2:
        raise InputError(f"{path}: {header.channels} channels, expected 1 or 2")
    if refusal := RECORDED_RATE_HZ.refusal([header.sample_rate_hz]):
        raise InputError(f"{path}: sampling rate: {refusal}")
    if header.samples < SHORTEST_LOUDNESS_S * header.sample_rate_hz:
        raise InputError(f"{path}: too short, expected at least {SHORTEST_LOUDNESS_S:g} s")


@contextmanager
def readable(path: Path) -> Iterator[Path]:
    """Yield a file that libsndfile can read: the recording itself, or a temporary WAV file.

    Raises:
        InputError: ffmpeg is missing or cannot decode the file.
        OSError: there is no space on the disk.
    """
    if path.suffix.lower() not in FFMPEG:
        yield path
        return
    program = _ffmpeg(path)
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / f"{path.stem}.wav"
        # With the prefix "file:", ffmpeg reads no name as a protocol such as http. Only the first
        # sound track is converted, to floating point, so that nothing is clipped.
        words = ["-nostdin", "-v", "error", "-i", f"file:{path}", "-map", "0:a:0"]
        words += ["-c:a", "pcm_f32le", "-rf64", "auto", f"file:{wav}"]
        ended = subprocess.run(
            [program, *words], capture_output=True, text=True, errors="replace", check=False
        )
        if ended.returncode or not wav.is_file():
            said = ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"]
            if "No space left" in ended.stderr:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), tempfile.gettempdir())
            raise InputError(f"{path}: ffmpeg cannot decode it: {said[-1]}")
        try:
            yield wav
        except InputError as error:
            lines = (line.replace(str(wav), str(path)) for line in error.problems)
            raise InputError(lines) from error


def stated_seconds(path: Path) -> float:
    """Return the length in the header of a recording; 0 for formats that only ffmpeg can read."""
    if path.suffix.lower() in FFMPEG:
        return 0.0
    header = read_header(path)
    return header.samples / header.sample_rate_hz


def _ffmpeg(path: Path) -> str:
    """Return the path of ffmpeg, which is needed to decode a file."""
    program = shutil.which("ffmpeg")
    if program is None:
        raise InputError(
            f"{path}: {path.suffix} files require the program ffmpeg, which is missing; "
            "install ffmpeg, or convert the file to WAV or FLAC"
        )
    if not path.is_file():
        raise InputError(f"{path}: no such audio file")
    return program
