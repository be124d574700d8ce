"""Decodes the audio streams of .stem.mp4 files with the program ffmpeg."""

import shutil
import subprocess
from pathlib import Path

import numpy as np

from cmss.audio import read_pipe
from cmss.errors import InputError


def require_ffmpeg() -> None:
    """Raise InputError if ffmpeg is not installed."""
    if not shutil.which("ffmpeg"):
        raise InputError(
            "ffmpeg: not found, and .stem.mp4 files need it; install it (Debian: apt install "
            "ffmpeg) or use MUSDB18-HQ, which has WAV files"
        )


def read_stream(path: Path, stream: int) -> tuple[np.ndarray, int]:
    """Decode an audio stream of a file.

    Args:
        path: path of the file.
        stream: index of the audio stream, from 0.

    Returns:
        The waveform (channels, samples) in float32, and the sampling rate in Hz.

    Raises:
        InputError: ffmpeg or the file is missing, the file has no such stream, or the stream cannot
            be decoded.
    """
    require_ffmpeg()
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    # ffmpeg never parses an absolute path as an option or a protocol. With -xerror, it fails on
    # damaged data. The format is AU, because a WAV header must state the length, which is not known
    # in advance when writing to a pipe.
    done = subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-xerror", "-i", f"file:{path.absolute()}",
         "-map", f"0:a:{stream}", "-c:a", "pcm_f32be", "-f", "au", "-"],
        capture_output=True,
        check=False,
    )  # fmt: skip
    # An AU header has at least 24 bytes, so output of less than 32 bytes contains no sound.
    if done.returncode or len(done.stdout) < 32:
        reason = done.stderr.decode(errors="replace").strip().splitlines() or ["no sound"]
        raise InputError(f"{path}: audio stream {stream}: ffmpeg: {reason[-1]}")
    return read_pipe(f"{path}: audio stream {stream}", done.stdout)
