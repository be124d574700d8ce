"""Shares by power where partials are resolved: a step after any separator.

Masks that change from frame to frame follow the notes, and flutter where the estimates do. Seen
through windows of three quarters of a second, bins are 1.3 Hz wide, partials of different players
hardly ever meet in one, and what an estimate got wrong now and then is outweighed by what it got
right in between. So each bin of such a spectrum is shared out by the powers that the estimates have
in it, which is the Wiener filter of sources that do not depend on each other.

Shapes: S sources, F bins, K frames.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from torch import Tensor


@dataclass(frozen=True)
class Partials:
    """The section `separator.partials`.

    Args:
        window: samples of the windows; 0: no such step.
    """

    window: Annotated[int, Field(ge=0, multiple_of=4)] = 0


def share_by_power(mixture: Tensor, estimates: Tensor) -> Tensor:
    """The mixture, shared out in each bin by the estimates' powers.

    Args:
        mixture: complex (2, F, K).
        estimates: complex (S, 2, F, K).

    Returns:
        as `estimates`; their sum is the mixture, and a source that is silent in the estimates stays
        silent, unless all are.
    """
    power = estimates.abs().square().mean(1, keepdim=True)
    total = power.sum(0)
    shares = (power / total.where(total > 0, 1)).where(total > 0, 1 / len(power))
    return shares * mixture
