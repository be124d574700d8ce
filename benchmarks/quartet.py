"""A synthetic quartet for measurements of computing time."""

from pathlib import Path

import numpy as np

from benchmarks.sounds import RATE_HZ, stem
from cmss.audio import Excerpt
from cmss.scenes import Source

__all__ = ["RATE_HZ", "quartet"]

INSTRUMENTS = ("Flute", "Oboe", "Clarinet", "Bassoon", "Sax")


def quartet(seconds: float, players: int) -> tuple[np.ndarray, dict[str, Source]]:
    """Return a mixture (2, samples) of players that are panned from left to right."""
    sides = np.linspace(0.2, 0.8, players)
    parts = [stem(seconds, seed) for seed in range(players)]
    mixture = sum(
        np.stack([(1 - side) * part, side * part]) for side, part in zip(sides, parts, strict=True)
    )
    nowhere = Excerpt(Path("none.flac"), 0.0, seconds)
    keys = [f"source_{number}" for number in range(1, players + 1)]
    sources = {
        k: Source(k, name, None, nowhere) for k, name in zip(keys, INSTRUMENTS, strict=False)
    }
    return np.asarray(mixture, np.float32), sources
