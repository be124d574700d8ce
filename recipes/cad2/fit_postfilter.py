"""Train a post-filter on training tracks: python recipes/cad2/fit_postfilter.py path.root=DATA."""

from pathlib import Path

import hydra
import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from cmss.audio import read_excerpt
from cmss.errors import InputError, noting
from cmss.files.output_file import check_output_file
from cmss.models.checkpoint import save_checkpoint
from cmss.models.postfilter_network import MODEL, Postfilter, load_postfilter
from cmss.run.configuration import plain
from cmss.run.folder import training_tracks
from cmss.run.stage import progress, run, stage
from cmss.scenes import Track
from cmss.separators import Separator, build_separator
from cmss.separators.steps.postfilter import equals
from cmss.settings import from_settings
from cmss.training.keys import PostfilterKeys
from cmss.training.postfiltering import (
    Example,
    check_state,
    mean_loss,
    train_postfilter,
)


@hydra.main(config_path="pkg://cmss.conf", config_name="fit_postfilter", version_base=None)
@stage
def main(config: DictConfig) -> None:
    """Separate each track, train, write; run again to go on where it was stopped."""
    keys = from_settings(PostfilterKeys, plain(config))
    settings, rate_hz = keys.training, keys.input_sample_rate
    problems: list[str] = []
    with noting(problems):
        network = _network(keys)
    with noting(problems):
        separator = build_separator(keys.separator, rate_hz)
    if problems:
        raise InputError(problems)
    path = Path(keys.path.weights_file)
    state = Path(keys.path.exp_folder) / "state.pt"
    check_output_file(path, "path.weights_file")
    check_output_file(state, "path.exp_folder")
    tracks = training_tracks(config, keys.tracks)
    if keys.held_out > len(tracks):
        raise InputError(
            f"held_out: {keys.held_out}, expected from 2 to as many as there are tracks, "
            f"{len(tracks)}"
        )
    check_state(state, settings, len(tracks) - len(tracks) // keys.held_out)
    separator.prepare(source for track in tracks for source in track.sources.values())
    examples = [_example(track, separator, network) for track in progress(tracks, "separate")]
    held = examples[keys.held_out - 1 :: keys.held_out]
    trained = [example for number, example in enumerate(examples, 1) if number % keys.held_out]
    notes = {
        "data": f"{len(trained)} tracks",
        "training": OmegaConf.to_yaml(config.training),
        "separator": OmegaConf.to_yaml(config.separator, resolve=True),
    }
    before = mean_loss(network, held, settings)
    train_postfilter(
        network,
        trained,
        settings,
        state,
        keys.save_every_s,
        lambda steps: progress(steps, "train", initial=steps.start, total=settings.steps),
    )
    save_checkpoint(path, MODEL, network, torch.float16, notes)
    after = mean_loss(network, held, settings)
    print(f"{path}: {len(trained)} tracks; loss on {len(held)} others {before:.4f} -> {after:.4f}")


def _network(keys: PostfilterKeys) -> Postfilter:
    if keys.init_from:
        return load_postfilter(Path(keys.init_from))
    torch.manual_seed(keys.training.seed)
    network = Postfilter(keys.postfilter)
    if keys.begin_like:
        try:
            network.begin_like(load_postfilter(Path(keys.begin_like)))
        except ValueError as error:
            raise InputError(f"begin_like: {keys.begin_like}: {error} as in postfilter") from error
    return network


def _example(track: Track, separator: Separator, network: Postfilter) -> Example:
    rate_hz = separator.sample_rate_hz
    mixture = read_excerpt(track.mixture, rate_hz)
    stems = separator.separate(mixture, track.sources)
    true = [read_excerpt(track.sources[key].excerpt, rate_hz) for key in stems]
    return Example.of(
        torch.from_numpy(mixture),
        torch.from_numpy(np.stack(list(stems.values()))),
        torch.from_numpy(np.stack(true)),
        network.arguments,
        equals(track.sources[key].instrument for key in stems),
    )


if __name__ == "__main__":
    run(main)
