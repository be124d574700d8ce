"""The one writer of the challenge's data layout, shared by everything that makes data.

    <root>/audio/<split>/<track>/{Violin_1,Cello,...,Mixture}.flac      44.1 kHz, stereo, 16 bit
    <root>/metadata/{gains,gains_meta}.json
    <root>/metadata/{music,scenes,scene_listeners,listeners,compressor_params}.<split>.json
    <root>/metadata/music_tracks.<split>.json

As in the challenge, paths in the files of valid and test begin with the split and are relative to
`<root>/audio`; those of train are relative to `<root>/audio/train`.
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
from metadata_tools.challenge.gains import GainPool, gain_pool
from metadata_tools.challenge.listeners import MOST_LISTENERS, make_listeners
from metadata_tools.inputs.options import real

SAMPLE_RATE_HZ = 44100
MIXTURE_LUFS = -40.0
SPLITS = ("train", "valid", "test")

SCENE_IDS = {"train": (10001, 49999), "valid": (50001, 59999), "test": (60001, 99999)}
"""First and last number of a scene of each split."""


@dataclass(frozen=True)
class MadeTrack:
    """What the metadata says about a track whose audio is written.

    Args:
        labels: instruments as the challenge writes them (`Violin_1`), in the order of source_1...
    """

    name: str
    split: str
    labels: tuple[str, ...]
    duration_s: float
    dataset: str


@contextmanager
def new_dataset(root: Path) -> Iterator[Path]:
    """A folder to write a data set into, which becomes `root` when the block ends well.

    Raises:
        InputError: see :func:`check_free`.
    """
    check_free(root)
    # What `..` or a link leads to: these have no place beside them for a temporary folder.
    with atomic_folder(real(root)) as partial:
        yield partial


def check_free(root: Path) -> None:
    """See that a new folder can be made, or an empty one be replaced.

    Raises:
        InputError: `root` exists and is not an empty folder: nothing is overwritten; or it is the
            current folder or a mount point, which cannot be replaced; or a file is where one of
            its parents should be.
        OSError: the folder that it is to be made in cannot be written.
    """
    target = real(root)
    place = next(path for path in (target, *target.parents) if path.exists())
    if place == target:
        if not target.is_dir() or any(target.iterdir()):
            raise InputError(f"{root}: exists and is not an empty folder; name another")
        if target == Path.cwd() or target.is_mount():
            raise InputError(
                f"{root}: is the current folder or a mount point; name a new folder in it"
            )
        place = target.parent
    if not place.is_dir():
        raise InputError(f"{root}: {place} is a file, expected a folder")
    try:
        # Permissions are not all that can be in the way.
        with tempfile.TemporaryDirectory(prefix=".", dir=place):
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(root)) from error


def slug(name: str) -> str:
    """A name as letters a to z, digits and underscores: what becomes part of paths and ids."""
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in name.lower()).split()
    return "_".join(words)


def check_ids_suffice(tracks: Mapping[str, int], scenes_per_track: int, listeners: int) -> None:
    """Raise InputError when a split would need more ids than the challenge's rule leaves it.

    Args:
        tracks: number by split.
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


def at_level(stems: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Bring stems to the level at which their sum has -40 LUFS, and round to 16 bit.

    The mixture is the sum of the rounded stems, so that the files add up exactly.

    Args:
        stems: (2, samples) each.

    Returns:
        Stems by label and mixture, (2, samples) float64: whole 16-bit steps over 32768.

    Raises:
        ValueError: the sum is silent, or it would clip.
    """
    mixture = np.stack(list(stems.values())).sum(axis=0, dtype=np.float64)
    loudness = loudness_lufs(mixture, SAMPLE_RATE_HZ)
    if not np.isfinite(loudness):
        raise ValueError("a silent mixture has no level")
    gain = 10 ** ((MIXTURE_LUFS - loudness) / 20) * FULL_SCALE_16_BIT
    rounded = {label: np.rint(stem * gain) for label, stem in stems.items()}
    total = np.stack(list(rounded.values())).sum(axis=0)
    if np.abs(total).max() >= FULL_SCALE_16_BIT:
        raise ValueError("the mixture clips at -40 LUFS")
    stepped = {label: stem / FULL_SCALE_16_BIT for label, stem in rounded.items()}
    return stepped, total / FULL_SCALE_16_BIT


def write_track(
    root: Path, split: str, name: str, stems: Mapping[str, np.ndarray], dataset: str
) -> MadeTrack:
    """Write the stems and the mixture of one track, levelled to -40 LUFS.

    Args:
        stems: (2, samples) float by label; their order becomes source_1, source_2...
        dataset: what the metadata gives as the origin.
    """
    folder = root / "audio" / split / name
    folder.mkdir(parents=True)
    levelled, mixture = at_level(stems)
    for label, samples in {**levelled, "Mixture": mixture}.items():
        write_flac(folder / f"{label}.flac", samples, SAMPLE_RATE_HZ)
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
        seed: decides gains, listeners and who hears what.
        listeners: how many per split, one of them without loss.

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
        heard_by = _heard_by(list(scenes), list(people), listeners_per_scene, rng)
        files: dict[str, dict] = {
            "listeners": people,
            "compressor_params": compressors,
            "music": {track.name: _music(track) for track in own},
            "music_tracks": {track.name: _paths(track) for track in own},
            "scenes": scenes,
            "scene_listeners": heard_by,
        }
        for kind, content in files.items():
            _write_json(metadata / f"{kind}.{split}.json", content)
        pairs += sum(len(names) for names in heard_by.values())
    return pairs


def _scenes(
    tracks: Sequence[MadeTrack], pool: GainPool, per_track: int, rng: np.random.Generator
) -> dict[str, dict[str, str]]:
    """Scenes of some tracks; those that the pool has no gains for, such as solos, get none."""
    scenes: dict[str, dict[str, str]] = {}
    for track in tracks:
        gains = list(pool.get(str(len(track.labels)), ()))
        for index in rng.permutation(len(gains))[:per_track]:
            number = SCENE_IDS[track.split][0] + len(scenes)
            scenes[f"S{number}"] = {"music": track.name, "gain": gains[index]}
    return scenes


def _heard_by(
    scenes: list[str], listeners: list[str], per_scene: int, rng: np.random.Generator
) -> dict[str, list[str]]:
    """Listeners take turns in a shuffled order, so that each hears equally many scenes."""
    heard_by: dict[str, list[str]] = {}
    waiting: list[str] = []
    for scene in scenes:
        chosen: list[str] = []
        while len(chosen) < min(per_scene, len(listeners)):
            if not any(name not in chosen for name in waiting):
                waiting += [listeners[i] for i in rng.permutation(len(listeners))]
            following = next(name for name in waiting if name not in chosen)
            waiting.remove(following)
            chosen.append(following)
        heard_by[scene] = chosen
    return heard_by


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
