"""Implements `cmss fit_postfilter`: trains a post-filter on training tracks."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from cmss.errors import InputError, noting
from cmss.files.output_file import check_output_file
from cmss.run.configuration import plain
from cmss.run.folder import training_tracks
from cmss.run.forms import without_folders
from cmss.run.stage import progress, stage
from cmss.separators import build_separator
from cmss.settings import from_settings
from cmss.training.keys import PostfilterKeys
from cmss.training.postfilter_fitting import (
    fit_postfilter,
    fit_postfilter_on_rendered,
    initial_postfilter,
)
from cmss.training.rendered import effect_settings, find_material


@stage
def main(config: DictConfig) -> None:
    """Separate tracks or rendered mixtures, train the post-filter, and write its weights.

    A training that was interrupted continues when the same command is called again.
    """
    keys = from_settings(PostfilterKeys, plain(config))
    problems: list[str] = []
    with noting(problems):
        effects = effect_settings(keys.data, keys.path)
    with noting(problems):
        network = initial_postfilter(keys)
    with noting(problems):
        separator = build_separator(keys.separator, keys.input_sample_rate)
    if problems:
        raise InputError(problems)
    path, state = Path(keys.path.weights_file), Path(keys.path.exp_folder) / "state.pt"
    check_output_file(path, "path.weights_file")
    check_output_file(state, "path.exp_folder")
    # The weights may be published, so the folders of files are not written into their header.
    separator_shown = without_folders(plain(config.separator), "separator")
    notes = {
        "training": OmegaConf.to_yaml(config.training),
        "separator": OmegaConf.to_yaml(OmegaConf.create(separator_shown)),
    }
    if effects:
        kept = Path(keys.path.exp_folder) / "material.npz"
        material = find_material(keys.path, keys.input_sample_rate, kept, progress)
        print(material.summary)
        summary = fit_postfilter_on_rendered(
            keys, network, separator, material, effects, path, state, notes, progress
        )
    else:
        tracks = training_tracks(config, keys.tracks)
        summary = fit_postfilter(keys, network, separator, tracks, path, state, notes, progress)
    print(f"{path}: {summary}")
