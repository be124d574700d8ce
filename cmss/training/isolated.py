"""Spectrograms of each instrument alone, to learn templates from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from cmss.audio import Excerpt, read_excerpt, resample
from cmss.errors import InputError
from cmss.nmf.factors import Divergence
from cmss.nmf.spectrogram import Analysis
from cmss.scenes import Track
from cmss.settings import Count, Seed, Steps


@dataclass(frozen=True)
class Learning:
    """The section `dictionaries`.

    Args:
        divergence: `kl`, of magnitudes, or `is`, of powers.
        lags: frames in a template.
        components: templates of each instrument.
        iterations: of both factors.
        stems: how many of each instrument are looked at, evenly spread over the tracks.
        seconds: of each of them, from its middle.
        seed: of the excerpts that templates start as.
    """

    divergence: Divergence
    lags: Annotated[int, Field(ge=1, le=1000)]
    components: Annotated[int, Field(ge=1, le=10000)]
    iterations: Steps
    stems: Count
    seconds: Annotated[float, Field(ge=0.1)]
    seed: Seed


def isolated_stems(tracks: Sequence[Track]) -> dict[str, list[Excerpt]]:
    """All stems by instrument, instruments in alphabetical order."""
    stems: dict[str, list[Excerpt]] = {}
    for track in tracks:
        for source in track.sources.values():
            stems.setdefault(source.instrument, []).append(source.excerpt)
    return dict(sorted(stems.items()))


def isolated_spectrogram(
    stems: Sequence[Excerpt], learning: Learning, analysis: Analysis, sample_rate_hz: int
) -> Tensor:
    """One spectrogram of some stems, one after another, all at one level.

    Args:
        stems: of one instrument.
        learning: how much of them.
        analysis: how to look at them.
        sample_rate_hz: of their files.

    Returns:
        (bands, frames), of both channels' mean.

    Raises:
        InputError: a stem that cannot be read, or nothing but silence.
    """
    count = min(learning.stems, len(stems))
    spectrograms = []
    for number in range(count):
        excerpt = _middle(stems[number * len(stems) // count], learning.seconds)
        signal = read_excerpt(excerpt, sample_rate_hz)
        signal = resample(signal, sample_rate_hz, analysis.sample_rate_hz)
        V = analysis.spectrogram(analysis.spectra(torch.from_numpy(signal))).mean(0)
        if V.any():
            spectrograms.append(V / V.mean())
    if not spectrograms:
        raise InputError(f"{stems[0].path}: silent, as are all other stems of its instrument")
    return torch.cat(spectrograms, -1)


def _middle(excerpt: Excerpt, seconds: float) -> Excerpt:
    duration_s = min(seconds, excerpt.duration_s)
    start_s = excerpt.start_s + (excerpt.duration_s - duration_s) / 2
    return replace(excerpt, start_s=start_s, duration_s=duration_s)
