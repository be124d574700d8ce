"""`name: directions`: assigns the mixture's bins to sources by direction of arrival.

Each player has a fixed position. So in each bin, the level difference and the phase difference
between the two channels are the same in all frames in which only this player sounds. Here, both
differences together are called the direction of arrival. The directions of each source are modelled
by a probability distribution in each bin (:mod:`cmss.transforms.angular_gaussian`). The prior
probability of a source at each time and frequency is the ratio mask of its estimate by the
separator, as in guided source separation (Boeddeker et al. 2018, CHiME-5).

Shapes: S sources, F bins, K frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from torch import Tensor

from cmss.separators.spectra import WINDOW
from cmss.separators.steps.step import Untrained
from cmss.transforms.angular_gaussian import (
    Distribution,
    direction_parts,
    learn_directions,
    log_likelihood,
)
from cmss.transforms.masks import log_masks, silent_sources
from cmss.transforms.tiles import tiles


@dataclass(frozen=True)
class Directions(Untrained):
    """Computes masks from the separator's estimates and the directions of arrival.

    A source that is silent in the estimates stays silent.

    Args:
        iterations: number of times that the distributions of the directions are estimated.
        weight: factor of the log-likelihood of the directions; the logarithms of the separator's
            masks have a factor of 1.
    """

    iterations: Annotated[int, Field(ge=1, le=1000)] = 4
    weight: Annotated[float, Field(ge=0, le=1000)] = 1.0

    looks_ahead = True

    def window_samples(self, sample_rate_hz: int) -> int:  # noqa: ARG002
        """See :class:`cmss.separators.steps.step.Step`; 186 ms at 44.1 kHz."""
        return WINDOW

    def context_s(self, sample_rate_hz: int) -> float:
        """See :class:`cmss.separators.steps.step.Step`."""
        # The context is a single window, because frames are independent once the moments are known.
        return WINDOW / sample_rate_hz

    def learn(self, mixture: Tensor, estimates: Tensor) -> tuple[Tensor, list[Distribution]]:
        """Return whether sources are silent, (S,), and the distributions of their directions."""
        silent = silent_sources(estimates)
        sources, _, bins, frames = estimates.shape
        prior = mixture.real.new_empty(sources, frames, bins).mT  # (S, F, K)
        for tile in tiles(frames):
            prior[..., tile] = log_masks(estimates[..., tile], silent)
        return silent, learn_directions(mixture, prior, self.iterations, self.weight)

    def apply(
        self,
        mixture: Tensor,
        estimates: Tensor,
        learned: tuple[Tensor, list[Distribution]],
        instruments: Sequence[str],  # noqa: ARG002
    ) -> Tensor:
        """See :class:`cmss.separators.steps.step.Step`."""
        silent, distributions = learned
        for tile in tiles(mixture.shape[-1]):
            X = mixture[..., tile]
            prior = log_masks(estimates[..., tile], silent)
            likelihood = log_likelihood(direction_parts(X).unsqueeze(-4), distributions)
            masks = (prior + self.weight * likelihood).softmax(0)  # (S, F, K)
            estimates[..., tile] = masks.unsqueeze(1) * X
        return estimates
