"""Gains in dB per source: the pool that scenes draw from.

The challenge's generator (`generate_train_scenes.py` in pyclarity's recipes) draws a gain at random
from a pool kept per number of instruments; so does the writer here.
"""

from itertools import product

import numpy as np

GAINS_DB = (-10, -6, -3, 0, 3, 6, 10)
_POOL_SIZE = 300

GainPool = dict[str, dict[str, dict[str, int]]]


def gain_pool(rng: np.random.Generator, sources: tuple[int, ...] = (2, 3, 4, 5)) -> GainPool:
    """gains_meta.json: {"<sources>": {"gain_0001": {"source_1": -10, ...}}}.

    Combinations are drawn without repetition. Equal gains for all are left out: they ask for
    nothing, since the level is restored.
    """
    pool: GainPool = {}
    number = 0
    for count in sources:
        choices = [c for c in product(GAINS_DB, repeat=count) if len(set(c)) > 1]
        kept = rng.permutation(len(choices))[:_POOL_SIZE]
        pool[str(count)] = {}
        for index in kept:
            number += 1
            pool[str(count)][f"gain_{number:04d}"] = {
                f"source_{n}": gain for n, gain in enumerate(choices[index], 1)
            }
    return pool
