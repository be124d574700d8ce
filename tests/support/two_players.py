"""Two players with different directions of arrival."""

import numpy as np


def two_players(seconds: float = 3.0) -> np.ndarray:
    """(2, 2, samples) at 44.1 kHz, with notes that change four times a second."""
    time = np.arange(int(seconds * 44100)) / 44100
    rng = np.random.default_rng(0)
    players = []
    for base, sides in ((300.0, (1.0, 0.5)), (420.0, (0.4, 1.0))):
        hz = np.repeat(base * 2 ** (rng.integers(0, 8, 4 * int(seconds) + 1) / 12), 11025)
        phase = 2 * np.pi * np.cumsum(hz[: len(time)]) / 44100
        tone = sum(np.sin(n * phase) / n for n in range(1, 8))
        players.append([side * tone for side in sides])
    return np.asarray(players, np.float32)
