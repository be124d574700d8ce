"""Writes data sets in the challenge's layout, for all commands that make data.

    <root>/audio/<split>/<track>/{Violin_1,Cello,...,Mixture}.flac      44.1 kHz, stereo, 16 bit
    <root>/metadata/{gains,gains_meta}.json
    <root>/metadata/{music,scenes,scene_listeners,listeners,compressor_params}.<split>.json
    <root>/metadata/music_tracks.<split>.json

Audio paths in the metadata have the same form as in the challenge. For the splits `valid` and
`test`, the paths are relative to `<root>/audio` and begin with the name of the split. For the split
`train`, the paths are relative to `<root>/audio/train`.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cmss.audio import FULL_SCALE_16_BIT, loudness_lufs, write_flac
from cmss.errors import InputError
from cmss.files.atomic import atomic_folder
from metadata_tools.challenge.gains_and_listeners import MOST_LISTENERS, gain_pool, make_listeners
from metadata_tools.inputs.options import real

SAMPLE_RATE_HZ = 44100
MIXTURE_LUFS = -40.0
SPLITS = ("train", "valid", "test")

SCENE_IDS = {"train": (10001, 49999), "valid": (50001, 59999), "test": (60001, 99999)}
"""Dict from a split to the first and the last number in the ids of its scenes."""


@dataclass(frozen=True)
class MadeTrack:
    """Describes a track whose audio has been written, for the metadata of the track.

    Args:
        labels: names of the players in the notation of the challenge (`Violin_1`), in the order
            source_1, source_2, ...
    """

    name: str
    split: str
    labels: tuple[str, ...]
    duration_s: float
    dataset: str


@contextmanager
def new_dataset(root: Path) -> Iterator[Path]:
    """Yield a temporary folder for a data set, and then rename the folder to `root`.

    The folder is renamed only if the `with` block ends without an exception.

    Raises:
        InputError: `root` cannot be created or replaced (:func:`check_free`).
    """
    check_free(root)
    # The temporary folder must be next to the target, so `..` and links in the path are resolved.
    with atomic_folder(real(root)) as partial:
        yield partial


def check_free(root: Path) -> None:
    """Check that the folder `root` can be created, or that `root` is an empty folder.

    Raises:
        InputError: one of these conditions is true. `root` exists and is not an empty folder.
            `root` is the current folder or a mount point; neither can be replaced. A parent of
            `root` is a file instead of a folder.
        OSError: the program cannot write to the folder in which `root` is to be created.
    """
    target = real(root)
    place = next(path for path in (target, *target.parents) if path.exists())
    if place == target:
        if not target.is_dir() or any(target.iterdir()):
            raise InputError(f"{root}: exists and is not an empty folder; choose another folder")
        if target == Path.cwd() or target.is_mount():
            raise InputError(
                f"{root}: is the current folder or a mount point; choose a new folder in it"
            )
        place = target.parent
    if not place.is_dir():
        raise InputError(f"{root}: {place} is a file, expected a folder")
    try:
        # Try to write, because permissions are not the only possible obstacle. A file without a
        # name is not left over if the user interrupts the program.
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(root)) from error


def slug(name: str) -> str:
    """Convert a name to letters a to z, digits and underscores, for use in paths and ids."""
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in name.lower()).split()
    return "_".join(words)


def check_ids_suffice(tracks: Mapping[str, int], scenes_per_track: int, listeners: int) -> None:
    """Check that the challenge's rules define enough ids of scenes and listeners for each split.

    Args:
        tracks: dict from a split to its number of tracks.
        scenes_per_track: number of scenes of each track.
        listeners: number of listeners of each split.

    Raises:
        InputError: a split has fewer ids than it needs for its scenes or listeners.
    """
    problems = []
    for split, count in tracks.items():
        first, last = SCENE_IDS[split]
        if count * scenes_per_track > last - first + 1:
            problems.append(
                f"{count} {split} tracks of {scenes_per_track} scenes: {split} scenes have ids "
                f"S{first} to S{last} only"
            )
    if listeners > MOST_LISTENERS:
        problems.append(f"{listeners} listeners: expected at most {MOST_LISTENERS}")
    if problems:
        raise InputError(problems)


def write_track(
    root: Path, split: str, name: str, stems: Mapping[str, np.ndarray], dataset: str
) -> MadeTrack:
    """Write the stems and the mixture of a track, and set the mixture to -40 LUFS.

    The stems are rounded to 16 bits before they are summed to the mixture. The stem files therefore
    sum exactly to the mixture file.

    Args:
        root: folder of the data set.
        split: split of the track.
        name: name of the track.
        stems: dict from the label of a player to the floating-point stem (2, samples). The stems
            are numbered source_1, source_2, ... in the order of the dict.
        dataset: name of the source data set, for `source_dataset` in the metadata.

    Raises:
        ValueError: the mixture is silent, or the mixture clips at -40 LUFS.
    """
    folder = root / "audio" / split / name
    folder.mkdir(parents=True)
    mixture = np.stack(list(stems.values())).sum(axis=0, dtype=np.float64)  # (2, samples)
    loudness = loudness_lufs(mixture, SAMPLE_RATE_HZ)
    if not np.isfinite(loudness):
        raise ValueError("a silent mixture has no level")
    # In the following lines, samples are integers of 16 bits.
    gain = 10 ** ((MIXTURE_LUFS - loudness) / 20) * FULL_SCALE_16_BIT
    parts = {label: np.rint(stem * gain) for label, stem in stems.items()}
    parts["Mixture"] = np.stack(list(parts.values())).sum(axis=0)
    if np.abs(parts["Mixture"]).max() >= FULL_SCALE_16_BIT:
        raise ValueError("the mixture clips at -40 LUFS")
    for label, samples in parts.items():
        write_flac(folder / f"{label}.flac", samples / FULL_SCALE_16_BIT, SAMPLE_RATE_HZ)
    duration_s = mixture.shape[1] / SAMPLE_RATE_HZ
    return MadeTrack(name, split, tuple(stems), duration_s, dataset)


def write_metadata(
    root: Path,
    tracks: Sequence[MadeTrack],
    seed: int,
    scenes_per_track: int,
    listeners_per_scene: int,
    listeners: int,
) -> int:
    """Write all metadata files for the tracks of one or more splits.

    Args:
        root: folder of the data set.
        tracks: tracks of all splits.
        seed: seed of the random gains, the listeners, and the choice of listeners for each scene.
        scenes_per_track: number of scenes of each track.
        listeners_per_scene: number of listeners of each scene.
        listeners: number of listeners of each split; one of them has no hearing loss.

    Returns:
        Number of pairs of scene and listener.
    """
    pairs = 0
    metadata = root / "metadata"
    metadata.mkdir()
    pool = gain_pool(np.random.default_rng([seed, 1]))
    _write_json(metadata / "gains_meta.json", pool)
    _write_json(
        metadata / "gains.json", {k: v for gains in pool.values() for k, v in gains.items()}
    )
    for index, split in enumerate(SPLITS):
        own = [track for track in tracks if track.split == split]
        if not own:
            continue
        rng = np.random.default_rng([seed, 2, index])
        people, compressors = make_listeners(split, listeners, rng)
        scenes = _scenes(own, pool, scenes_per_track, rng)
        scene_listeners = _scene_listeners(list(scenes), list(people), listeners_per_scene, rng)
        files: dict[str, dict] = {
            "listeners": people,
            "compressor_params": compressors,
            "music": {track.name: _music(track) for track in own},
            "music_tracks": {track.name: _paths(track) for track in own},
            "scenes": scenes,
            "scene_listeners": scene_listeners,
        }
        for kind, content in files.items():
            _write_json(metadata / f"{kind}.{split}.json", content)
        pairs += sum(len(names) for names in scene_listeners.values())
    return pairs


def _scenes(
    tracks: Sequence[MadeTrack],
    pool: Mapping[str, Mapping[str, object]],
    per_track: int,
    rng: np.random.Generator,
) -> dict[str, dict[str, str]]:
    """Draw scenes for the tracks; tracks without gains in the pool get no scenes."""
    scenes: dict[str, dict[str, str]] = {}
    for track in tracks:
        gains = list(pool.get(str(len(track.labels)), ()))
        for index in rng.permutation(len(gains))[:per_track]:
            number = SCENE_IDS[track.split][0] + len(scenes)
            scenes[f"S{number}"] = {"music": track.name, "gain": gains[index]}
    return scenes


def _scene_listeners(
    scenes: list[str], listeners: list[str], per_scene: int, rng: np.random.Generator
) -> dict[str, list[str]]:
    """Choose random listeners for each scene; all listeners get about equally many scenes."""
    drawn: dict[str, list[str]] = {}
    waiting: list[str] = []
    for scene in scenes:
        chosen: list[str] = []
        while len(chosen) < min(per_scene, len(listeners)):
            if not any(name not in chosen for name in waiting):
                waiting += [listeners[i] for i in rng.permutation(len(listeners))]
            following = next(name for name in waiting if name not in chosen)
            waiting.remove(following)
            chosen.append(following)
        drawn[scene] = chosen
    return drawn


def _prefix(track: MadeTrack) -> str:
    return track.name if track.split == "train" else f"{track.split}/{track.name}"


def _music(track: MadeTrack) -> dict[str, dict[str, Any]]:
    duration = int(track.duration_s) if track.duration_s.is_integer() else track.duration_s
    labels = {f"source_{n}": label for n, label in enumerate(track.labels, 1)}
    entry: dict[str, dict[str, Any]] = {}
    for key, label in {**labels, "mixture": "Mixture"}.items():
        entry[key] = {
            "source_dataset": track.dataset,
            "instrument": label,
            "track": f"{_prefix(track)}/{label}.flac",
            "start": 0,
            "duration": duration,
        }
    return entry


def _paths(track: MadeTrack) -> dict[str, Any]:
    return {
        "dataset": track.dataset,
        "stems_path": [f"{_prefix(track)}/{label}.flac" for label in track.labels],
        "mixture_path": f"{_prefix(track)}/Mixture.flac",
    }


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
