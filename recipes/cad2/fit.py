"""Fit an ensemble's weights on training tracks: python recipes/cad2/fit.py path.root=DATA."""

import sys
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from cmss.audio import read_excerpt
from cmss.errors import InputError, noting
from cmss.files.atomic import write_text
from cmss.files.output_file import check_output_file
from cmss.run.configuration import build_hearing_aid, plain
from cmss.run.folder import metadata_paths, training_tracks
from cmss.run.scoring import Scorer
from cmss.run.stage import progress, run, stage
from cmss.scenes import level_warning, load_pairs
from cmss.separators import build_separator
from cmss.separators.builder import build_steps
from cmss.separators.ensemble import Ensemble
from cmss.separators.steps.step import Step
from cmss.settings import from_settings
from cmss.training.fitting import WeightFit
from cmss.training.keys import FitKeys
from cmss.training.listening import ListeningTest


@hydra.main(config_path="pkg://cmss.conf", config_name="fit", version_base=None)
@stage
def main(config: DictConfig) -> None:
    """Separate each track by every member, add up, solve, write."""
    keys = from_settings(FitKeys, plain(config))
    rate_hz, members = keys.input_sample_rate, keys.members
    problems: list[str] = []
    with noting(problems):
        hearing_aid = build_hearing_aid(config)
    with noting(problems):
        settings = {"device": keys.device, "members": [{**m, "weight": 1.0} for m in members]}
        ensemble = build_separator({"name": "ensemble", **settings}, rate_hz)
        assert isinstance(ensemble, Ensemble)
    steps: list[list[Step]] = []
    for number, way in enumerate(keys.steps):
        with noting(problems):
            steps.append([*build_steps(way, f"steps.{number}").values()])
    if problems:
        raise InputError(problems)
    path = Path(keys.path.ensemble_file)
    check_output_file(path, "path.ensemble_file")
    tracks = training_tracks(config, keys.tracks)
    test = None
    if steps:
        pairs = load_pairs(metadata_paths(config), rate_hz)
        test = ListeningTest.spread(pairs, keys.haaqi_pairs, Scorer(hearing_aid))
    separators = [member.separator for member in ensemble.members]
    ensemble.prepare(source for track in tracks for source in track.sources.values())
    fit = WeightFit(len(members), keys.edges_hz, rate_hz, keys.priors)
    for track in progress(tracks, "fit"):
        mixture = read_excerpt(track.mixture, rate_hz)
        if warning := level_warning(track, mixture, rate_hz):
            tqdm.write(warning, file=sys.stderr)
        stems = [separator.separate(mixture, track.sources) for separator in separators]
        for key, source in track.sources.items():
            stem = read_excerpt(source.excerpt, rate_hz)
            fit.add(track.name, source.instrument, [estimates[key] for estimates in stems], stem)
    section = _section(keys, fit)
    told = f"{len(members)} members, {len(fit.weights())} instruments, prior {fit.prior():g}"
    if test:
        settings = {"name": "ensemble", "device": keys.device, **section}
        means = test.after(build_separator(settings, rate_hz), steps, progress)
        section["steps"] = keys.steps[means.argmax()]
        told += "".join(
            f"\n{mean:.4f} HAAQI {way}" for way, mean in zip(keys.steps, means, strict=True)
        )
    write_text(path, f"# Fitted on {len(tracks)} tracks by fit.py.\n{OmegaConf.to_yaml(section)}")
    print(f"{path}: {told}")


def _section(keys: FitKeys, fit: WeightFit) -> dict[str, Any]:
    """The section `ensemble` with the fitted weights, to three digits."""
    weights = fit.weights()
    members = [
        {
            **member,
            "weight": {
                instrument: [round(float(weight), 3) for weight in rows[number]]
                for instrument, rows in weights.items()
            },
        }
        for number, member in enumerate(keys.members)
    ]
    return {
        "normalise": False,
        "edges_hz": keys.edges_hz,
        "pool": keys.pool,
        "members": members,
    }


if __name__ == "__main__":
    run(main)
