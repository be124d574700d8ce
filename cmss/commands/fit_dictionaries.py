"""Implements `cmss fit_dictionaries`: learns the spectral templates of each instrument."""

from pathlib import Path

from omegaconf import DictConfig

from cmss.errors import InputError
from cmss.files.output_file import check_output_file
from cmss.nmf.dictionaries import save_dictionaries
from cmss.run.configuration import plain
from cmss.run.stage import progress, stage
from cmss.scenes import load_tracks
from cmss.settings import from_settings
from cmss.training.isolated import learn_dictionaries
from cmss.training.keys import DictionaryKeys


@stage
def main(config: DictConfig) -> None:
    """Read the stems of each instrument, learn the templates, and write them to a file."""
    keys = from_settings(DictionaryKeys, plain(config))
    path, settings = Path(keys.path.weights_file), keys.dictionaries
    check_output_file(path, "path.weights_file")
    rate_hz = keys.input_sample_rate
    tracks = load_tracks(Path(keys.path.train_file), Path(keys.path.train_music_dir), rate_hz)
    if not tracks:
        raise InputError(f"{keys.path.train_file}: no tracks, expected at least one")
    learned = learn_dictionaries(tracks, settings, rate_hz, progress)
    notes = {"learned": f"fit_dictionaries.py, {len(tracks)} tracks, {settings}"}
    save_dictionaries(path, learned, notes)
    print(f"{path}: {settings.components} templates of each of {', '.join(learned.templates)}")
