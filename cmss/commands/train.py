"""Implements `cmss train`: trains the network of a separator."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from cmss.errors import InputError, noting
from cmss.files.digests import file_sha256
from cmss.files.output_file import check_output_file
from cmss.machine.device import device_named
from cmss.machine.processor import cores
from cmss.models.outputs import player_index
from cmss.run.configuration import build_hearing_aid, plain
from cmss.run.folder import metadata_paths, training_tracks
from cmss.run.forms import without_folders
from cmss.run.scoring import Scorer
from cmss.run.stage import progress, stage, warn
from cmss.scenes import load_pairs, load_tracks
from cmss.settings import from_settings
from cmss.training.keys import TrainKeys
from cmss.training.loop import train
from cmss.training.mean_haaqi import MeanHaaqi
from cmss.training.mixtures import Mixtures
from cmss.training.presets import Preset, module_preset, preset
from cmss.training.recorded import recorded_mixtures
from cmss.training.rendered import effect_settings, find_material, rendered_mixtures


@stage
def main(config: DictConfig) -> None:
    """Read the stems, or the notes and the musical scores; build and train the network.

    A training that was interrupted continues when the same command is called again.
    """
    keys = from_settings(TrainKeys, plain(config))
    problems: list[str] = []
    with noting(problems):
        hearing_aid = build_hearing_aid(config)
    with noting(problems):
        effects = effect_settings(keys.data, keys.path)
    with noting(problems):
        size = _preset(keys)
        loss = size.build_loss(keys.loss)
        model = size.initial_network(keys.seed, keys.instrument, keys.init_from)
    if problems:
        raise InputError(problems)
    # Each instrument needs a separate folder. Otherwise the training for the second instrument
    # would continue from the state of the first training.
    folder = Path(keys.path.exp_folder) / (keys.instrument or "")
    check_output_file(folder / "state.pt", "path.exp_folder")
    if effects:
        index = player_index(model.sources, keys.instrument)
        kept = folder / "material.npz"
        material = find_material(keys.path, model.sample_rate_hz, kept, progress)
        print(material.summary)
        mixtures: tuple[Mixtures, Mixtures, str] = rendered_mixtures(
            material, effects, index, keys.mixtures, keys.seed, keys.instrument, cores()
        )
    else:
        tracks = training_tracks(config)
        held_out = load_tracks(Path(keys.path.valid_file), Path(keys.path.valid_music_dir))
        mixtures = recorded_mixtures(keys, model, tracks, held_out, progress, warn)
    haaqi = None
    if keys.loop.haaqi_every:
        pairs = load_pairs(metadata_paths(config), keys.input_sample_rate)
        scorer = Scorer(hearing_aid)
        haaqi = MeanHaaqi.spread(pairs, keys.haaqi_pairs, scorer, keys.instrument)
    # The weights may be published, so paths and folders are not written into their header.
    shaping = ["model", "size", "instrument", "init_from", "seed", "loss", "data", "mixtures"]
    shaping += ["loop"]
    shown = OmegaConf.masked_copy(config, shaping)
    if keys.model.target is None:
        shown.model = keys.model.name
    settings = OmegaConf.to_yaml(OmegaConf.create(without_folders(plain(shown))))
    training, validation, data = mixtures
    best = train(
        model.to(device_named(keys.device)),
        loss,
        training,
        validation,
        keys.loop,
        folder,
        lambda steps: progress(steps, "training", initial=steps.start, total=keys.loop.steps),
        {"training": settings, "data": data},
        haaqi,
        keys.seed,
    )
    print(f"{best}  sha256 {file_sha256(best)}")


def _preset(keys: TrainKeys) -> Preset:
    model = keys.model
    if model.target is None:
        return preset(model.name, keys.size)
    return module_preset(
        model.target, model.arguments, model.sources, model.samplerate, model.consistent
    )
