"""Fit an ensemble's weights on training tracks: python recipes/cad2/fit.py path.root=DATA."""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from cmss.atomic import write_text
from cmss.audio import read_excerpt
from cmss.pipeline import level_warning
from cmss.scenes import load_tracks
from cmss.separators import build_separator
from cmss.separators.ensemble import Ensemble
from cmss.stage import progress, stage
from cmss.training.fitting import WeightFit


@hydra.main(config_path="conf", config_name="fit", version_base=None)
@stage
def main(config: DictConfig) -> None:
    """Separate each track by every member, add up, solve, write."""
    tracks = load_tracks(Path(config.path.train_file), Path(config.path.train_music_dir))
    members = OmegaConf.to_container(config.members, resolve=True)
    assert isinstance(members, list)
    rate_hz = config.input_sample_rate
    settings = {"device": config.device, "members": [{**m, "weight": 1.0} for m in members]}
    ensemble = build_separator({"name": "ensemble", **settings}, rate_hz)
    assert isinstance(ensemble, Ensemble)
    separators = [member.separator for member in ensemble.members]
    count = min(config.tracks or len(tracks), len(tracks))
    tracks = [tracks[number * len(tracks) // count] for number in range(count)]
    ensemble.prepare(source for track in tracks for source in track.sources.values())
    fit = WeightFit(len(members), config.edges_hz, rate_hz)
    for track in progress(tracks, "fit"):
        mixture = read_excerpt(track.mixture, rate_hz)
        if warning := level_warning(track, mixture, rate_hz):
            tqdm.write(warning, file=sys.stderr)
        stems = [separator.separate(mixture, track.sources) for separator in separators]
        for key, source in track.sources.items():
            stem = read_excerpt(source.excerpt, rate_hz)
            fit.add(source.instrument, [estimates[key] for estimates in stems], stem)
    path = Path(config.path.ensemble_file)
    fitted = OmegaConf.to_yaml(_section(config, members, fit))
    write_text(path, f"# Fitted on {len(tracks)} tracks by fit.py.\n{fitted}")
    print(f"{path}: {len(members)} members, {len(fit.weights())} instruments")


def _section(config: DictConfig, members: list, fit: WeightFit) -> DictConfig:
    """The section `ensemble` with the fitted weights, to three digits."""
    weights = fit.weights()
    for number, member in enumerate(members):
        member["weight"] = {
            instrument: [round(float(weight), 3) for weight in rows[number]]
            for instrument, rows in weights.items()
        }
    return OmegaConf.create(
        {"normalise": False, "edges_hz": list(config.edges_hz), "members": members}
    )


if __name__ == "__main__":
    main()
