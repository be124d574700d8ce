"""Audio streams of .stem.mp4 files, decoded by the system's ffmpeg."""

import shutil
import subprocess
from pathlib import Path

import numpy as np

from cmss.audio import read_pipe
from cmss.errors import InputError


def require_ffmpeg() -> None:
    """Raise InputError if there is no ffmpeg."""
    if not shutil.which("ffmpeg"):
        raise InputError(
            "ffmpeg: not found, and .stem.mp4 files need it; install it (Debian: apt install "
            "ffmpeg) or use MUSDB18-HQ, which has WAV files"
        )


def read_stream(path: Path, stream: int) -> tuple[np.ndarray, int]:
    """Decode one audio stream of a file.

    Args:
        path: the file.
        stream: number among the audio streams, from 0.

    Returns:
        (channels, samples) float32 and its sampling rate in Hz.

    Raises:
        InputError: no ffmpeg, no such file or stream, or it cannot be decoded.
    """
    require_ffmpeg()
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    # An absolute path is never parsed as an option or a protocol. With -xerror, damage is an error.
    # The format is AU, because a WAV header needs the length, which a pipe does not know.
    done = subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-xerror", "-i", f"file:{path.absolute()}",
         "-map", f"0:a:{stream}", "-c:a", "pcm_f32be", "-f", "au", "-"],
        capture_output=True,
        check=False,
    )  # fmt: skip
    # An AU header has at least 24 bytes: less than 32 are no sound.
    if done.returncode or len(done.stdout) < 32:
        reason = done.stderr.decode(errors="replace").strip().splitlines() or ["no sound"]
        raise InputError(f"{path}: audio stream {stream}: ffmpeg: {reason[-1]}")
    return read_pipe(f"{path}: audio stream {stream}", done.stdout)
