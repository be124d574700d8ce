"""Applies a sequence of steps to the estimates of a separator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cmss.scenes import Source
from cmss.separators.protocol import Around, Stems
from cmss.separators.spectra import on_spectra
from cmss.separators.steps.step import Step


@dataclass
class Stepped(Around):
    """Wrapper that applies steps to the estimates of a separator.

    If the separator returns no stems, this wrapper returns no stems either.

    Args:
        separator: separator that computes the estimates before the first step.
        steps: steps that are applied to the estimates in this order.
    """

    steps: Sequence[Step]

    @property
    def weights(self) -> dict[str, str]:
        """Dict from each weight file of the separator and of the steps to its SHA-256 digest."""
        own = {path: digest for step in self.steps for path, digest in step.weights.items()}
        return {**self.separator.weights, **own}

    def separate(self, mixture: NDArray[np.float32], sources: Mapping[str, Source]) -> Stems:
        """See :class:`Separator`."""
        stems = self.separator.separate(mixture, sources)
        return after_steps(self.steps, mixture, stems, self.sample_rate_hz)


def after_steps(
    steps: Sequence[Step], mixture: NDArray[np.float32], stems: Stems, sample_rate_hz: int
) -> Stems:
    """Apply steps in order to the estimates (2, samples) of a mixture (2, samples).

    Consecutive steps with the same window exchange spectra, so that the STFT and its inverse are
    computed only once for these steps. A step for which `needs_signals` is true always gets a new
    STFT of the estimates.
    """
    if not stems:
        return stems
    for of_window in sharing(steps, sample_rate_hz):

        def change(X: Tensor, Y: Tensor, of_window: Sequence[Step] = of_window) -> Tensor:
            for step in of_window:
                Y = step.apply(X, Y, step.learn(X, Y))
            return Y

        window = of_window[0].window_samples(sample_rate_hz)
        changed = on_spectra(change, mixture, list(stems.values()), window)
        stems = dict(zip(stems, changed, strict=True))
    return stems


def sharing(steps: Sequence[Step], sample_rate_hz: int) -> list[list[Step]]:
    """Group consecutive steps for which the STFT is computed only once."""
    groups: list[list[Step]] = []
    before = 0
    for step in steps:
        window = step.window_samples(sample_rate_hz)
        if step.needs_signals or window != before:
            groups.append([])
        groups[-1].append(step)
        before = window
    return groups
