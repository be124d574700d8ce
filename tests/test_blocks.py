"""Long recordings in blocks: nothing is lost, and a block never exceeds its length."""

import numpy as np
import pytest

from cmss.separators import blocks, build_separator
from cmss.separators.blocks import InBlocks
from tests.support.separation import RATE_HZ, noise, sources

TRACK = sources("Oboe", "Flute")


class Halves:
    """Gives each source half of the mixture, and notes the lengths of the mixtures."""

    sample_rate_hz = RATE_HZ

    def __init__(self) -> None:
        self.samples: list[int] = []

    def separate(self, mixture, sources):
        self.samples.append(mixture.shape[-1])
        return dict.fromkeys(sources, mixture / 2)


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_S", 0.5)
    monkeypatch.setattr(blocks, "CROSS_FADE_S", 0.05)


@pytest.mark.parametrize("samples", [1, RATE_HZ // 2, RATE_HZ // 2 + 1, 2 * RATE_HZ + 17])
def test_stems_are_whole_and_blocks_short(samples):
    halves, mixture, reported = Halves(), noise(samples), []
    stems = InBlocks(halves, reported.append).separate(mixture, TRACK)
    assert list(stems) == list(TRACK)
    for stem in stems.values():
        # float32, and a window divided by itself.
        np.testing.assert_allclose(stem, mixture / 2, rtol=0, atol=1e-6)
    assert max(halves.samples) <= RATE_HZ // 2
    assert reported == halves.samples


def test_no_stems_of_a_separator_that_has_none():
    mixture = noise(2 * RATE_HZ)
    separator = build_separator({"name": "passthrough", "steps": [{"name": "wiener"}]}, RATE_HZ)
    assert isinstance(separator, InBlocks)
    assert separator.separate(mixture, TRACK) == {}


def test_steps_after_a_separator_and_pools_get_blocks():
    member = {"name": "passthrough", "weight": 1}
    step = [{"name": "wiener"}]
    ensemble = {"name": "ensemble", "members": [member], "normalise": True}
    in_blocks = [
        isinstance(build_separator(settings, RATE_HZ), InBlocks)
        for settings in (
            {"name": "passthrough"},
            {"name": "passthrough", "steps": step},
            ensemble,
            {**ensemble, "pool": "logarithmic"},
            {**ensemble, "steps": step},
            # The oracle reads the true stems of the full recording.
            {"name": "oracle", "steps": step},
            {**ensemble, "members": [member, {"name": "oracle", "weight": 1}], "steps": step},
        )
    ]
    assert in_blocks == [False, True, False, True, True, False, False]
