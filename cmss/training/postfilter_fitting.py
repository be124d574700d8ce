"""Prepares the examples of a post-filter, trains it, and writes its weights.

The examples are training tracks, or mixtures that are rendered during the training.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cmss.audio import Excerpt, read_excerpt
from cmss.errors import InputError
from cmss.models.checkpoint import save_checkpoint
from cmss.models.postfilter_network import MODEL, Postfilter, PostfilterArguments, load_postfilter
from cmss.rendering.effects import EffectSettings
from cmss.rendering.material import Material
from cmss.scenes import DOUBLED, Source, Track
from cmss.separators import Separator
from cmss.training.example_pool import ExamplePool
from cmss.training.keys import PostfilterKeys
from cmss.training.mixtures import MixtureSettings
from cmss.training.postfiltering import Example, Examples, mean_loss, train_postfilter
from cmss.training.rendered import RenderedMixtures, instrument_and_voice, split_works
from cmss.training.trainer import load_state


def initial_postfilter(keys: PostfilterKeys) -> Postfilter:
    """Build the post-filter with the initial weights of a training.

    Raises:
        InputError: the file of weights cannot be read or does not fit the post-filter, or the
            post-filter has fewer bins than are to be corrected.
    """
    network, bins = _initial_weights(keys), keys.training.bins
    if bins is None:
        return network
    try:
        return network.narrowed(bins)
    except ValueError as error:
        raise InputError(f"training.bins: {bins}, {error}") from error


def _initial_weights(keys: PostfilterKeys) -> Postfilter:
    if keys.init_from:
        return load_postfilter(Path(keys.init_from))
    torch.manual_seed(keys.training.seed)
    network = Postfilter(keys.postfilter)
    if keys.begin_like:
        try:
            network.begin_like(load_postfilter(Path(keys.begin_like)))
        except ValueError as error:
            raise InputError(
                f"begin_like: {keys.begin_like}: {error} (the section postfilter sets "
                "the expected value)"
            ) from error
    return network


def fit_postfilter(
    keys: PostfilterKeys,
    network: Postfilter,
    separator: Separator,
    tracks: Sequence[Track],
    path: Path,
    state: Path,
    notes: dict[str, str],
    progress: Callable[..., Any],
) -> str:
    """Separate tracks, train a post-filter on the estimates, and write its weights.

    Args:
        keys: configuration of fit_postfilter.py.
        network: post-filter, which is trained in place.
        separator: separator whose estimates the post-filter corrects.
        tracks: all tracks. Every `keys.held_out`-th track is held out. The post-filter is trained
            on the remaining tracks.
        path: path of the weights file to write.
        state: path of the file with the state of the training. If the file exists, the training
            continues from this state.
        notes: dict of entries for the header of the weights file.
        progress: progress bar that counts first the tracks and then the training steps.

    Returns:
        A summary with the loss on the held-out tracks before and after the training.

    Raises:
        InputError: there are too few tracks, a file cannot be read, or the file `state` belongs to
            another training.
        FloatingPointError: the loss or its gradient is not finite.
    """
    every, settings = keys.held_out, keys.training
    if every > len(tracks):
        raise InputError(f"held_out: {every}, expected 2 to {len(tracks)} (the number of tracks)")
    # Refuse the state of another training before the tracks are separated.
    load_state(state, lambda _: None, settings.with_examples(len(tracks) - len(tracks) // every))
    separator.prepare(source for track in tracks for source in track.sources.values())
    examples = [
        _example(track, separator, network.arguments) for track in progress(tracks, "separate")
    ]
    held_out = examples[every - 1 :: every]
    trained = [example for number, example in enumerate(examples, 1) if number % every]
    summary = f"{len(trained)} tracks"
    notes = {"data": summary, **notes}
    change = _fit(keys, network, trained, "", held_out, path, state, notes, progress)
    return f"{summary}; loss on {len(held_out)} others {change}"


def fit_postfilter_on_rendered(
    keys: PostfilterKeys,
    network: Postfilter,
    separator: Separator,
    material: Material,
    effects: EffectSettings,
    path: Path,
    state: Path,
    notes: dict[str, str],
    progress: Callable[..., Any],
) -> str:
    """Render and separate mixtures, train a post-filter on the estimates, and write its weights.

    The examples of a step are drawn from a pool, see :class:`ExamplePool`. The loss is measured on
    `keys.held_out` mixtures of works that are not used for the training.

    Args:
        keys, network, separator, path, state, notes, progress: see :func:`fit_postfilter`.
        material: notes and scores.
        effects: strengths of the effects.

    Returns:
        A summary with the loss on the held-out mixtures before and after the training.

    Raises:
        InputError: the file `state` belongs to another training.
        FloatingPointError: the loss or its gradient is not finite.
    """
    settings, arguments = keys.training, network.arguments
    described = f"rendered, {keys.seconds} s, {keys.pool} mixtures, {keys.uses} uses, {effects}"
    load_state(state, lambda _: None, settings.with_examples(described))
    labels = {*material.tones, *(f"{name}_2" for name in DOUBLED if name in material.tones)}
    separator.prepare(_sources(sorted(labels)).values())
    drawn = MixtureSettings(
        segment_s=keys.seconds,
        batch_size=settings.batch_size,
        together=1.0,
        gain_db=6.0,
        semitones=0.0,
        cents=0.0,
        equaliser_db=6.0,
    )
    training, validation = (
        RenderedMixtures(part, effects, {}, drawn, settings.seed) for part in split_works(material)
    )

    def separated(mixtures: RenderedMixtures, number: int) -> Example:
        labels, stems = mixtures.example(number, 0)
        sources = _sources(labels)
        mixture = stems.sum(0)
        estimates = separator.separate(mixture, sources)
        return Example.of(
            torch.from_numpy(mixture),
            torch.from_numpy(np.stack([estimates[key] for key in sources])),
            torch.from_numpy(stems),
            arguments,
        )

    held_out = [separated(validation, n) for n in progress(range(keys.held_out), "separate")]
    notes = {"data": f"rendered mixtures; {material.summary}", **notes}
    with ExamplePool(
        partial(separated, training),
        keys.pool,
        settings.batch_size,
        keys.uses,
        settings.steps,
        settings.seed,
    ) as examples:
        change = _fit(keys, network, examples, described, held_out, path, state, notes, progress)
    return f"loss on {len(held_out)} held-out mixtures {change}"


def _fit(
    keys: PostfilterKeys,
    network: Postfilter,
    examples: Examples,
    described: str,
    held_out: Sequence[Example],
    path: Path,
    state: Path,
    notes: dict[str, str],
    progress: Callable[..., Any],
) -> str:
    """Train a post-filter, write its weights, and return the change of the loss as text."""
    settings = keys.training
    before = mean_loss(network, held_out, settings)
    train_postfilter(
        network,
        examples,
        settings,
        state,
        keys.save_every_s,
        lambda steps: progress(steps, "train", initial=steps.start, total=settings.steps),
        described,
    )
    save_checkpoint(path, MODEL, network, torch.float16, notes)
    return f"{before:.4f} -> {mean_loss(network, held_out, settings):.4f}"


def _sources(labels: Sequence[str]) -> dict[str, Source]:
    """Return the sources of a rendered mixture; these sources have no sound files."""
    nowhere = Excerpt(Path("rendered"), 0.0, 0.0)
    players = [instrument_and_voice(label) for label in labels]
    return {
        f"source_{number}": Source(f"source_{number}", instrument, voice, nowhere)
        for number, (instrument, voice) in enumerate(players, 1)
    }


def _example(track: Track, separator: Separator, arguments: PostfilterArguments) -> Example:
    """Separate a track, and build an example from the estimates and the ground truth stems."""
    rate_hz = separator.sample_rate_hz
    mixture = read_excerpt(track.mixture, rate_hz)
    stems = separator.separate(mixture, track.sources)
    true = [read_excerpt(track.sources[key].excerpt, rate_hz) for key in stems]
    return Example.of(
        torch.from_numpy(mixture),
        torch.from_numpy(np.stack(list(stems.values()))),
        torch.from_numpy(np.stack(true)),
        arguments,
    )
