"""Assigns each note to an instrument by its timbre (sequential grouping)."""

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cmss.nmf.factors import TINY, divergence_of, initial_activations, product, update_activations


def template_divergences(spectra: Tensor, templates: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Compute the divergence between the spectrum of each note and each instrument's templates.

    The spectrum is scaled to a sum of 1, and the templates are fitted to the spectrum. The result
    is the Kullback-Leibler divergence between the scaled spectrum and the fit.

    Args:
        spectra: spectrum of each note, an array of shape (bands, notes).
        templates: dict from the instrument to an array of shape (1, bands, components) with the
            templates of the instrument.

    Returns:
        Dict from the instrument to an array of shape (notes,) with the divergence of each note.
    """
    V = spectra / spectra.sum(0).clamp(min=TINY)
    divergences = {}
    for instrument, W in templates.items():
        H = initial_activations(V, W)
        for _ in range(20):
            H = update_activations(V, W, H, "kl")
        L = product(W, H)
        notes = range(V.shape[1])
        divergences[instrument] = torch.tensor(
            [divergence_of(V[:, n], L[:, n], "kl") for n in notes]
        )
    return divergences


def assign(
    spans: Sequence[tuple[int, int]],
    weights: Sequence[float],
    costs: Mapping[str, Tensor],
    players: Counter[str],
) -> list[str]:
    """Assign an instrument to each note; if possible, each player has one note at a time.

    Notes are assigned in order of decreasing weight. A note gets the instrument with the lowest
    cost among the instruments with a free player. If the players of all instruments are busy, the
    note gets the instrument with the lowest cost among all instruments.

    Args:
        spans: first and last frame of each note.
        weights: weight of each note; the notes with the largest weights are assigned first.
        costs: result of :func:`template_divergences`, the divergences for each instrument.
        players: number of players of each instrument.

    Returns:
        The instrument of each note.
    """
    chosen: dict[int, str] = {}
    for note in sorted(range(len(spans)), key=lambda note: -weights[note]):
        start, end = spans[note]
        busy = Counter(
            instrument
            for other, instrument in chosen.items()
            # Two notes of a player may overlap by up to a quarter of the shorter note, because a
            # note may ring while the next note begins.
            if min(end, spans[other][1]) - max(start, spans[other][0])
            > 0.25 * min(end - start, spans[other][1] - spans[other][0])
        )
        order = sorted(costs, key=lambda instrument: float(costs[instrument][note]))
        free = [instrument for instrument in order if busy[instrument] < players[instrument]]
        chosen[note] = (free or order)[0]
    return [chosen[note] for note in range(len(spans))]
