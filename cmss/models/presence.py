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


def listed(present: Tensor) -> tuple[Tensor, Tensor]:
    """The sources that play, as many places for each example as the largest has players.

    Args:
        present: bool (B, S).

    Returns:
        (B, P) number of the source in each place, different in each, and bool (B, P), whether it
        is a source that plays.
    """
    order = present.int().argsort(dim=1, descending=True, stable=True)
    players = order[:, : int(present.sum(1).max())]
    return players, present.gather(1, players)


def in_places(estimates: Tensor, players: Tensor, sources: int) -> Tensor:
    """Estimates of the players that :func:`listed` gives, as those of all sources.

    Args:
        estimates: (B, P, 2, T), zero in the places that no player has.
        players: (B, P).
        sources: S, outputs of the network.

    Returns:
        (B, S, 2, T), zero where nobody plays.
    """
    output = estimates.new_zeros(len(estimates), sources, *estimates.shape[2:])
    return output.scatter(1, players[..., None, None].expand_as(estimates), estimates)


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
