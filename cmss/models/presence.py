"""Who plays: what a network with an output for every instrument is told, and what follows."""

import torch
from torch import Tensor


def presence(present: Tensor | None, mixture: Tensor, sources: int) -> Tensor:
    """Which sources an example holds, bool (B, S); all of them where nothing is said.

    Args:
        present: bool (B, S).
        mixture: (B, ...).
        sources: S, outputs of the network.

    Raises:
        ValueError: an example has no source that is present, so nothing to divide it among.
    """
    if present is None:
        return mixture.new_ones(len(mixture), sources, dtype=torch.bool)
    if not present.any(1).all():
        raise ValueError("present: an example without any source")
    return present


def mixture_consistent(estimates: Tensor, mixture: Tensor, present: Tensor) -> Tensor:
    """Nearest estimates that sum to the mixture, where absent sources are zero.

    What the estimates leave of the mixture is shared equally among the sources that are present
    (Wisdom et al. 2019, "Differentiable consistency constraints for improved deep speech
    enhancement", section 3.2, with equal weights).

    Args:
        estimates: (B, S, 2, T).
        mixture: (B, 2, T).
        present: bool (B, S), in each example at least one.

    Returns:
        (B, S, 2, T).
    """
    playing = present[..., None, None].to(estimates.dtype)
    residual = mixture - (estimates * playing).sum(1)
    return (estimates + (residual / playing.sum(1)).unsqueeze(1)) * playing
