"""`name: partials`: masks by power in windows long enough to resolve partials.

Masks that change from frame to frame follow the notes, and flutter where the estimates do. In
windows of three quarters of a second, bins are 1.3 Hz apart, partials of different players hardly
ever meet in one, and errors of single frames are outweighed by the others. So each bin of such a
spectrum is divided by the powers that the estimates have in it, which is the Wiener filter of
independent sources.

Shapes: S sources, F bins, K frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from torch import Tensor

from cmss.separators.steps.step import Untrained


@dataclass(frozen=True)
class Partials(Untrained):
    """Divides the mixture in each bin by the estimates' powers.

    A source that is silent in the estimates of a bin stays silent in it, unless all are.

    Args:
        window: samples of the Hann windows.
    """

    window: Annotated[int, Field(ge=4, le=2**20, multiple_of=4)] = 32768

    looks_ahead = True

    def window_samples(self, sample_rate_hz: int) -> int:  # noqa: ARG002
        """As set: 743 ms at 44.1 kHz by default."""
        return self.window

    def context_s(self, sample_rate_hz: int) -> float:
        """Bins are independent: the length of a window."""
        return self.window / sample_rate_hz

    def learn(self, mixture: Tensor, estimates: Tensor) -> None:
        """Nothing."""

    def apply(
        self,
        mixture: Tensor,
        estimates: Tensor,
        learned: None,  # noqa: ARG002
        instruments: Sequence[str],  # noqa: ARG002
    ) -> Tensor:
        """See :class:`cmss.separators.steps.step.Step`."""
        power = estimates.abs().square().mean(1, keepdim=True)
        total = power.sum(0)
        shares = (power / total.where(total > 0, 1)).where(total > 0, 1 / len(power))
        return shares * mixture
