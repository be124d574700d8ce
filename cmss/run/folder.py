"""Manages the folder of a run: configuration, provenance and lock files."""

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
_DAMAGED = "run enhance.py with the same path.exp_folder to write it again"


def absolute_paths(config: DictConfig) -> DictConfig:
    """Return a copy of the configuration with absolute paths instead of relative paths.

    The paths in the section `path`, in `evaluate.pairs` and in `compare` are replaced by absolute
    paths, because a later program reads these paths again, perhaps in another working folder.
    References between paths are kept. Therefore, if a later program overrides `path.root`, all
    paths that depend on `path.root` also change.
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
    """Write the resolved configuration of a run to the folder of the run.

    The index of this job and the number of jobs are not recorded, because the number of jobs may
    differ between programs.
    """
    config = config.copy()
    config.evaluate.batch, config.evaluate.batch_size = 0, 1
    text = OmegaConf.to_yaml(config, resolve=True)
    write_text(Path(config.path.exp_folder) / CONFIGURATION, text)


def read_configuration(folder: Path) -> DictConfig:
    """Read the configuration of a run.

    Args:
        folder: the run's folder.

    Raises:
        InputError: the folder has no configuration, so it is not the folder of a run; or the
            configuration is damaged.
    """
    path = folder / CONFIGURATION
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected the folder of a run of enhance.py")
    try:
        config = OmegaConf.create(read_text(path))
    except (YAMLError, OmegaConfBaseException, ValueError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: not a configuration in YAML ({reason}); {_DAMAGED}") from error
    if not isinstance(config, DictConfig):
        raise InputError(f"{path}: expected the configuration of a run; {_DAMAGED}")
    return config


def continued_configuration(config: DictConfig, overrides: dict[str, Any]) -> DictConfig:
    """Read the configuration of a run, and apply the overrides of this program's command line.

    Args:
        config: configuration that hydra composed for this program; `path.exp_folder` is the folder
            of the run.
        overrides: dict from a key to its value on the command line of this program.

    Returns:
        The configuration for this program. If the folder has no configuration but `path.root` is
        given, the result is `config` with absolute paths.

    Raises:
        InputError: the folder has no configuration and `path.root` is not given; or an override
            would change a value that affects the enhanced files.
    """
    folder = Path(config.path.exp_folder).resolve()
    path = folder / CONFIGURATION
    if not path.is_file():
        if OmegaConf.is_missing(config.path, "root"):
            raise InputError(
                f"{path}: no such file; set path.exp_folder to the folder of a run of enhance.py, "
                "or, to score files that another program enhanced, set path.root=DATA"
            )
        return absolute_paths(config)
    kept = read_configuration(folder)
    sections = ("path", "evaluate", "submission", "separator", "remix", "enhancer")
    if wrong := [key for key in sections if not OmegaConf.is_dict(kept.get(key))]:
        raise InputError(f"{path}: {key}: expected a section; {_DAMAGED}" for key in wrong)
    # A run of an earlier version of this program lacks newer keys. Give these keys their defaults.
    for key in config.keys() - kept.keys():
        kept[key] = config[key]
    kept.submission = OmegaConf.merge(config.submission, kept.submission)
    OmegaConf.set_struct(kept, True)
    _relink(kept, config)
    # `on_change` and `compare` apply to a single call, so they are not taken from the run.
    # Otherwise on_change=redo would delete results in later calls without a new request.
    kept.on_change, kept.compare = config.on_change, []
    problems: list[str] = []
    # These sections and keys affect the enhanced files. Therefore, they must not change any more.
    decided = ("separator", "ensemble", "remix", "profile", "soft_clip")
    for key in _single_keys(overrides):
        if key.split(".")[0] in decided:
            problems += _disagreement(key, kept, config)
        else:
            OmegaConf.update(kept, key, _unresolved(config, key), merge=False)
    if problems:
        raise InputError(problems)
    kept.path.exp_folder = str(folder)
    return absolute_paths(kept)


def _single_keys(overrides: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the key of each override; for a section, yield the full key of each value."""
    for key, value in overrides.items():
        if isinstance(value, dict):
            yield from _single_keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _unresolved(config: DictConfig, key: str) -> Any:
    """Return a value of the configuration; references in the value are not resolved."""
    value = OmegaConf.to_container(config, resolve=False)
    for name in key.split("."):
        value = value[name]  # type: ignore[call-overload,index]
    return value


def _disagreement(key: str, kept: DictConfig, config: DictConfig) -> Iterator[str]:
    """Yield a message if this program and the run have different values of a key.

    Args:
        key: key of a single value or of a section.
        kept: configuration of the run.
        config: configuration of this program.
    """
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
    """Replace paths of the run by references, if the references resolve to the same paths.

    Args:
        kept: configuration of the run, in which all references are resolved; changed in place.
        config: configuration of this program, which contains the references.
    """
    for key in config.path:
        if OmegaConf.is_interpolation(config.path, key):
            value = kept.path[key]
            kept.path[key] = OmegaConf.to_container(config.path, resolve=False)[key]  # type: ignore[index]
            if kept.path[key] != value:
                kept.path[key] = value


@contextmanager
def job(config: DictConfig, stage: str, batch: int = 0, batch_size: int = 1) -> Iterator[Path]:
    """Lock one job of a program, so that no other process does the same work in the run's folder.

    Temporary files that killed processes have left are deleted first.

    Args:
        config: configuration of the run; `path.exp_folder` is the run's folder.
        stage: name of the program without its suffix, for instance "enhance".
        batch: index of the job, from 0.
        batch_size: number of jobs.

    Yields:
        The folder of the run.

    Raises:
        InputError: another process already does this work.
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
    """Return the paths of metadata and music that the section `path` gives."""
    return MetadataPaths(
        **{name: Path(config.path[name]) for name in MetadataPaths.__dataclass_fields__}
    )


def training_tracks(config: DictConfig, count: int | None = None) -> list[Track]:
    """Load the training tracks of the section `path` and of the data sets in `path.more`.

    Args:
        config: configuration with the section `path`.
        count: number of tracks to load. These tracks are evenly spaced in the list of all tracks.
            If `count` is None, all tracks are loaded.

    Raises:
        InputError: files are not valid, or there are no tracks; the message has a line for each
            problem.
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
    """Write the provenance of a run: configuration, code, weights, libraries, computing time.

    If other jobs with the same separator have already written the file, the new file lists the
    weights of all these jobs. Each duration in the new file is the sum over all these jobs.

    Args:
        folder: the run's folder.
        config: configuration of the run.
        weights: dict from the path of a weight file to the SHA-256 of this file.
        compute: dict from the name of a duration to its value in seconds. The durations are
            computing times and lengths of music.
    """
    libraries = ("pyclarity", "torch", "numpy", "scipy", "numba", "soxr", "soundfile")
    configuration: Any = OmegaConf.to_container(config, resolve=True)
    provenance = {
        "configuration": configuration,
        "cmss": version("cmss"),
        "revision": _revision(),
        "libraries": {name: version(name) for name in libraries},
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
            pass  # The file does not exist yet, or another program has written it.
        provenance["weights"] = dict(sorted(weights.items()))
        device = configuration["separator"].get("device")
        used = f"{processor()}, device {device}" if device else processor()
        provenance["compute"] = {"processor": used, **compute}
        write_text(path, json.dumps(provenance, indent=2) + "\n")


def _revision() -> str | None:
    """Return the git commit of this code, with "+" if files have changed; None without git."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
