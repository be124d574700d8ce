"""Train a separator: python recipes/cad2/train.py path.root=DATA model=convtasnet size=small."""

from functools import partial
from pathlib import Path

import hydra
import torch
from omegaconf import DictConfig, OmegaConf

from cmss.models.checkpoint import sha256
from cmss.models.outputs import player_index
from cmss.scenes import load_tracks
from cmss.stage import progress, stage
from cmss.training.loop import LoopSettings, train
from cmss.training.mixtures import MixtureSettings, RandomMixtures
from cmss.training.presets import preset
from cmss.training.stems import load_stems

SETTINGS = ["model", "size", "instrument", "seed", "mixtures", "loop"]


@hydra.main(config_path="conf", config_name="train", version_base=None)
@stage
def main(config: DictConfig) -> None:
    """Read the stems, build the network, train it; run again to go on where it stopped."""
    chosen = preset(config.model, config.size)
    torch.manual_seed(config.seed)
    device = config.device or ("cuda" if torch.cuda.is_available() else "cpu")
    model = chosen.build().to(device)
    index = player_index(model.sources, config.instrument)
    rate_hz = model.sample_rate_hz
    augmented = MixtureSettings(**config.mixtures)
    as_played = MixtureSettings(augmented.segment_s, augmented.batch_size, 1.0, 0.0, 0.0, 0.0, 0.0)
    mixtures = []
    for split, settings in (("train", augmented), ("valid", as_played)):
        music_file, music_dir = config.path[f"{split}_file"], config.path[f"{split}_music_dir"]
        tracks = load_tracks(Path(music_file), Path(music_dir))
        if split == "train":
            for root in map(Path, config.path.more):
                tracks += load_tracks(root / "metadata/music.train.json", root / "audio/train")
        stems = load_stems(tracks, rate_hz, partial(progress, desc=f"{split} tracks"))
        mixtures.append(
            RandomMixtures(stems, index, rate_hz, settings, config.seed, config.instrument)
        )
    # A folder of its own for each instrument, or the second would go on from the first one's state.
    folder = Path(config.path.exp_folder) / (config.instrument or "")
    best = train(
        chosen.network,
        model,
        chosen.loss(compiled=config.compile),
        mixtures[0],
        mixtures[1],
        LoopSettings(**config.loop),
        folder,
        progress=lambda steps: progress(
            steps, "training", initial=steps.start, total=config.loop.steps
        ),
        # Where the data lay says nothing about the weights, and they may be passed on.
        notes={"training": OmegaConf.to_yaml(OmegaConf.masked_copy(config, SETTINGS))},
    )
    print(f"{best}  sha256 {sha256(best)}")


if __name__ == "__main__":
    main()
