"""A trained step after any separator: the post-filter of :mod:`cmss.models.postfilter`."""

from collections.abc import Mapping
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


@dataclass(frozen=True)
class Postfiltering:
    """The section `separator.postfilter`.

    Args:
        weights_from: `small`, in the package, trained behind the default ensemble; or a file that
            fit_postfilter.py wrote. Behind a separator whose estimates are doubted less or more
            than those it was trained on it does harm. None: no such step.
    """

    weights_from: str | None = None


class Postfiltered(Around):
    """Corrects a separator's estimates.

    Args:
        separator: what estimates.
        weights_from: see :class:`Postfiltering`.

    Raises:
        InputError: no such weights.
    """

    def __init__(self, separator: Separator, weights_from: str) -> None:
        super().__init__(separator)
        path = Path(weights_from)
        if weights_from == "small":
            path = Path(str(files("cmss") / "weights" / "postfilter_small.safetensors"))
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
        players: dict[str, list[int]] = {}
        for number, key in enumerate(stems):
            players.setdefault(sources[key].instrument, []).append(number)
        alike = [group for group in players.values() if len(group) > 1]

        def step(mixture: Tensor, estimates: Tensor) -> Tensor:
            with torch.inference_mode():
                return self._network(mixture, estimates, alike)

        return refine(step, mixture, stems, self.sample_rate_hz, self._window)
