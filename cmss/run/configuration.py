"""From the configuration to the objects of a run."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cmss.errors import InputError
from cmss.files.text import read_table
from cmss.hearing.hearing_aid import HearingAid
from cmss.machine.processor import has_bfloat16
from cmss.remix import ConsistentRemix, OfficialRemix, Remix
from cmss.run.folder import CONFIGURATION, metadata_paths, read_configuration
from cmss.scenes import Pair, SoundFiles, load_pairs, shard
from cmss.separators.builder import described_steps
from cmss.separators.cache import NOT_SHAPING
from cmss.separators.estimators import chosen_device
from cmss.settings import check_values, from_settings

REMIXES: dict[str, type[Any]] = {"consistent": ConsistentRemix, "official": OfficialRemix}


def plain(config: DictConfig) -> dict[str, Any]:
    """A section of the configuration as a resolved dictionary."""
    section = OmegaConf.to_container(config, resolve=True)
    assert isinstance(section, dict)
    return {str(key): value for key, value in section.items()}


def default_separator() -> dict[str, Any]:
    """The separator of the stages' default, as :func:`cmss.separators.build_separator` takes it."""
    meta = OmegaConf.load(str(files("cmss.conf") / "ensemble" / "meta.yaml"))
    assert isinstance(meta, DictConfig)
    return {"name": "ensemble", **plain(meta)}


def kept_configuration(folder: Path) -> DictConfig:
    """The configuration that a run was made with.

    Raises:
        InputError: the folder is none of a run.
    """
    path = folder / CONFIGURATION
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected the folder of a run of enhance.py")
    return read_configuration(path)


def build_remix(config: DictConfig) -> Remix:
    """The remix of a run, from its section of the configuration.

    Raises:
        InputError: no such remix, or arguments that it cannot have.
    """
    settings = plain(config)
    name = settings.pop("name")
    kind = REMIXES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InputError(f"remix.name: {name!r}, expected one of {', '.join(REMIXES)}")
    return from_settings(kind, settings, "remix")


def build_hearing_aid(config: DictConfig) -> HearingAid:
    """The hearing aid of a run, at the sampling rate of its input."""
    settings = plain(config.enhancer)
    if "sample_rate_hz" in settings:
        raise InputError("enhancer.sample_rate_hz: no such setting, expected input_sample_rate")
    settings["sample_rate_hz"] = config.input_sample_rate
    return from_settings(HearingAid, settings, "enhancer")


def separating(config: DictConfig) -> dict[str, Any]:
    """The settings that shape estimated stems, for their fingerprint."""
    return {
        "separator": _shaping(plain(config.separator)),
        "input_sample_rate": config.input_sample_rate,
    }


def enhancing(config: DictConfig) -> dict[str, Any]:
    """The settings that shape an enhanced file, for its fingerprint."""
    return {
        **separating(config),
        "remix": plain(config.remix),
        "enhancer": plain(config.enhancer),
        "soft_clip": config.soft_clip,
        "remix_sample_rate": config.remix_sample_rate,
    }


def _shaping(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: described_steps(value) if key == "steps" else _shaping(value)
            for key, value in node.items()
            if key not in NOT_SHAPING
        }
    return [_shaping(value) for value in node] if isinstance(node, list) else node


def scoring(config: DictConfig) -> dict[str, Any]:
    """The settings that shape a score, for its fingerprint."""
    return {
        "enhancer": plain(config.enhancer),
        "input_sample_rate": config.input_sample_rate,
        "HAAQI_sample_rate": config.HAAQI_sample_rate,
        "evaluate.set_random_seed": config.evaluate.set_random_seed,
    }


def reads_references(config: DictConfig) -> bool:
    """Whether the separator, or a member of it, is given the true stems."""
    separator = plain(config.separator)
    members = [separator, *separator.get("members", [])]
    return any(member.get("name") == "oracle" for member in members)


def precision_warnings(config: DictConfig) -> list[str]:
    """A line where products of matrices will be slow for their precision."""
    separator = plain(config.separator)
    members = [{**separator, **member} for member in separator.get("members", [{}])]
    if has_bfloat16() or not any(
        member.get("precision") == "bfloat16" and chosen_device(member["device"]).type == "cpu"
        for member in members
    ):
        return []
    return ["separator.precision: bfloat16 is slower than float32 here, the processor has none"]


def chosen_pairs(config: DictConfig, sounds: SoundFiles | None = None) -> list[Pair]:
    """The pairs that a run is about, all of its jobs together.

    Args:
        config: of the run.
        sounds: opens the sound files; None makes one for this call.

    Raises:
        InputError: anything wrong with the settings, the metadata or the choice; no pairs.
    """
    check_values(plain(config))
    if reads_references(config) and not config.references:
        raise InputError("references: false, but separator=oracle is made of the true stems")
    rate_hz, references = config.input_sample_rate, config.references
    pairs = load_pairs(metadata_paths(config), rate_hz, references, sounds)
    if config.evaluate.small_test:
        pairs = pairs[::400]
    if config.evaluate.pairs is None:
        return pairs
    chosen = _listed(pairs, config.evaluate.pairs)
    if not chosen:
        raise InputError(
            f"{config.evaluate.pairs}: evaluate.pairs: no rows, expected at least one pair of "
            "scene and listener; evaluate.pairs=null takes all pairs"
        )
    return chosen


def own_pairs(config: DictConfig, sounds: SoundFiles | None = None) -> list[Pair]:
    """The pairs of this job; none where there are more jobs than tracks.

    Args:
        config: of the run.
        sounds: opens the sound files; None makes one for this call.

    Raises:
        InputError: as for :func:`chosen_pairs`.
    """
    return shard(chosen_pairs(config, sounds), config.evaluate.batch, config.evaluate.batch_size)


def _listed(pairs: list[Pair], path: str) -> list[Pair]:
    """Those of `pairs` that a CSV file with columns scene and listener lists."""
    try:
        table = read_table(Path(path), ("scene", "listener"))
    except OSError as error:
        raise InputError(f"{path}: evaluate.pairs: {error.strerror or error}") from error
    except InputError as error:
        raise InputError(
            line.replace(f"{path}", f"{path}: evaluate.pairs", 1) for line in error.problems
        ) from error
    wanted = [(row["scene"], row["listener"]) for _, row in table.rows]
    known = {(pair.scene.id, pair.listener.id) for pair in pairs}
    if unknown := [key for key in wanted if key not in known]:
        raise InputError(
            f"{path}: evaluate.pairs: no pair of scene {scene} and listener {listener}"
            for scene, listener in unknown
        )
    return [pair for pair in pairs if (pair.scene.id, pair.listener.id) in set(wanted)]
