"""Who plays from where: a step after any separator that sorts the mixture's bins by direction.

Every player has a place, and what reaches the two channels from one place has one direction, a
ratio of levels and phases, in all frames of a bin. A separator that looks at timbre guides a model
of these directions: each source has a distribution in each bin (:mod:`cmss.transforms.directions`),
whose prior probability at each time and frequency is the source's share of the estimates, as in
guided source separation (Boeddeker et al. 2018, CHiME-5).

Shapes: S sources, F bins, K frames.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from torch import Tensor

from cmss.transforms.directions import direction_likelihoods
from cmss.transforms.shares import log_shares

WINDOW = 8192
"""Samples; 186 ms at 44.1 kHz, longer than the first reflections of a room take."""


@dataclass(frozen=True)
class Spatial:
    """The section `separator.spatial`.

    Args:
        iterations: how often directions are estimated anew; 0: no such step.
        weight: how much directions count against the separator's estimates.
    """

    iterations: Annotated[int, Field(ge=0)] = 0
    weight: Annotated[float, Field(ge=0)] = 1.0


def sort_by_direction(mixture: Tensor, estimates: Tensor, settings: Spatial) -> Tensor:
    """Shares of the mixture that follow from the estimates and the directions they come from.

    Args:
        mixture: complex (2, F, K).
        estimates: complex (S, 2, F, K).
        settings: how often and how much.

    Returns:
        as `estimates`; their sum is the mixture, and a source that is silent in the estimates
        stays silent.
    """
    prior = log_shares(estimates)
    likelihood = direction_likelihoods(mixture, prior, settings.iterations, settings.weight)
    shares = (prior + settings.weight * likelihood).softmax(0)
    return shares.unsqueeze(1) * mixture
