"""Implements `name: directions`, which assigns bins to sources by direction of arrival.

The position of each player is fixed. Therefore, in each frequency bin, the level difference and the
phase difference between the two channels are constant over the frames in which only a single player
sounds. In this module, the direction of arrival means the level difference together with the phase
difference. In each bin, a probability distribution models the directions of arrival of each source
(:mod:`cmss.transforms.angular_gaussian`). The prior probability of a source at each time and
frequency is the ratio mask of the separator's estimate, as in guided source separation (Boeddeker
et al. 2018, CHiME-5).

In shapes, S is the number of sources, F the number of frequency bins, and K the number of frames.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from torch import Tensor

from cmss.machine.threads import for_each
from cmss.separators.spectra import WINDOW
from cmss.separators.steps.step import Untrained
from cmss.transforms.angular_gaussian import (
    EVERY,
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
        iterations: number of iterations in which the distributions of the directions are estimated.
        weight: factor by which the log-likelihood of the directions is multiplied before it is
            added to the logarithms of the separator's masks.
    """

    iterations: Annotated[int, Field(ge=1, le=1000)] = 4
    weight: Annotated[float, Field(ge=0, le=1000)] = 1.0

    looks_ahead = True

    def window_samples(self, sample_rate_hz: int) -> int:  # noqa: ARG002
        """See :class:`cmss.separators.steps.step.Step`; the window lasts 186 ms at 44.1 kHz."""
        return WINDOW

    def context_s(self, sample_rate_hz: int) -> float:
        """See :class:`cmss.separators.steps.step.Step`."""
        # A single window suffices, because frames are independent once the distributions are known.
        return WINDOW / sample_rate_hz

    def learn(self, mixture: Tensor, estimates: Tensor) -> tuple[Tensor, list[Distribution]]:
        """Find silent sources, and estimate the distribution of each source's directions.

        The directions are estimated from every third frame, see
        :data:`cmss.transforms.angular_gaussian.EVERY`.

        Returns:
            A bool array (S,) that is true for silent sources, and the distributions of the
            directions, which are the result of :func:`learn_directions`.
        """
        silent = silent_sources(estimates)
        mixture, estimates = mixture[..., ::EVERY], estimates[..., ::EVERY]
        sources, _, bins, frames = estimates.shape
        prior = mixture.real.new_empty(sources, frames, bins).mT  # (S, F, K)

        def compute(tile: slice) -> None:
            prior[..., tile] = log_masks(estimates[..., tile], silent)

        for_each(compute, tiles(frames))
        return silent, learn_directions(mixture, prior, self.iterations, self.weight)

    def apply(
        self,
        mixture: Tensor,
        estimates: Tensor,
        learned: tuple[Tensor, list[Distribution]],
    ) -> Tensor:
        """See :class:`cmss.separators.steps.step.Step`."""
        silent, distributions = learned

        def change(tile: slice) -> None:
            X = mixture[..., tile]
            prior = log_masks(estimates[..., tile], silent)
            likelihood = log_likelihood(direction_parts(X).unsqueeze(-4), distributions)
            masks = (prior + self.weight * likelihood).softmax(0)  # (S, F, K)
            estimates[..., tile] = masks.unsqueeze(1) * X

        for_each(change, tiles(mixture.shape[-1]))
        return estimates
