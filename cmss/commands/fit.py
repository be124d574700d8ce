"""Implements `cmss fit`: fits the weights of an ensemble of separators on training tracks."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from cmss.errors import InputError, noting
from cmss.files.atomic import write_text
from cmss.files.output_file import check_output_file
from cmss.run.configuration import build_hearing_aid, plain
from cmss.run.folder import metadata_paths, training_tracks
from cmss.run.scoring import Scorer
from cmss.run.stage import progress, stage, warn
from cmss.scenes import load_pairs
from cmss.settings import from_settings
from cmss.training.ensemble_fitting import build_candidates, fit_ensemble
from cmss.training.keys import FitKeys
from cmss.training.mean_haaqi import MeanHaaqi


@stage
def main(config: DictConfig) -> None:
    """Separate tracks with each member, fit the weights, choose steps and write the ensemble."""
    keys = from_settings(FitKeys, plain(config))
    problems: list[str] = []
    with noting(problems):
        hearing_aid = build_hearing_aid(config)
    with noting(problems):
        ensemble, candidates = build_candidates(keys)
    if problems:
        raise InputError(problems)
    path = Path(keys.path.ensemble_file)
    check_output_file(path, "path.ensemble_file")
    tracks = training_tracks(config, keys.tracks)
    haaqi = None
    if candidates:
        pairs = load_pairs(metadata_paths(config), keys.input_sample_rate)
        haaqi = MeanHaaqi.spread(pairs, keys.haaqi_pairs, Scorer(hearing_aid))
    section, summary = fit_ensemble(keys, ensemble, candidates, tracks, haaqi, progress, warn)
    write_text(path, f"# Fitted on {len(tracks)} tracks by fit.py.\n{OmegaConf.to_yaml(section)}")
    print(f"{path}: {summary}")
