"""The folder of a run: the configuration that made it, and where its results came from."""

import json
import platform
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from cmss.errors import InputError
from cmss.files.atomic import alone, clear_stale, write_text
from cmss.files.text import read_text
from cmss.machine.processor import processor
from cmss.scenes import MetadataPaths, Track, load_tracks

CONFIGURATION = "config.yaml"
PROVENANCE = "provenance.json"
SECTIONS = ("path", "evaluate", "submission", "separator", "remix", "enhancer")
"""Those of every run's configuration."""
_DAMAGED = "run enhance.py with the same path.exp_folder to write it again"
DECIDED = ("separator", "ensemble", "remix", "profile", "soft_clip")
"""Keys and sections whose effect is in the enhanced files; later stages cannot change them."""

LIBRARIES = ("pyclarity", "torch", "numpy", "scipy", "numba", "soxr", "soundfile")


def absolute_paths(config: DictConfig) -> DictConfig:
    """A copy whose paths are absolute, relative ones from the current folder.

    These are the `path` section, the list of pairs, which later stages read again, and the runs to
    compare with. Values that refer to others still do, so that a later stage which overrides
    `path.root` moves all that hangs on it.
    """
    config = config.copy()
    for key in config.path:
        if not OmegaConf.is_missing(config.path, key) and not OmegaConf.is_interpolation(
            config.path, key
        ):
            config.path[key] = str(Path(str(config.path[key])).resolve())
    if isinstance(config.evaluate.pairs, str):
        config.evaluate.pairs = str(Path(config.evaluate.pairs).resolve())
    config.compare = [str(Path(other).resolve()) for other in config.compare]
    return config


def save_configuration(config: DictConfig) -> None:
    """Write the resolved configuration of a run, completely or not at all.

    Which share of the tracks one job has is none of it: later stages have jobs of their own.
    """
    config = config.copy()
    config.evaluate.batch, config.evaluate.batch_size = 0, 1
    text = OmegaConf.to_yaml(config, resolve=True)
    write_text(Path(config.path.exp_folder) / CONFIGURATION, text)


def read_configuration(path: Path) -> DictConfig:
    """The configuration that a run was made with.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    try:
        config = OmegaConf.create(read_text(path))
    except (YAMLError, OmegaConfBaseException, ValueError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: not a configuration in YAML ({reason}); {_DAMAGED}") from error
    if not isinstance(config, DictConfig):
        raise InputError(f"{path}: expected the configuration of a run; {_DAMAGED}")
    return config


def continued_configuration(config: DictConfig, overrides: dict[str, Any]) -> DictConfig:
    """The configuration that the run was made with, changed by what this stage was called with.

    Args:
        config: as composed for this stage; tells where the run is.
        overrides: key -> value as given on this stage's command line.

    Raises:
        InputError: neither a run nor data are given, or an override gives what enhance.py decided
            another value than the run was made with.
    """
    folder = Path(config.path.exp_folder).resolve()
    path = folder / CONFIGURATION
    if not path.is_file():
        if OmegaConf.is_missing(config.path, "root"):
            raise InputError(
                f"{path}: no such file; expected path.exp_folder=FOLDER of a run of enhance.py, or "
                "path.root=DATA to score files made elsewhere"
            )
        return absolute_paths(config)
    kept = read_configuration(path)
    if wrong := [key for key in SECTIONS if not OmegaConf.is_dict(kept.get(key))]:
        raise InputError(f"{path}: {key}: expected a section; {_DAMAGED}" for key in wrong)
    # What came after the run was made has its default.
    for key in config.keys() - kept.keys():
        kept[key] = config[key]
    kept.submission = OmegaConf.merge(config.submission, kept.submission)
    OmegaConf.set_struct(kept, True)
    _relink(kept, config)
    # Asked for once, results are not deleted ever after.
    kept.on_change, kept.compare = config.on_change, []
    problems: list[str] = []
    for key in _single_keys(overrides):
        if key.split(".")[0] in DECIDED:
            problems += _disagreement(key, kept, config)
        else:
            OmegaConf.update(kept, key, _as_it_stands(config, key), merge=False)
    if problems:
        raise InputError(problems)
    kept.path.exp_folder = str(folder)
    return absolute_paths(kept)


def _single_keys(overrides: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The keys of overrides; where a section is given by several values, the key of each."""
    for key, value in overrides.items():
        if isinstance(value, dict):
            yield from _single_keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _as_it_stands(config: DictConfig, key: str) -> Any:
    """A value of the configuration, references to others unresolved."""
    value = OmegaConf.to_container(config, resolve=False)
    for name in key.split("."):
        value = value[name]  # type: ignore[call-overload,index]
    return value


