"""Implements the programs train.py, fit.py and fit_postfilter.py.

Each program first builds objects from its configuration, so that all settings are checked before
the work begins. These objects are the arguments of the functions in this module. The program
fit_dictionaries.py calls :mod:`cmss.training.isolated` instead.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cmss.audio import read_excerpt
from cmss.errors import InputError, noting
from cmss.machine.device import device_named
from cmss.models.checkpoint import Network, save_checkpoint
from cmss.models.outputs import player_index
from cmss.models.postfilter_network import MODEL, Postfilter, PostfilterArguments, load_postfilter
from cmss.scenes import Track
from cmss.scenes import level_warning as mixture_warning
from cmss.separators import Separator, build_separator
from cmss.separators.builder import build_steps
from cmss.separators.ensemble import Ensemble
from cmss.separators.steps.postfilter import doubled_sources
from cmss.separators.steps.step import Step
from cmss.training.fitting import WeightFit
from cmss.training.keys import FitKeys, PostfilterKeys, TrainKeys
from cmss.training.loop import train
from cmss.training.losses import Loss
from cmss.training.mean_haaqi import MeanHaaqi
from cmss.training.mixtures import RandomMixtures
from cmss.training.postfiltering import Example, mean_loss, train_postfilter
from cmss.training.stems import level_warning, load_stems
from cmss.training.trainer import load_state

# train.py


def train_network(
    keys: TrainKeys,
    model: Network,
    loss: Loss,
    tracks: Sequence[Track],
    held_out: Sequence[Track],
    folder: Path,
    settings: str,
    haaqi: MeanHaaqi | None,
    progress: Callable[..., Any],
    warn: Callable[[str], object],
) -> Path:
    """Decode the stems of all tracks, then train a network on random mixtures of these stems.

    Args:
        keys: configuration of train.py.
        model: network, which is trained in place.
        loss: loss to minimise.
        tracks: tracks for the training.
        held_out: tracks for the validation, which are not augmented.
        folder: folder for the state, the log and the weights, see
            :func:`cmss.training.loop.train`.
        settings: the configuration as text, for the header of the weights file.
        haaqi: function that measures HAAQI for the log; None if HAAQI is not measured.
        progress: progress bar that counts first the decoded tracks, then the training steps.
        warn: function that prints a warning if the level of the tracks is unusual.

    Returns:
        Path of the weights with the lowest loss on the held-out tracks.

    Raises:
        InputError: a stem cannot be read, a split has no track that is long enough, or `folder` has
            the state of another network.
        FloatingPointError: the loss or its gradient is not finite.
    """
    device = device_named(keys.device)
    model, rate_hz = model.to(device), model.sample_rate_hz
    index = player_index(model.sources, keys.instrument)
    mixtures, data = {}, []
    for split, played, drawn in (
        ("train", tracks, keys.mixtures),
        ("valid", held_out, keys.mixtures.as_played()),
    ):
        stems = load_stems(played, rate_hz, partial(progress, desc=f"{split} tracks"))
        if warning := level_warning(stems):
            warn(f"{split}: {warning}")
        hours = sum(track.mixture.duration_s for track in played) / 3600
        data.append(f"{split}: {len(played)} tracks, {hours:.2f} h")
        mixtures[split] = RandomMixtures(
            stems, index, rate_hz, drawn, keys.seed, keys.instrument, device
        )
    return train(
        model,
        loss,
        mixtures["train"],
        mixtures["valid"],
        keys.loop,
        folder,
        lambda steps: progress(steps, "training", initial=steps.start, total=keys.loop.steps),
        {"training": settings, "data": "; ".join(data)},
        haaqi,
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
    """Fit the members' weights on tracks, then choose the steps with the highest HAAQI.

    Args:
        keys: configuration of fit.py.
        ensemble: ensemble with equal weights, see :func:`build_candidates`.
        candidates: lists of steps, see :func:`build_candidates`.
        tracks: tracks on which the weights are fitted.
        haaqi: function that measures HAAQI after each list of steps; None if there are no lists.
        progress: progress bar that counts first the tracks, then the pairs of scene and listener.
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
    """Build the post-filter with the weights from which a training starts.

    Raises:
        InputError: the file of weights cannot be read or does not fit the post-filter.
    """
    if keys.init_from:
        return load_postfilter(Path(keys.init_from))
    torch.manual_seed(keys.training.seed)
    network = Postfilter(keys.postfilter)
    if keys.begin_like:
        try:
            network.begin_like(load_postfilter(Path(keys.begin_like)))
        except ValueError as error:
            raise InputError(
                f"begin_like: {keys.begin_like}: {error} (the value in the section postfilter)"
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
        tracks: all tracks. Every `keys.held_out`-th track is held out; the post-filter is trained
            on the other tracks.
        path: path of the weights file to write.
        state: path of the file from which an interrupted training continues.
        notes: dict of entries for the header of the weights file.
        progress: progress bar that counts first the tracks, then the training steps.

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
    # Refuse the state of another training before anything is separated.
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
        doubled_sources(track.sources[key].instrument for key in stems),
    )
