"""Learn templates of each instrument: python recipes/cad2/fit_dictionaries.py path.root=DATA."""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from cmss.errors import InputError
from cmss.files.output_file import check_output_file
from cmss.nmf.dictionaries import Dictionaries, learn_templates, save_dictionaries
from cmss.nmf.spectrogram import Analysis
from cmss.run.configuration import plain
from cmss.run.stage import progress, run, stage
from cmss.scenes import load_tracks
from cmss.settings import from_settings
from cmss.training.isolated import isolated_spectrogram, isolated_stems
from cmss.training.keys import DictionaryKeys


@hydra.main(config_path="pkg://cmss.conf", config_name="fit_dictionaries", version_base=None)
@stage
def main(config: DictConfig) -> None:
    """Read the stems of each instrument, factorise them, write."""
    keys = from_settings(DictionaryKeys, plain(config))
    learning, rate_hz = keys.dictionaries, keys.input_sample_rate
    path = Path(keys.path.weights_file)
    check_output_file(path, "path.weights_file")
    analysis = Analysis(learning.divergence, rate_hz)
    tracks = load_tracks(Path(keys.path.train_file), Path(keys.path.train_music_dir), rate_hz)
    if not tracks:
        raise InputError(f"{keys.path.train_file}: no tracks, expected at least one")
    templates = {}
    for instrument, stems in progress(list(isolated_stems(tracks).items()), "instruments"):
        V = isolated_spectrogram(stems, learning, analysis, rate_hz)
        templates[instrument] = learn_templates(
            V, analysis, learning.components, learning.lags, learning.iterations, learning.seed
        )
    notes = {"learned": f"fit_dictionaries.py, {len(tracks)} tracks, {learning}"}
    save_dictionaries(path, Dictionaries(analysis, templates), notes)
    print(f"{path}: {learning.components} templates of each of {', '.join(templates)}")


if __name__ == "__main__":
    run(main)
