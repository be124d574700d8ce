"""Learn templates of each instrument: python recipes/cad2/fit_dictionaries.py path.root=DATA."""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from cmss.nmf.dictionaries import Dictionaries, learn_templates, save_dictionaries
from cmss.nmf.spectrogram import Analysis
from cmss.output_file import check_output_file
from cmss.scenes import load_tracks
from cmss.settings import check_fields
from cmss.stage import progress, stage
from cmss.training.isolated import Learning, isolated_spectrogram, isolated_stems


@hydra.main(config_path="conf", config_name="fit_dictionaries", version_base=None)
@stage
def main(config: DictConfig) -> None:
    """Read the stems of each instrument, factorise them, write."""
    check_fields("dictionaries", config.dictionaries, Learning)
    learning = Learning(**config.dictionaries)
    check_output_file(Path(config.path.weights_file), "path.weights_file")
    rate_hz = config.input_sample_rate
    analysis = Analysis(learning.divergence, rate_hz)
    tracks = load_tracks(Path(config.path.train_file), Path(config.path.train_music_dir), rate_hz)
    templates = {}
    for instrument, stems in progress(list(isolated_stems(tracks).items()), "instruments"):
        V = isolated_spectrogram(stems, learning, analysis, rate_hz)
        templates[instrument] = learn_templates(
            V, analysis, learning.components, learning.lags, learning.iterations, learning.seed
        )
    path = Path(config.path.weights_file)
    notes = {"learned": f"fit_dictionaries.py, {len(tracks)} tracks, {learning}"}
    save_dictionaries(path, Dictionaries(analysis, templates), notes)
    print(f"{path}: {learning.components} templates of each of {', '.join(templates)}")


if __name__ == "__main__":
    main()
