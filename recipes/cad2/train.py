"""Train a separator: python recipes/cad2/train.py path.root=DATA model=convtasnet size=small."""

import sys
from functools import partial
from pathlib import Path

import hydra
import torch
from omegaconf import DictConfig, OmegaConf

from cmss.errors import InputError, noting
from cmss.files.digests import file_sha256
from cmss.files.output_file import check_output_file
from cmss.machine.device import device_named
from cmss.models.checkpoint import load_weights
from cmss.models.outputs import player_index
from cmss.run.configuration import build_hearing_aid, plain
from cmss.run.folder import metadata_paths, training_tracks
from cmss.run.scoring import Scorer
from cmss.run.stage import progress, run, stage
from cmss.scenes import load_pairs, load_tracks
from cmss.settings import from_settings
from cmss.training.keys import TrainKeys
from cmss.training.listening import ListeningTest
from cmss.training.loop import train
from cmss.training.losses import build_loss
from cmss.training.mixtures import RandomMixtures
from cmss.training.presets import preset
from cmss.training.stems import level_warning, load_stems

SETTINGS = ["model", "size", "instrument", "init_from", "seed", "loss", "mixtures", "loop"]


@hydra.main(config_path="pkg://cmss.conf", config_name="train", version_base=None)
@stage
def main(config: DictConfig) -> None:
    """Read the stems, build the network, train it; run again to go on where it stopped."""
    keys = from_settings(TrainKeys, plain(config))
    problems: list[str] = []
    with noting(problems):
        hearing_aid = build_hearing_aid(config)
    with noting(problems):
        chosen = preset(keys.model, keys.size)
        loss = build_loss(chosen.loss, keys.loss)
        torch.manual_seed(keys.seed)
        model = chosen.build()
        index = player_index(model.sources, keys.instrument)
        if keys.init_from:
            try:
                load_weights(Path(keys.init_from), model)
            except InputError as error:
                raise InputError(f"init_from: {line}" for line in error.problems) from error
    if problems:
        raise InputError(problems)
    # A folder of its own for each instrument, or the second would go on from the first one's state.
    folder = Path(keys.path.exp_folder) / (keys.instrument or "")
    check_output_file(folder / "state.pt", "path.exp_folder")
    device = device_named(keys.device)
    model, rate_hz = model.to(device), model.sample_rate_hz
    mixtures, data = [], []
    played = training_tracks(config)
    held = load_tracks(Path(keys.path.valid_file), Path(keys.path.valid_music_dir))
    haaqi = None
    if keys.loop.haaqi_every:
        pairs = load_pairs(metadata_paths(config), keys.input_sample_rate)
        scorer = Scorer(hearing_aid)
        haaqi = ListeningTest.spread(pairs, keys.haaqi_pairs, scorer, keys.instrument)
    splits = ("train", played, keys.mixtures), ("valid", held, keys.mixtures.as_played())
    for split, tracks, settings in splits:
        stems = load_stems(tracks, rate_hz, partial(progress, desc=f"{split} tracks"))
        if warning := level_warning(stems):
            print(f"{split}: {warning}", file=sys.stderr)
        hours = sum(track.mixture.duration_s for track in tracks) / 3600
        data.append(f"{split}: {len(tracks)} tracks, {hours:.2f} h")
        mixtures.append(
            RandomMixtures(stems, index, rate_hz, settings, keys.seed, keys.instrument, device)
        )
    best = train(
        chosen.network,
        model,
        loss,
        mixtures[0],
        mixtures[1],
        keys.loop,
        folder,
        progress=lambda steps: progress(
            steps, "training", initial=steps.start, total=keys.loop.steps
        ),
        # Where the data lay says nothing about the weights, and they may be passed on.
        notes={
            "training": OmegaConf.to_yaml(OmegaConf.masked_copy(config, SETTINGS)),
            "data": "; ".join(data),
        },
        haaqi=haaqi,
    )
    print(f"{best}  sha256 {file_sha256(best)}")


if __name__ == "__main__":
    run(main)
