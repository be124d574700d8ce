"""Sequential grouping: which player each note goes to, by its timbre."""

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cmss.nmf.factors import TINY, divergence_of, first_activations, product, update_activations

ITERATIONS = 20


def strangeness(spectra: Tensor, templates: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """How badly the templates of each instrument explain some notes.

    Args:
        spectra: (bands, notes) the spectrum of each.
        templates: instrument -> (1, bands, components).

    Returns:
        instrument -> (notes,) Kullback-Leibler divergence, of spectra whose sums are 1.
    """
    V = spectra / spectra.sum(0).clamp(min=TINY)
    found = {}
    for instrument, W in templates.items():
        H = first_activations(V, W)
        for _ in range(ITERATIONS):
            H = update_activations(V, W, H, "kl")
        L = product(W, H)
        notes = range(V.shape[1])
        found[instrument] = torch.tensor([divergence_of(V[:, n], L[:, n], "kl") for n in notes])
    return found


def assign(
    spans: Sequence[tuple[int, int]],
    weights: Sequence[float],
    costs: Mapping[str, Tensor],
    players: Counter[str],
) -> list[str]:
    """An instrument for each note, no instrument playing more notes at once than it has players.

    The weightiest notes choose first; where all are taken, the best instrument has the note.

    Args:
        spans: first and last frame of each note.
        weights: how much each counts.
        costs: instrument -> strangeness of each note.
        players: how many play each instrument.
    """
    chosen: dict[int, str] = {}
    for note in sorted(range(len(spans)), key=lambda note: -weights[note]):
        start, end = spans[note]
        busy = Counter(
            instrument
            for other, instrument in chosen.items()
            # A little of one note may ring into the next.
            if min(end, spans[other][1]) - max(start, spans[other][0])
            > 0.25 * min(end - start, spans[other][1] - spans[other][0])
        )
        order = sorted(costs, key=lambda instrument: float(costs[instrument][note]))
        free = [instrument for instrument in order if busy[instrument] < players[instrument]]
        chosen[note] = (free or order)[0]
    return [chosen[note] for note in range(len(spans))]
