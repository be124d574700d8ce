"""The progress of a separation."""

import numpy as np
import pytest

from cmss.api.players import players
from cmss.separators import build_separator
from cmss.separators.blocks import InBlocks
from cmss.separators.progress import Progress

RATE_HZ = 44100
SOURCES = players(["Violin", "Flute"])
ENSEMBLE = {
    "name": "ensemble",
    "members": [{"name": "nmf", "weight": 1.0}] * 2,
    "pool": "logarithmic",
    "steps": [{"name": "wiener"}],
}


@pytest.mark.parametrize("recordings", [1, 3])
def test_each_recording_is_counted_by_its_members(recordings):
    """The separator of several recordings is built once, and is not changed by the counting."""
    separator = build_separator(ENSEMBLE, RATE_HZ)
    separator.prepare(SOURCES.values())
    mixture = np.random.default_rng(0).standard_normal((2, RATE_HZ // 2)).astype(np.float32)
    for _ in range(recordings):
        fractions: list[float] = []
        done = Progress(fractions.append, mixture.shape[-1])
        InBlocks(done.watch(separator), done.block_done).separate(mixture, SOURCES)
        assert fractions == pytest.approx([0, 1 / 3, 2 / 3, 1])
