"""Handles the input `present` of networks for all instruments: which sources are present.

In shapes, B is the batch size, S the number of sources of the network, P the largest number of
sources that are present in an example, and T the number of samples.
"""

import torch
from torch import Tensor


def presence(present: Tensor | None, mixture: Tensor, sources: int) -> Tensor:
    """Check which sources are present; by default, all sources are present.

    Args:
        present: whether each source is present, a bool array of shape (B, S), or None.
        mixture: the mixture, an array of shape (B, ...).
        sources: number S of outputs of the network.

    Returns:
        Whether each source is present, a bool array of shape (B, S).

    Raises:
        ValueError: in at least one example, no source is present.
    """
    if present is None:
        return mixture.new_ones(len(mixture), sources, dtype=torch.bool)
    if not present.any(1).all():
        raise ValueError("present: an example without any source")
    return present


def listed(present: Tensor) -> tuple[Tensor, Tensor]:
    """List the sources that are present in each example.

    The length P of each list is the largest number of sources that are present in an example. Lists
    with fewer sources are padded with absent sources.

    Args:
        present: whether each source is present, a bool array of shape (B, S).

    Returns:
        The indices of the listed sources, an array of shape (B, P), and a bool array of shape (B,
        P) that is false for the padding. Within an example, all indices are different.
    """
    order = present.int().argsort(dim=1, descending=True, stable=True)
    players = order[:, : int(present.sum(1).max())]
    return players, present.gather(1, players)


def of_players(x: Tensor, players: Tensor) -> Tensor:
    """From all sources (B, S, ...), select the sources (B, P, ...) that :func:`listed` returned."""
    return x[torch.arange(len(x), device=x.device).unsqueeze(1), players]


def in_places(estimates: Tensor, players: Tensor, sources: int) -> Tensor:
    """Invert :func:`of_players`: put the estimate of each listed source at the source's index.

    Args:
        estimates: estimates of the listed sources, an array of shape (B, P, 2, T). `estimates` is
            zero for the padding of the lists.
        players: indices from :func:`listed`, an array of shape (B, P).
        sources: number S of outputs of the network.

    Returns:
        The estimates of all sources, an array of shape (B, S, 2, T). The estimates of absent
        sources are zero.
    """
    output = estimates.new_zeros(len(estimates), sources, *estimates.shape[2:])
    return output.scatter(1, players[..., None, None].expand_as(estimates), estimates)


def mixture_consistent(estimates: Tensor, mixture: Tensor, present: Tensor) -> Tensor:
    """Change estimates so that their sum is the mixture, and set absent sources to zero.

    The difference between the mixture and the sum of the estimates is distributed equally among the
    sources that are present. The result is the nearest set of estimates whose sum is the mixture
    (Wisdom et al. 2019, "Differentiable consistency constraints for improved deep speech
    enhancement", section 3.2, with equal weights).

    Args:
        estimates: estimate of each source, an array of shape (B, S, 2, T).
        mixture: the mixture, an array of shape (B, 2, T).
        present: whether each source is present, a bool array of shape (B, S); at least one source
            is present in each example.

    Returns:
        The new estimates, an array of shape (B, S, 2, T).
    """
    playing = present[..., None, None].to(estimates.dtype)
    residual = mixture - (estimates * playing).sum(1)
    return (estimates + (residual / playing.sum(1)).unsqueeze(1)) * playing
