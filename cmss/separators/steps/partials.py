"""Implements `name: partials`, which computes masks from powers in long windows.

Masks in short frames follow the notes, but they also fluctuate with the errors of the estimates.
With windows of 0.75 s, errors are averaged over time. Frequency bins are 1.3 Hz apart, so that
partials of different players rarely share a bin. Each bin is divided among the sources in
proportion to the powers of their estimates. This division is the Wiener filter of independent
sources.

In shapes, S is the number of sources, F the number of frequency bins, and K the number of frames.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from torch import Tensor

from cmss.separators.steps.step import Untrained
from cmss.transforms.tiles import channels_power


@dataclass(frozen=True)
class Partials(Untrained):
    """Divides the mixture among sources in proportion to the powers of the estimates.

    Where the estimate of a source is zero, the result for this source is zero. Where the estimates
    of all sources are zero, the mixture is divided equally among the sources.

    Args:
        window: length of the Hann window in samples.
    """

    window: Annotated[int, Field(ge=4, le=2**20, multiple_of=4)] = 32768

    looks_ahead = True

    def window_samples(self, sample_rate_hz: int) -> int:  # noqa: ARG002
        """See :class:`cmss.separators.steps.step.Step`; the window lasts 743 ms by default."""
        return self.window

    def context_s(self, sample_rate_hz: int) -> float:
        """See :class:`cmss.separators.steps.step.Step`."""
        # A single window suffices, because frames are independent.
        return self.window / sample_rate_hz

    def learn(self, mixture: Tensor, estimates: Tensor) -> None:
        """Return None, because this step needs no statistics of the recording."""

    def apply(
        self,
        mixture: Tensor,
        estimates: Tensor,
        learned: None,  # noqa: ARG002
    ) -> Tensor:
        """See :class:`cmss.separators.steps.step.Step`."""
        power = channels_power(estimates).unsqueeze(1)  # (S, 1, F, K)
        total = power.sum(0)
        masks = (power / total.where(total > 0, 1)).where(total > 0, 1 / len(power))
        return masks * mixture
