"""Presence of sources: an input of networks that have an output for every instrument.

Shapes: B batch, S sources of the network, P players of an example, T samples.
"""

import torch
from torch import Tensor


def presence(present: Tensor | None, mixture: Tensor, sources: int) -> Tensor:
    """Check the presence of sources, or return that all sources are present if it is None.

    Args:
        present: whether each source is present, bool (B, S), or None.
        mixture: the mixture, (B, ...).
        sources: number S of outputs of the network.

    Returns:
        Whether each source is present, bool (B, S).

    Raises:
        ValueError: an example has no source that is present.
    """
    if present is None:
        return mixture.new_ones(len(mixture), sources, dtype=torch.bool)
    if not present.any(1).all():
        raise ValueError("present: an example without any source")
    return present


def listed(present: Tensor) -> tuple[Tensor, Tensor]:
    """List the sources that are present in each example.

    P is the largest number of sources that are present in an example. The lists of other examples
    are padded to this length with absent sources.

    Args:
        present: whether each source is present, bool (B, S).

    Returns:
        Indices of sources (B, P), which are all different within an example, and bool (B, P), False
        for padding.
    """
    order = present.int().argsort(dim=1, descending=True, stable=True)
    players = order[:, : int(present.sum(1).max())]
    return players, present.gather(1, players)


def of_players(x: Tensor, players: Tensor) -> Tensor:
    """Select the sources that :func:`listed` lists: (B, S, ...), (B, P) -> (B, P, ...)."""
    return x[torch.arange(len(x), device=x.device).unsqueeze(1), players]


def in_places(estimates: Tensor, players: Tensor, sources: int) -> Tensor:
    """Invert :func:`listed`: place the estimates of the players at their source indices.

    Args:
        estimates: estimates of the listed sources, (B, P, 2, T), zero for padding.
        players: indices from :func:`listed`, (B, P).
        sources: number S of outputs of the network.

    Returns:
        The estimates of all sources, (B, S, 2, T), zero for absent sources.
    """
    output = estimates.new_zeros(len(estimates), sources, *estimates.shape[2:])
    return output.scatter(1, players[..., None, None].expand_as(estimates), estimates)


def mixture_consistent(estimates: Tensor, mixture: Tensor, present: Tensor) -> Tensor:
    """Project estimates so that they sum to the mixture, and set absent sources to zero.

    The difference between the mixture and the sum of the estimates is distributed equally among the
    sources that are present. This is the nearest consistent set of estimates (Wisdom et al. 2019,
    "Differentiable consistency constraints for improved deep speech enhancement", section 3.2, with
    equal weights).

    Args:
        estimates: estimate of each source, (B, S, 2, T).
        mixture: the mixture, (B, 2, T).
        present: whether each source is present, bool (B, S); at least one source is present in each
            example.

    Returns:
        The new estimates, (B, S, 2, T).
    """
    playing = present[..., None, None].to(estimates.dtype)
    residual = mixture - (estimates * playing).sum(1)
    return (estimates + (residual / playing.sum(1)).unsqueeze(1)) * playing
