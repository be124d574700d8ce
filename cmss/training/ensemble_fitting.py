"""Fits the weights of an ensemble on training tracks, and chooses processing steps by HAAQI."""

from collections.abc import Callable, Sequence
from typing import Any

from cmss.audio import read_excerpt
from cmss.errors import InputError, noting
from cmss.scenes import Track, level_warning
from cmss.separators import build_separator
from cmss.separators.builder import build_steps
from cmss.separators.ensemble import Ensemble
from cmss.separators.steps.step import Step
from cmss.training.fitting import WeightFit
from cmss.training.keys import FitKeys
from cmss.training.mean_haaqi import MeanHaaqi


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
        if warning := level_warning(track, mixture, rate_hz):
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
