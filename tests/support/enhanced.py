"""Enhancement without files, and a progress bar without output."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np

from cmss.audio import read_excerpt
from cmss.pipeline import System, enhance_scene, separate_track
from cmss.scenes import Pair, by_track


def enhance(system: System, pairs: Iterable[Pair]) -> Iterator[tuple[Pair, np.ndarray]]:
    """Enhance each pair, track by track: (2, samples) at the mixture's sampling rate."""
    for track, group in by_track(pairs):
        mixture = read_excerpt(track.mixture, system.separator.sample_rate_hz)
        stems = separate_track(system.separator, track, mixture)
        for pair in group:
            yield pair, enhance_scene(system, mixture, stems, pair.scene, pair.listener)


@contextmanager
def no_bar(**_: Any) -> Iterator[SimpleNamespace]:
    """A progress bar that shows nothing."""
    yield SimpleNamespace(update=lambda: None, set_postfix=lambda **_: None)
