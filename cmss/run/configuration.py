"""Builds the objects of a run from the configuration of the run."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cmss.errors import InputError, one_of
from cmss.files.atomic import alone
from cmss.files.text import read_table
from cmss.hearing.hearing_aid import HearingAid
from cmss.machine.precision import AUTO, chosen_precision
from cmss.machine.processor import has_bfloat16
from cmss.remix import ConsistentRemix, OfficialRemix, Remix
from cmss.run.folder import (
    metadata_paths,
    read_configuration,
    save_configuration,
)
from cmss.scenes import Pair, SoundFiles, load_pairs, shard
from cmss.separators.builder import described_steps
from cmss.separators.protocol import NOT_SHAPING
from cmss.settings import check_values, from_settings

REMIXES: dict[str, type[Any]] = {"consistent": ConsistentRemix, "official": OfficialRemix}


def plain(config: DictConfig) -> dict[str, Any]:
    """Convert a section of the configuration to a dictionary, with references resolved."""
    section = OmegaConf.to_container(config, resolve=True)
    assert isinstance(section, dict)
    return {str(key): value for key, value in section.items()}


def default_separator() -> dict[str, Any]:
    """Return the section of the default separator for :func:`cmss.separators.build_separator`."""
    meta = OmegaConf.load(str(files("cmss.conf") / "ensemble" / "meta.yaml"))
    assert isinstance(meta, DictConfig)
    return {"name": "ensemble", **plain(meta)}


def default_hearing_aid(sample_rate_hz: int) -> HearingAid:
    """Return the hearing aid of the default configuration at a sampling rate."""
    challenge = OmegaConf.load(str(files("cmss.conf") / "enhancer" / "challenge.yaml"))
    assert isinstance(challenge, DictConfig)
    settings = {**plain(challenge), "sample_rate_hz": sample_rate_hz}
    return from_settings(HearingAid, settings, "enhancer")


def build_remix(config: DictConfig) -> Remix:
    """Build the remix from the section `remix` of the configuration.

    Raises:
        InputError: the name of the remix is unknown, or the settings of the remix are not valid.
    """
    settings = plain(config)
    name = settings.pop("name")
    remix = REMIXES.get(name) if isinstance(name, str) else None
    if remix is None:
        raise InputError(f"remix.name: {name!r}, {one_of(REMIXES, name)}")
    return from_settings(remix, settings, "remix")


def build_hearing_aid(config: DictConfig) -> HearingAid:
    """Build the hearing aid, which works at the sampling rate of the mixtures."""
    settings = plain(config.enhancer)
    if "sample_rate_hz" in settings:
        raise InputError("enhancer.sample_rate_hz: no such setting, expected input_sample_rate")
    settings["sample_rate_hz"] = config.input_sample_rate
    return from_settings(HearingAid, settings, "enhancer")


def stem_settings(config: DictConfig) -> dict[str, Any]:
    """Return the settings that affect the estimated stems, for the fingerprints of stems."""
    return {
        "separator": _affecting(plain(config.separator)),
        "input_sample_rate": config.input_sample_rate,
    }


def enhanced_settings(config: DictConfig) -> dict[str, Any]:
    """Return the settings that affect the enhanced files, for the fingerprints of these files."""
    return {
        **stem_settings(config),
        "remix": plain(config.remix),
        "enhancer": plain(config.enhancer),
        "soft_clip": config.soft_clip,
        "remix_sample_rate": config.remix_sample_rate,
    }


def _affecting(node: Any) -> Any:
    """Return a section, but leave out settings that do not affect results, such as the device."""
    if isinstance(node, dict):
        return {
            key: described_steps(value, node.get("precision"))
            if key == "steps"
            else _affecting(value)
            for key, value in node.items()
            if key not in NOT_SHAPING
        }
    return [_affecting(value) for value in node] if isinstance(node, list) else node


def score_settings(config: DictConfig) -> dict[str, Any]:
    """Return the settings that affect the scores, for the fingerprints of scores."""
    return {
        "enhancer": plain(config.enhancer),
        "input_sample_rate": config.input_sample_rate,
        "HAAQI_sample_rate": config.HAAQI_sample_rate,
        "evaluate.set_random_seed": config.evaluate.set_random_seed,
    }


def reads_references(config: DictConfig) -> bool:
    """Return whether the separator, or a member of an ensemble, reads the ground truth stems."""
    separator = plain(config.separator)
    members = [separator, *separator.get("members", [])]
    return any(member.get("name") == "oracle" for member in members)


def with_precision(config: DictConfig) -> DictConfig:
    """Return a copy of the configuration in which float32 or bfloat16 replaces `auto`.

    A run that has already begun keeps its precision on every processor, because all files of a run
    must be computed in the same precision. A new run gets the precision that suits this processor.

    Args:
        config: configuration of the run; `path.exp_folder` is the run's folder.
    """
    section = plain(config.separator)
    members = section.get("members", [])
    if AUTO not in [part.get("precision") for part in (section, *members)]:
        return config
    from cmss.separators.estimators import chosen_device  # late, because it imports PyTorch

    begun = _precisions_of_run(Path(config.path.exp_folder))
    config = config.copy()
    for number, part in enumerate((section, *members)):
        if part.get("precision") == AUTO:
            device = chosen_device(part.get("device", section.get("device"))).type
            kept = begun[number] if len(begun) == 1 + len(members) else None
            known = kept in ("float32", "bfloat16")
            part["precision"] = kept if known else chosen_precision(AUTO, device)
    config.separator = section
    return config


def _precisions_of_run(folder: Path) -> list[Any]:
    """Return the precisions of the separator and its members in the configuration of a run.

    The list of precisions is empty if the run has not begun.
    """
    try:
        section = read_configuration(folder).get("separator")
    except InputError:  # The file is missing or damaged; a new file is written later.
        return []
    if not OmegaConf.is_dict(section):
        return []
    parts = [section, *(section.get("members") or [])]
    return [part.get("precision") if OmegaConf.is_dict(part) else None for part in parts]


def record(config: DictConfig, given: DictConfig) -> None:
    """Write the configuration of a run to the folder of the run.

    Args:
        config: result of :func:`with_precision` for `given`.
        given: configuration in which the precision may be `auto`.

    Raises:
        InputError: after the call of :func:`with_precision`, another job has begun the run with a
            different precision.
    """
    folder = Path(config.path.exp_folder)
    with alone(folder / ".configuration.lock", "configuration", wait=True):
        if with_precision(given) != config:
            raise InputError(
                f"{folder}: separator.precision: another job has just started this run with a "
                "different precision, because it runs on a different processor; start this job "
                "again"
            )
        save_configuration(config)


def precision_warnings(config: DictConfig) -> list[str]:
    """Return a warning if a network is to run in bfloat16 on a CPU that does not support bfloat16.

    The returned list contains only the warning. If there is no warning, the list is empty.
    """
    separator = plain(config.separator)
    members = [{**separator, **member} for member in separator.get("members", [{}])]
    lower = [member for member in members if member.get("precision") == "bfloat16"]
    if has_bfloat16() is not False or not lower:
        return []
    from cmss.separators.estimators import chosen_device  # late, because it imports PyTorch

    if all(chosen_device(member["device"]).type != "cpu" for member in lower):
        return []
    return ["separator.precision: this processor does not support bfloat16; float32 is faster"]


def chosen_pairs(config: DictConfig, sounds: SoundFiles | None = None) -> list[Pair]:
    """Load the pairs of all jobs of a run.

    Args:
        config: configuration of the run.
        sounds: cache that opens the sound files. If `sounds` is None, a new cache is created.

    Raises:
        InputError: settings, metadata or the file `evaluate.pairs` are not valid, or the file
            `evaluate.pairs` lists no pairs. The message has a line for each problem.
    """
    check_values(plain(config))
    _check_split(config)
    if reads_references(config) and not config.references:
        raise InputError("references: false, but separator=oracle needs the ground truth stems")
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
            "scene and listener; evaluate.pairs=null chooses all pairs"
        )
    return chosen


def _check_split(config: DictConfig) -> None:
    """Refuse a split that is missing in the data folder, if the folder contains other splits.

    Without this check, each missing file would be reported, but not the missing split.
    """
    folder, split = Path(config.path.metadata_dir), config.split
    missing = folder / f"music.{split}.json"
    names = [path.name.split(".")[1] for path in sorted(folder.glob("music.*.json"))]
    if Path(config.path.music_file) == missing and names and split not in names:
        raise InputError(f"split: no {missing}, {one_of(dict.fromkeys(names), split)}")


def own_pairs(config: DictConfig, sounds: SoundFiles | None = None) -> list[Pair]:
    """Load the pairs of this job; the list may be empty if there are more jobs than tracks.

    Args:
        config: configuration of the run.
        sounds: cache that opens the sound files. If `sounds` is None, a new cache is created.

    Raises:
        InputError: see :func:`chosen_pairs`.
    """
    return shard(chosen_pairs(config, sounds), config.evaluate.batch, config.evaluate.batch_size)


def _listed(pairs: list[Pair], path: str) -> list[Pair]:
    """Select the pairs that are listed in a CSV file with the columns `scene` and `listener`."""
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
