"""Train a separator: python recipes/cad2/train.py path.root=DATA model=convtasnet size=small."""

import sys
from functools import partial
from pathlib import Path

import hydra
import torch
from omegaconf import DictConfig, OmegaConf

from cmss.configuration import build_hearing_aid
from cmss.errors import InputError
from cmss.models.checkpoint import Network, load_checkpoint, sha256
from cmss.models.outputs import player_index
from cmss.run_folder import metadata_paths, training_tracks
from cmss.scenes import load_pairs, load_tracks
from cmss.scoring import Scorer
from cmss.stage import progress, stage
from cmss.training.listening import ListeningTest
from cmss.training.loop import LoopSettings, train
from cmss.training.mixtures import MixtureSettings, RandomMixtures
from cmss.training.presets import preset
from cmss.training.stems import level_warning, load_stems

SETTINGS = ["model", "size", "instrument", "init_from", "seed", "loss", "mixtures", "loop"]


@hydra.main(config_path="conf", config_name="train", version_base=None)
@stage
def main(config: DictConfig) -> None:
    """Read the stems, build the network, train it; run again to go on where it stopped."""
    chosen = preset(config.model, config.size)
    torch.manual_seed(config.seed)
    device = torch.device(config.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    model = chosen.build().to(device)
    index = player_index(model.sources, config.instrument)
    if config.init_from:
        _start_from(model, Path(config.init_from))
    rate_hz = model.sample_rate_hz
    augmented = MixtureSettings(**config.mixtures)
    as_played = MixtureSettings(augmented.segment_s, augmented.batch_size, 1.0, 0.0, 0.0, 0.0, 0.0)
    mixtures, data = [], []
    played = training_tracks(config)
    held = load_tracks(Path(config.path.valid_file), Path(config.path.valid_music_dir))
    for split, tracks, settings in (("train", played, augmented), ("valid", held, as_played)):
        stems = load_stems(tracks, rate_hz, partial(progress, desc=f"{split} tracks"))
        if warning := level_warning(stems):
            print(f"{split}: {warning}", file=sys.stderr)
        hours = sum(track.mixture.duration_s for track in tracks) / 3600
        data.append(f"{split}: {len(tracks)} tracks, {hours:.2f} h")
        mixtures.append(
            RandomMixtures(stems, index, rate_hz, settings, config.seed, config.instrument, device)
        )
    haaqi = _listening_test(config) if config.loop.haaqi_every else None
    # A folder of its own for each instrument, or the second would go on from the first one's state.
    folder = Path(config.path.exp_folder) / (config.instrument or "")
    best = train(
        chosen.network,
        model,
        chosen.loss(compiled=config.compile, **config.loss),
        mixtures[0],
        mixtures[1],
        LoopSettings(**config.loop),
        folder,
        progress=lambda steps: progress(
            steps, "training", initial=steps.start, total=config.loop.steps
        ),
        # Where the data lay says nothing about the weights, and they may be passed on.
        notes={
            "training": OmegaConf.to_yaml(OmegaConf.masked_copy(config, SETTINGS)),
            "data": "; ".join(data),
        },
        haaqi=haaqi,
    )
    print(f"{best}  sha256 {sha256(best)}")


def _start_from(model: Network, path: Path) -> None:
    """Give a network the weights in a file."""
    given = load_checkpoint(path)
    if type(given) is not type(model) or given.arguments != model.arguments:
        raise InputError(f"init_from: {path} holds another network than this model and size")
    model.load_state_dict(given.state_dict())


def _listening_test(config: DictConfig) -> ListeningTest:
    """HAAQI on some validation pairs."""
    pairs = load_pairs(metadata_paths(config), config.input_sample_rate)
    scorer = Scorer(build_hearing_aid(config))
    return ListeningTest.spread(pairs, config.haaqi_pairs, scorer, config.instrument)


if __name__ == "__main__":
    main()
