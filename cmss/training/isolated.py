"""Learns the spectral templates of instruments from recordings of single instruments."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from cmss.audio import Excerpt, read_excerpt, resample
from cmss.errors import InputError
from cmss.nmf.dictionaries import Dictionaries, learn_templates
from cmss.nmf.factors import Divergence
from cmss.nmf.spectrogram import Analysis
from cmss.scenes import Track
from cmss.settings import Count, Seed, Steps


@dataclass(frozen=True)
class Learning:
    """Settings of the section `dictionaries`.

    Args:
        divergence: divergence that the factorisation minimises: `kl` for the Kullback-Leibler
            divergence of magnitudes, `is` for the Itakura-Saito divergence of powers.
        lags: number of frames in a template.
        components: number of templates of each instrument.
        iterations: number of updates of templates and activations.
        stems: number of stems of each instrument, evenly spread over the tracks.
        seconds: duration of the excerpt from the middle of each stem.
        seed: seed of the random choice of the excerpts that initialise the templates.
    """

    divergence: Divergence
    lags: Annotated[int, Field(ge=1, le=1000)]
    components: Annotated[int, Field(ge=1, le=10000)]
    iterations: Steps
    stems: Count
    seconds: Annotated[float, Field(ge=0.1)]
    seed: Seed


def learn_dictionaries(
    tracks: Sequence[Track],
    settings: Learning,
    sample_rate_hz: int,
    progress: Callable[..., Iterable[tuple[str, list[Excerpt]]]],
) -> Dictionaries:
    """Learn templates of each instrument that plays in the tracks.

    Args:
        tracks: tracks whose stems are recordings of single instruments.
        settings: number of stems, and settings of the factorisation.
        sample_rate_hz: sampling rate of the stems.
        progress: function that wraps the list of instruments with a progress bar, such as tqdm.

    Raises:
        InputError: a stem cannot be read, or all stems of an instrument are silent.
    """
    analysis = Analysis(settings.divergence, sample_rate_hz)
    stems: dict[str, list[Excerpt]] = {}
    for track in tracks:
        for source in track.sources.values():
            stems.setdefault(source.instrument, []).append(source.excerpt)
    templates = {}
    for instrument, excerpts in progress(sorted(stems.items()), "instruments"):
        V = isolated_spectrogram(excerpts, settings, analysis, sample_rate_hz)
        templates[instrument] = learn_templates(
            V, analysis, settings.components, settings.lags, settings.iterations, settings.seed
        )
    return Dictionaries(analysis, templates)


def isolated_spectrogram(
    stems: Sequence[Excerpt], settings: Learning, analysis: Analysis, sample_rate_hz: int
) -> Tensor:
    """Scale the spectrogram of each stem to a mean of 1, and concatenate the spectrograms.

    Args:
        stems: stems of the same instrument.
        settings: number of stems to use, and duration of each excerpt.
        analysis: analysis that computes the spectrograms.
        sample_rate_hz: sampling rate of the stems.

    Returns:
        The spectrogram (bands, frames), averaged over both channels.

    Raises:
        InputError: a stem cannot be read, or all stems are silent.
    """
    count = min(settings.stems, len(stems))
    spectrograms = []
    for number in range(count):
        # Stems are evenly spread over the list. The excerpt is the middle of the stem, where a
        # player is least likely to rest.
        stem = stems[number * len(stems) // count]
        duration_s = min(settings.seconds, stem.duration_s)
        start_s = stem.start_s + (stem.duration_s - duration_s) / 2
        excerpt = replace(stem, start_s=start_s, duration_s=duration_s)
        signal = read_excerpt(excerpt, sample_rate_hz)
        signal = resample(signal, sample_rate_hz, analysis.sample_rate_hz)
        V = analysis.spectrogram(analysis.spectra(torch.from_numpy(signal))).mean(0)
        if V.any():
            # Scale the spectrogram, so that soft and loud stems have the same weight.
            spectrograms.append(V / V.mean())
    if not spectrograms:
        raise InputError(f"{stems[0].path}: silent, as are all other stems of its instrument")
    return torch.cat(spectrograms, -1)
