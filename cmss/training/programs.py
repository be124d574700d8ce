"""Implements the programs train.py, fit.py and fit_postfilter.py.

Each program first builds objects from its configuration, so that all settings are checked before
the work begins. These objects are the arguments of the functions in this module. The program
fit_dictionaries.py does not use this module, but calls :mod:`cmss.training.isolated`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cmss.audio import Excerpt, read_excerpt
from cmss.errors import InputError, noting
from cmss.machine.device import device_named
from cmss.models.checkpoint import Network, save_checkpoint
from cmss.models.outputs import player_index
from cmss.models.postfilter_network import MODEL, Postfilter, PostfilterArguments, load_postfilter
from cmss.rendering.effects import EffectSettings
from cmss.rendering.material import Material
from cmss.scenes import DOUBLED, Source, Track
from cmss.scenes import level_warning as mixture_warning
from cmss.separators import Separator, build_separator
from cmss.separators.builder import build_steps
from cmss.separators.ensemble import Ensemble
from cmss.separators.steps.step import Step
from cmss.training.example_pool import ExamplePool
from cmss.training.fitting import WeightFit
from cmss.training.keys import FitKeys, PostfilterKeys, TrainKeys
from cmss.training.loop import train
from cmss.training.losses import Loss
from cmss.training.mean_haaqi import MeanHaaqi
from cmss.training.mixtures import Mixtures, MixtureSettings, RandomMixtures
from cmss.training.postfiltering import Example, mean_loss, train_postfilter
from cmss.training.rendered import (
    RenderedMixtures,
    instrument_and_voice,
    split_works,
)
from cmss.training.stems import level_warning, load_stems
from cmss.training.trainer import load_state

# train.py


def recorded_mixtures(
    keys: TrainKeys,
    model: Network,
    tracks: Sequence[Track],
    held_out: Sequence[Track],
    progress: Callable[..., Any],
    warn: Callable[[str], object],
) -> tuple[Mixtures, Mixtures, str]:
    """Decode the stems of all tracks, and return random mixtures of these stems.

    Args:
        keys: configuration of train.py.
        model: network that is trained.
        tracks: tracks for the training.
        held_out: tracks for the validation, which are not augmented.
        progress: progress bar that counts the decoded tracks.
        warn: function that prints a warning if the level of the tracks is unusual.

    Returns:
        The mixtures for the training and for the validation, and a description of the data.

    Raises:
        InputError: a stem cannot be read, or a split has no track that is long enough.
    """
    device = device_named(keys.device)
    index = player_index(model.sources, keys.instrument)
    mixtures, data = [], []
    for split, played, drawn in (
        ("train", tracks, keys.mixtures),
        ("valid", held_out, keys.mixtures.as_played()),
    ):
        stems = load_stems(played, model.sample_rate_hz, partial(progress, desc=f"{split} tracks"))
        if warning := level_warning(stems):
            warn(f"{split}: {warning}")
        hours = sum(track.mixture.duration_s for track in played) / 3600
        data.append(f"{split}: {len(played)} tracks, {hours:.2f} h")
        mixtures.append(
            RandomMixtures(
                stems, index, model.sample_rate_hz, drawn, keys.seed, keys.instrument, device
            )
        )
    return mixtures[0], mixtures[1], "; ".join(data)


def train_network(
    keys: TrainKeys,
    model: Network,
    loss: Loss,
    mixtures: tuple[Mixtures, Mixtures, str],
    folder: Path,
    settings: str,
    haaqi: MeanHaaqi | None,
    progress: Callable[..., Any],
) -> Path:
    """Train a network on mixtures.

    Args:
        keys: configuration of train.py.
        model: network, which is trained in place.
        loss: loss to minimise.
        mixtures: mixtures for the training and for the validation, and a description of the data.
        folder: folder for the state, the log and the weights, see
            :func:`cmss.training.loop.train`.
        settings: the configuration as text, for the header of the weights file.
        haaqi: function that measures HAAQI for the log. If `haaqi` is None, HAAQI is not measured.
        progress: progress bar that counts the training steps.

    Returns:
        Path of the weights with the lowest loss on the mixtures for the validation.

    Raises:
        InputError: `folder` has the state of another network.
        FloatingPointError: the loss or its gradient is not finite.
    """
    training, validation, data = mixtures
    return train(
        model.to(device_named(keys.device)),
        loss,
        training,
        validation,
        keys.loop,
        folder,
        lambda steps: progress(steps, "training", initial=steps.start, total=keys.loop.steps),
        {"training": settings, "data": data},
        haaqi,
        keys.seed,
    )


# fit.py


def build_candidates(keys: FitKeys) -> tuple[Ensemble, list[list[Step]]]:
    """Build the ensemble with equal weights, and the lists of steps to choose from.

    Raises:
        InputError: a member or a step is not valid; all problems are reported together.
    """
    problems: list[str] = []
    with noting(problems):
        members = [{**member, "weight": 1.0} for member in keys.members]
        settings = {"name": "ensemble", "device": keys.device, "members": members}
        ensemble = build_separator(settings, keys.input_sample_rate)
    candidates: list[list[Step]] = []
    for number, steps in enumerate(keys.steps):
        with noting(problems):
            candidates.append([*build_steps(steps, f"steps.{number}").values()])
    if problems:
        raise InputError(problems)
    assert isinstance(ensemble, Ensemble)
    return ensemble, candidates


def fit_ensemble(
    keys: FitKeys,
    ensemble: Ensemble,
    candidates: Sequence[Sequence[Step]],
    tracks: Sequence[Track],
    haaqi: MeanHaaqi | None,
    progress: Callable[..., Any],
    warn: Callable[[str], object],
) -> tuple[dict[str, Any], str]:
    """Fit the weights of the members on tracks, and choose the steps with the highest HAAQI.

    Args:
        keys: configuration of fit.py.
        ensemble: ensemble with equal weights, see :func:`build_candidates`.
        candidates: lists of steps, see :func:`build_candidates`.
        tracks: tracks on which the weights are fitted.
        haaqi: function that measures HAAQI after each list of steps. If `haaqi` is None, no steps
            are chosen.
        progress: progress bar that counts the tracks, and then the pairs of scene and listener.
        warn: function that prints a warning for each mixture whose level is unusual.

    Returns:
        The section `ensemble` of a configuration, with weights rounded to three digits, and a
        summary to print.

    Raises:
        InputError: a file cannot be read, weights are missing, or all stems are silent.
    """
    rate_hz, members = keys.input_sample_rate, keys.members
    separators = [member.separator for member in ensemble.members]
    ensemble.prepare(source for track in tracks for source in track.sources.values())
    fit = WeightFit(len(members), keys.edges_hz, rate_hz, keys.priors)
    for track in progress(tracks, "fit"):
        mixture = read_excerpt(track.mixture, rate_hz)
        if warning := mixture_warning(track, mixture, rate_hz):
            warn(warning)
        stems = [separator.separate(mixture, track.sources) for separator in separators]
        for key, source in track.sources.items():
            stem = read_excerpt(source.excerpt, rate_hz)
            fit.add(track.name, source.instrument, [estimates[key] for estimates in stems], stem)
    weights = fit.weights()
    section: dict[str, Any] = {
        "normalise": False,
        "edges_hz": keys.edges_hz,
        "pool": keys.pool,
        "members": [
            {
                **member,
                "weight": {
                    instrument: [round(float(weight), 3) for weight in of_members[number]]
                    for instrument, of_members in weights.items()
                },
            }
            for number, member in enumerate(members)
        ],
    }
    summary = [f"{len(members)} members, {len(weights)} instruments, prior {fit.prior():g}"]
    if haaqi:
        settings = {"name": "ensemble", "device": keys.device, **section}
        means = haaqi.after_steps(build_separator(settings, rate_hz), candidates, progress)
        section["steps"] = keys.steps[means.argmax()]
        summary += [f"{m:.4f} HAAQI {steps}" for m, steps in zip(means, keys.steps, strict=True)]
    return section, "\n".join(summary)


# fit_postfilter.py


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
    before = mean_loss(network, held_out, settings)
    train_postfilter(
        network,
        trained,
        settings,
        state,
        keys.save_every_s,
        lambda steps: progress(steps, "train", initial=steps.start, total=settings.steps),
    )
    notes = {"data": f"{len(trained)} tracks", **notes}
    save_checkpoint(path, MODEL, network, torch.float16, notes)
    after = mean_loss(network, held_out, settings)
    return f"{len(trained)} tracks; loss on {len(held_out)} others {before:.4f} -> {after:.4f}"


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
    before = mean_loss(network, held_out, settings)
    with ExamplePool(
        partial(separated, training),
        keys.pool,
        settings.batch_size,
        keys.uses,
        settings.steps,
        settings.seed,
    ) as examples:
        train_postfilter(
            network,
            examples,
            settings,
            state,
            keys.save_every_s,
            lambda steps: progress(steps, "train", initial=steps.start, total=settings.steps),
            described,
        )
    notes = {"data": f"rendered mixtures; {material.summary}", **notes}
    save_checkpoint(path, MODEL, network, torch.float16, notes)
    after = mean_loss(network, held_out, settings)
    return f"loss on {len(held_out)} held-out mixtures {before:.4f} -> {after:.4f}"


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
