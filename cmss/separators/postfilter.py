"""Trained steps after any separator: post-filters of :mod:`cmss.models.postfilter`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmss.models.checkpoint import sha256
from cmss.models.postfilter import load_postfilter
from cmss.scenes import Source
from cmss.separators.protocol import Around, Separator, Stems
from cmss.separators.refined import refine

PACKAGED = ("small", "second_small")


@dataclass(frozen=True)
class Postfiltering:
    """The section `separator.postfilter`.

    Args:
        weights_from: one or several, in turn: `small`, in the package, trained behind the default
            ensemble; `second_small`, trained behind that; or a file that fit_postfilter.py wrote.
            Behind a separator whose estimates are doubted less or more than those it was trained
            on it does harm. None: no such step.
    """

    weights_from: str | list[str] | None = None

    @property
    def paths(self) -> list[Path]:
        """Those of the weights, in turn."""
        names = self.weights_from or []
        folder = Path(str(files("cmss") / "weights"))
        return [
            folder / f"postfilter_{name}.safetensors" if name in PACKAGED else Path(name)
            for name in ([names] if isinstance(names, str) else names)
        ]


class Postfiltered(Around):
    """Corrects a separator's estimates.

    Args:
        separator: what estimates.
        path: the weights.

    Raises:
        InputError: no such weights.
    """

    def __init__(self, separator: Separator, path: Path) -> None:
        super().__init__(separator)
        self._network = load_postfilter(path)
        self._digest = {str(path): sha256(path)}
        # Bins lie as far apart as in training, whatever the sampling rate.
        arguments = self._network.arguments
        rate = self.sample_rate_hz / arguments.samplerate
        self._window = 4 * round(arguments.window * rate / 4)

    @property
    def weights(self) -> dict[str, str]:
        """The separator's and its own."""
        return {**self.separator.weights, **self._digest}

    def separate(self, mixture: NDArray[np.float32], sources: Mapping[str, Source]) -> Stems:
        """See :class:`Separator`."""
        stems = self.separator.separate(mixture, sources)
        alike = equals(sources[key].instrument for key in stems)

        def step(mixture: Tensor, estimates: Tensor) -> Tensor:
            with torch.inference_mode():
                return self._network(mixture, estimates, alike)

        return refine(step, mixture, stems, self.sample_rate_hz, self._window)


def equals(instruments: Iterable[str]) -> list[list[int]]:
    """Numbers of those that play one instrument, for each that several play."""
    players: dict[str, list[int]] = {}
    for number, instrument in enumerate(instruments):
        players.setdefault(instrument, []).append(number)
    return [group for group in players.values() if len(group) > 1]
