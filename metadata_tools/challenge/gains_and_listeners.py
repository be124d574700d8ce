"""Draws random gains and listeners for new data sets."""

from itertools import product

import numpy as np

from cmss.hearing.prescription import compression_from_audiogram

AUDIOGRAM_FREQUENCIES_HZ = (250, 500, 1000, 2000, 3000, 4000, 6000, 8000)

STANDARD_AUDIOGRAMS_DB = {
    "N1": (10, 10, 10, 15, 20, 30, 40, 45),
    "N2": (20, 20, 25, 35, 40, 45, 50, 55),
    "N3": (35, 35, 40, 50, 55, 60, 65, 70),
    "N4": (55, 55, 55, 65, 70, 75, 80, 80),
    "S1": (10, 10, 10, 15, 30, 55, 70, 75),
    "S2": (20, 20, 25, 55, 75, 80, 80, 80),
}
"""Standard audiograms in dB HL at AUDIOGRAM_FREQUENCIES_HZ (Bisgaard, Vlaming and Dahlquist, Trends
in Amplification 14, 2010, pp. 113-120). The published audiograms end at 6 kHz; the value at 8 kHz
continues the slope."""

MOST_LISTENERS = 98
"""Number of listener ids in the test split, which has the fewest ids."""

_FIRST_ID = {"train": 1, "valid": 5001, "test": 6201}
_WITHOUT_LOSS_ID = {"train": "L0999", "valid": "L5999", "test": "L6299"}


def gain_pool(
    rng: np.random.Generator, sources: tuple[int, ...] = (2, 3, 4, 5)
) -> dict[str, dict[str, dict[str, int]]]:
    """Draw combinations of gains for scenes, and return the content of gains_meta.json.

    The challenge's generator (`generate_train_scenes.py` of pyclarity) has a pool of combinations
    for each number of sources. No combination occurs twice. Combinations with equal gains for all
    sources are left out. Equal gains would have no effect, because the remix is scaled to the level
    of the mixture (:mod:`cmss.remix`).

    For each number of sources, 300 combinations are drawn. If fewer than 300 combinations exist for
    a number of sources, the pool contains all of these combinations.

    Args:
        rng: random generator for the combinations.
        sources: numbers of sources for which combinations are drawn.

    Returns:
        The pool with gains in dB, for instance {"2": {"gain_0001": {"source_1": -10, ...}, ...}}.
    """
    pool: dict[str, dict[str, dict[str, int]]] = {}
    number = 0
    for count in sources:
        gains_db = (-10, -6, -3, 0, 3, 6, 10)  # as in the challenge
        choices = [c for c in product(gains_db, repeat=count) if len(set(c)) > 1]
        kept = rng.permutation(len(choices))[:300]
        pool[str(count)] = {}
        for index in kept:
            number += 1
            pool[str(count)][f"gain_{number:04d}"] = {
                f"source_{n}": gain for n, gain in enumerate(choices[index], 1)
            }
    return pool


def make_listeners(
    split: str, count: int, rng: np.random.Generator
) -> tuple[dict[str, dict], dict[str, dict]]:
    """Draw listeners with audiograms close to standard audiograms; the last listener has no loss.

    Args:
        split: train, valid or test; the ids of the listeners depend on the split.
        count: number of listeners.
        rng: random generator for the deviations from the standard audiograms.

    Returns:
        The contents of listeners.<split>.json and compressor_params.<split>.json: two dicts whose
        keys are the ids of the listeners.
    """
    shapes = list(STANDARD_AUDIOGRAMS_DB.values())
    listeners, compressors = {}, {}
    for index in range(count):
        if index == count - 1:
            name = _WITHOUT_LOSS_ID[split]
            left = right = np.zeros(len(AUDIOGRAM_FREQUENCIES_HZ), int)
        else:
            name = f"L{_FIRST_ID[split] + index:04d}"
            typical = np.array(shapes[index % len(shapes)]) + rng.normal(0, 4)
            left, right = (_measured(typical + rng.normal(0, 3, len(typical))) for _ in range(2))
        listeners[name] = {
            "name": name,
            "audiogram_cfs": list(AUDIOGRAM_FREQUENCIES_HZ),
            "audiogram_levels_l": left.tolist(),
            "audiogram_levels_r": right.tolist(),
        }
        entry: dict[str, list[float]] = {}
        for ear, levels in (("l", left), ("r", right)):
            bands, ratios, gains = compression_from_audiogram(
                AUDIOGRAM_FREQUENCIES_HZ, levels.tolist()
            )
            entry["frequencies"] = [int(band) for band in bands]
            entry[f"cr_{ear}"] = list(ratios)
            entry[f"gain_{ear}"] = list(gains)
        compressors[name] = entry
    return listeners, compressors


def _measured(levels_db: np.ndarray) -> np.ndarray:
    """Round hearing levels to multiples of 5 dB, and clip the levels at 0 dB HL and 80 dB HL."""
    return np.clip(np.round(levels_db / 5) * 5, 0, 80).astype(int)
