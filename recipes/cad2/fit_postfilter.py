"""Train a post-filter on training tracks: python recipes/cad2/fit_postfilter.py path.root=DATA."""

from pathlib import Path

import hydra
import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from cmss.audio import read_excerpt
from cmss.configuration import plain
from cmss.errors import InputError
from cmss.models.postfilter import (
    Postfilter,
    PostfilterArguments,
    load_postfilter,
    save_postfilter,
)
from cmss.run_folder import training_tracks
from cmss.scenes import Track
from cmss.separators import Separator, build_separator
from cmss.separators.steps.postfilter import equals
from cmss.settings import check_fields
from cmss.stage import progress, run, stage
from cmss.training.postfiltering import (
    Example,
    PostfilterTraining,
    check_state,
    mean_loss,
    train_postfilter,
)


@hydra.main(config_path="conf", config_name="fit_postfilter", version_base=None)
@stage
def main(config: DictConfig) -> None:
    """Separate each track, train, write; run again to go on where it was stopped."""
    check_fields("training", config.training, PostfilterTraining)
    settings = PostfilterTraining(**config.training)
    network = _network(config, settings.seed)
    separator = build_separator(plain(config.separator), config.input_sample_rate)
    tracks = training_tracks(config, config.tracks)
    if not 2 <= config.held_out <= len(tracks):
        raise InputError(
            f"held_out: {config.held_out}, expected from 2 to as many as there are tracks, "
            f"{len(tracks)}"
        )
    state = Path(config.path.exp_folder) / "state.pt"
    check_state(state, settings, len(tracks) - len(tracks) // config.held_out)
    separator.prepare(source for track in tracks for source in track.sources.values())
    examples = [_example(track, separator, network) for track in progress(tracks, "separate")]
    held = examples[config.held_out - 1 :: config.held_out]
    trained = [example for number, example in enumerate(examples, 1) if number % config.held_out]
    path = Path(config.path.weights_file)
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
        config.save_every,
        lambda steps: progress(steps, "train", initial=steps.start, total=settings.steps),
    )
    save_postfilter(path, network, notes)
    after = mean_loss(network, held, settings)
    print(f"{path}: {len(trained)} tracks; loss on {len(held)} others {before:.4f} -> {after:.4f}")


def _network(config: DictConfig, seed: int) -> Postfilter:
    if config.init_from and config.begin_like:
        raise InputError("begin_like: expected null where init_from is given")
    if config.init_from:
        return load_postfilter(Path(config.init_from))
    arguments = plain(config.postfilter)
    check_fields("postfilter", arguments, PostfilterArguments)
    torch.manual_seed(seed)
    network = Postfilter(PostfilterArguments(**arguments))
    if config.begin_like:
        try:
            network.begin_like(load_postfilter(Path(config.begin_like)))
        except ValueError as error:
            raise InputError(f"begin_like: {config.begin_like}: {error}, not as here") from error
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
