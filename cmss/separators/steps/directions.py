"""`name: directions`: assigns the mixture's bins to sources by direction of arrival.

Each player has a fixed position. Sound from this position reaches the two channels with the same
direction, that is, the same ratio of levels and phases, in all frames of a bin. The separator's
estimates guide a model of these directions: each source has a distribution in each bin
(:mod:`cmss.transforms.angular_gaussian`). Its prior probability at each time and frequency is the
ratio mask of its estimate, as in guided source separation (Boeddeker et al. 2018, CHiME-5).

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
    direction_parts,
    learn_directions,
    likelihood_of_moments,
)
from cmss.transforms.masks import log_masks, silent_sources


@dataclass(frozen=True)
class Directions(Untrained):
    """Computes masks from the estimates and their directions.

    A source that is silent in the estimates stays silent.

    Args:
        iterations: number of times that directions are estimated.
        weight: weight of the directions' log-likelihood, relative to the separator's estimates.
    """

    iterations: Annotated[int, Field(ge=1, le=1000)] = 4
    weight: Annotated[float, Field(ge=0, le=1000)] = 1.0

    looks_ahead = True

    def window_samples(self, sample_rate_hz: int) -> int:  # noqa: ARG002
        """See :class:`cmss.separators.steps.step.Step`; 186 ms at 44.1 kHz."""
        return WINDOW

    def context_s(self, sample_rate_hz: int) -> float:
        """See :class:`cmss.separators.steps.step.Step`."""
        # A window: given the moments, frames are independent.
        return WINDOW / sample_rate_hz

    def learn(self, mixture: Tensor, estimates: Tensor) -> tuple[Tensor, Tensor]:
        """Return whether sources are silent, (S,), and moments of the directions, (S, F, 4)."""
        silent = silent_sources(estimates)
        prior = log_masks(estimates, silent)
        return silent, learn_directions(mixture, prior, self.iterations, self.weight)

    def apply(
        self,
        mixture: Tensor,
        estimates: Tensor,
        learned: tuple[Tensor, Tensor],
        instruments: Sequence[str],  # noqa: ARG002
    ) -> Tensor:
        """See :class:`cmss.separators.steps.step.Step`."""
        silent, moments = learned
        prior = log_masks(estimates, silent)
        likelihood = likelihood_of_moments(direction_parts(mixture).unsqueeze(-4), moments)
        masks = (prior + self.weight * likelihood).softmax(0)  # (S, F, K)
        return masks.unsqueeze(1) * mixture
