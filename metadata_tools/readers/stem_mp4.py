"""One of the sounds in a .stem.mp4 file, by the system's ffmpeg."""

import shutil
import subprocess
from pathlib import Path

import numpy as np

from cmss.audio import read_pipe
from cmss.errors import InputError

FFMPEG = "ffmpeg"


def require_ffmpeg() -> None:
    """Raise InputError if there is no ffmpeg."""
    if not shutil.which(FFMPEG):
        raise InputError(
            "ffmpeg: not found, and .stem.mp4 files need it; install it (Debian: apt install "
            "ffmpeg) or use MUSDB18-HQ, which has WAV files"
        )


def read_stream(path: Path, stream: int) -> tuple[np.ndarray, int]:
    """Decode one audio stream of a file.

    Args:
        stream: number among the audio streams, from 0.

    Returns:
        (channels, samples) float32 and its sampling rate in Hz.

    Raises:
        InputError: no ffmpeg, no such file or stream, or it cannot be decoded.
    """
    require_ffmpeg()
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    # An absolute path cannot be taken for an option or for a protocol; `xerror` ends at damage.
    # AU, because the length of a WAV has to be known before it is written into a pipe.
    done = subprocess.run(
        [FFMPEG, "-nostdin", "-v", "error", "-xerror", "-i", f"file:{path.absolute()}",
         "-map", f"0:a:{stream}", "-c:a", "pcm_f32be", "-f", "au", "-"],
        capture_output=True,
        check=False,
    )  # fmt: skip
    if done.returncode or len(done.stdout) < 32:
        reason = done.stderr.decode(errors="replace").strip().splitlines() or ["no sound"]
        raise InputError(f"{path}: audio stream {stream}: ffmpeg: {reason[-1]}")
    return read_pipe(f"{path}: audio stream {stream}", done.stdout)