def _disagreement(key: str, kept: DictConfig, config: DictConfig) -> Iterator[str]:
    """A line if a value, or a section that was chosen by its name, is another than in the run."""
    ours, theirs = (dict(_leaves(key, OmegaConf.select(c, key))) for c in (config, kept))
    for leaf in ours | theirs:
        if leaf not in ours or leaf not in theirs or ours[leaf] != theirs[leaf]:
            yield (
                f"{leaf}: {_shown(ours, leaf)}, but enhance.py has made the run with "
                f"{_shown(theirs, leaf)}; leave {key} out, or run enhance.py again to change it"
            )
            return


def _leaves(key: str, node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, DictConfig):
        for name in node:
            yield from _leaves(f"{key}.{name!s}", node[name])
    else:
        yield key, node


def _shown(values: Mapping[str, Any], key: str) -> str:
    return str(values[key]) if key in values else "no such key"


def _relink(kept: DictConfig, config: DictConfig) -> None:
    """Put references between paths back where they give what was kept."""
    for key in config.path:
        if OmegaConf.is_interpolation(config.path, key):
            value = kept.path[key]
            kept.path[key] = OmegaConf.to_container(config.path, resolve=False)[key]  # type: ignore[index]
            if kept.path[key] != value:
                kept.path[key] = value


@contextmanager
def job(config: DictConfig, stage: str, batch: int = 0, batch_size: int = 1) -> Iterator[Path]:
    """Be the only process that does this stage of this shard in the folder of the run.

    What killed ones left half-written is deleted first.

    Args:
        config: tells where the run is.
        stage: for instance "enhance".
        batch: which shard, from 0.
        batch_size: the number of shards.

    Yields:
        the folder.

    Raises:
        InputError: another process is at it.
    """
    folder = Path(config.path.exp_folder)
    with alone(
        folder / f".{stage}_{batch + 1}-{batch_size}.lock",
        f"{stage}.py, job {batch + 1} of {batch_size}",
    ):
        for place in (folder, folder / "stems", *folder.glob("enhanced_signals/*")):
            clear_stale(place)
        yield folder


def metadata_paths(config: DictConfig) -> MetadataPaths:
    """The files that a run reads, from the `path` section."""
    return MetadataPaths(
        **{name: Path(config.path[name]) for name in MetadataPaths.__dataclass_fields__}
    )


def training_tracks(config: DictConfig, count: int | None = None) -> list[Track]:
    """The train split of the `path` section, and those of the data sets in `path.more`.

    Args:
        config: has `path`.
        count: take so many, evenly spread over all; None: all.

    Raises:
        InputError: anything wrong with their files, or no tracks.
    """
    tracks = load_tracks(Path(config.path.train_file), Path(config.path.train_music_dir))
    for root in map(Path, config.path.more):
        tracks += load_tracks(root / "metadata/music.train.json", root / "audio/train")
    if not tracks:
        raise InputError(f"{config.path.train_file}: no tracks, expected at least one")
    count = min(count or len(tracks), len(tracks))
    return [tracks[number * len(tracks) // count] for number in range(count)]


def save_provenance(
    folder: Path, config: DictConfig, weights: dict[str, str], compute: dict[str, float]
) -> None:
    """Write with what a run was made: configuration, code, weights, libraries, and at what cost.

    Args:
        folder: the run's folder.
        config: its configuration.
        weights: weight file -> sha256.
        compute: seconds of music and of work, by name. Weights and seconds of other jobs with the
            same separator are kept.
    """
    configuration: Any = OmegaConf.to_container(config, resolve=True)
    provenance = {
        "configuration": configuration,
        "cmss": version("cmss"),
        "revision": _revision(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "python": platform.python_version(),
    }
    path = folder / PROVENANCE
    with alone(folder / ".provenance.lock", "provenance", wait=True):
        try:
            earlier = json.loads(path.read_text(encoding="utf-8"))
            if earlier["configuration"]["separator"] == configuration["separator"]:
                weights = earlier["weights"] | weights
                before = {key: earlier["compute"][key] for key in compute}
                compute = {key: before[key] + seconds for key, seconds in compute.items()}
        except (OSError, ValueError, KeyError, TypeError):
            pass  # None there yet, or not one of ours.
        provenance["weights"] = dict(sorted(weights.items()))
        device = configuration["separator"].get("device")
        used = f"{processor()}, device {device}" if device else processor()
        provenance["compute"] = {"processor": used, **compute}
        write_text(path, json.dumps(provenance, indent=2) + "\n")


def _revision() -> str | None:
    """The git commit of this code, with a plus sign if files were changed; None outside git."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
