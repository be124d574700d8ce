"""Draw scenes and listeners for a data folder by the method of the official generator.

    python -m metadata_tools.scenes DATA --split train

Each track of music.<split>.json gets several scenes. For each number of sources in a track,
gains_meta.json has a pool of gain combinations, from which the gains of a scene are drawn. The
listeners of a scene are drawn from listeners.<split>.json. With the same seed, the command and
pyclarity's generate_train_scenes.py write identical scenes.

The official generator has faults. A track may get two scenes with the same gains. A scene may get
the same listener twice, which enhance.py refuses. If a track has more than five sources, the sixth
source gets no gain. Scenes after S49999 have ids of the validation split. The option --mend avoids
the faults of the official generator: gains and listeners are drawn without repetition, a track gets
no scene if the pool has no gains for its number of sources, and too many scenes are reported as an
error.
"""

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cmss.command_line import exit_status
from cmss.errors import InputError
from cmss.files.atomic import atomic_file
from cmss.scenes.files import Gains, ListenerEntry, MetadataFile, Parts
from metadata_tools.challenge.writer import SCENE_IDS
from metadata_tools.inputs.options import at_least, command_parser, to_path

SCENE_SEED = "Cad2Task2_2024"
"""Default seed of the official generator for the scenes."""

_MOST_SOURCES = 5


def seeded(words: str) -> np.random.RandomState:
    """Return the official random generator, seeded by a text.

    The seed is the last eight decimal digits of the MD5 sum of the text.
    """
    return np.random.RandomState(int(hashlib.md5(words.encode()).hexdigest(), 16) % 10**8)


def draw_scenes(
    sources: Mapping[str, int],
    pool: Mapping[str, Sequence[str]],
    per_track: int,
    split: str = "train",
    seed: str = SCENE_SEED,
    mend: bool = False,
) -> dict[str, dict[str, str]]:
    """Draw scenes for tracks.

    Args:
        sources: dict from a track to its number of sources.
        pool: dict from a number of sources to the names of the gain combinations for this number.
        per_track: number of scenes of each track.
        split: split of the tracks, which determines the ids of the scenes.
        seed: seed of the random generator, any text.
        mend: whether to avoid the faults of the official generator (see the top of this file).

    Returns:
        Dict from the id of a scene to the names of its track and its gains, for instance
        {"S10001": {"music": "track", "gain": "gain_0001"}}.

    Raises:
        InputError: the pool has no gains for the number of sources of a track, or there are too
            many scenes for the ids of the split.
    """
    rng = seeded(seed)
    first, last = SCENE_IDS[split]
    scenes: dict[str, dict[str, str]] = {}
    for track, count in sources.items():
        gains = list(pool.get(str(count if mend else min(_MOST_SOURCES, count)), ()))
        drawn: Iterable[str]
        if mend:
            drawn = rng.permutation(gains)[:per_track] if gains else []
        elif not gains:
            raise InputError(
                f"{track}: gains_meta.json has no gains for {count} sources; "
                "--mend leaves such tracks out"
            )
        else:
            drawn = [rng.choice(gains) for _ in range(per_track)]
        for gain in drawn:
            scenes[f"S{first + len(scenes)}"] = {"music": track, "gain": str(gain)}
    if mend and len(scenes) > last - first + 1:
        raise InputError(
            f"{len(scenes)} scenes: the split {split} only has ids from S{first} to S{last}; "
            "ask for fewer with --scenes-per-track"
        )
    return scenes


def draw_listeners(
    scenes: Sequence[str],
    listeners: Sequence[str],
    per_scene: int,
    seed: str = "Cadenza2-scene",
    mend: bool = False,
) -> dict[str, list[str]]:
    """Choose the listeners of each scene at random.

    Args:
        scenes: ids of the scenes.
        listeners: ids of all listeners.
        per_scene: number of listeners of each scene.
        seed: seed of the random generator, any text; by default the official seed.
        mend: whether to avoid the faults of the official generator (see the top of this file).

    Raises:
        InputError: there are no listeners; or `mend` is True, and there are fewer listeners than a
            scene needs.
    """
    if not listeners or (mend and len(listeners) < per_scene):
        raise InputError(f"{len(listeners)} listeners, expected {per_scene} or more")
    rng = seeded(seed)
    return {
        scene: [str(name) for name in rng.choice(listeners, per_scene, replace=not mend)]
        for scene in scenes
    }


def make_scenes(
    root: Path,
    split: str,
    per_track: int,
    per_scene: int,
    seed: str = SCENE_SEED,
    mend: bool = False,
    overwrite: bool = False,
) -> tuple[int, list[str]]:
    """Draw scenes and write scenes.<split>.json and scene_listeners.<split>.json to a data folder.

    Returns:
        The number of scenes, and a line for each reason why enhance.py would refuse scenes.

    Raises:
        InputError: metadata are missing or not valid, or one of the two files already exists.
    """
    folder = root / "metadata"
    targets = [folder / f"{kind}.{split}.json" for kind in ("scenes", "scene_listeners")]
    problems = [
        f"{target}: exists; --overwrite replaces it"
        for target in targets
        if target.exists() and not overwrite
    ]
    music = MetadataFile(folder / f"music.{split}.json", "music_file", problems)
    gains = MetadataFile(folder / "gains_meta.json", "gains_file", problems)
    people = MetadataFile(folder / f"listeners.{split}.json", "listeners_file", problems)
    sources = {
        track: _count(parts, mend)
        for track, entry in music.entries.items()
        if (parts := music.validate(track, entry, Parts)) is not None
    }
    pool = {count: list(_named_gains(gains, count)) for count in gains.entries}
    for name, entry in people.entries.items():
        people.validate(name, entry, ListenerEntry)
    if problems:
        raise InputError(problems)
    scenes = draw_scenes(sources, pool, per_track, split, seed, mend)
    scene_listeners = draw_listeners(list(scenes), list(people.entries), per_scene, mend=mend)
    # Write both files or neither, because listeners of other scenes would be refused.
    with atomic_file(targets[0]) as first, atomic_file(targets[1]) as second:
        for target, content in ((first, scenes), (second, scene_listeners)):
            # The official generator writes the files in this format.
            target.write_text(json.dumps(content, indent=4), encoding="utf-8")
    return len(scenes), _refused(scenes, scene_listeners, sources)


def _count(parts: dict[str, Any], mend: bool) -> int:
    """Return the number of sources of a track.

    If `mend` is False, the result is the number of entries minus one, as in the official generator.
    """
    if mend:
        return sum(part.startswith("source_") for part in parts)
    return len(parts) - 1


def _named_gains(gains: MetadataFile, count: str) -> dict[str, Any]:
    content = gains.entries[count]
    if not isinstance(content, dict):
        gains.report(count, "expected an object of named gains")
        return {}
    for name, entry in content.items():
        gains.validate(f"{count}.{name}", entry, Gains)
    return content


def _refused(
    scenes: Mapping[str, object],
    scene_listeners: Mapping[str, Sequence[str]],
    sources: Mapping[str, int],
) -> list[str]:
    """Return a line for each reason why enhance.py would refuse the drawn scenes."""
    lines = []
    if twice := sum(len(set(names)) < len(names) for names in scene_listeners.values()):
        lines.append(
            f"{twice} of {len(scenes)} scenes have the same listener twice, which enhance.py "
            "refuses; --mend draws each listener once"
        )
    if many := [track for track, count in sources.items() if count > _MOST_SOURCES]:
        lines.append(
            f"{len(many)} tracks have more than {_MOST_SOURCES} sources and gains for "
            f"{_MOST_SOURCES}, which enhance.py refuses; --mend leaves them out"
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status, which is 2 if the input cannot be used."""
    parser = command_parser("scenes", __doc__)
    add = parser.add_argument
    add("root", type=to_path, metavar="DATA",
        help="data folder, which contains the folders audio and metadata")  # fmt: skip
    add("--split", choices=list(SCENE_IDS), default="train",
        help="split for which scenes are drawn; default: %(default)s")  # fmt: skip
    some = at_least(1, most=10_000)  # a split has fewer ids
    add("--scenes-per-track", type=some, default=4, metavar="N",
        help="number of scenes of each track; default: %(default)s")  # fmt: skip
    add("--listeners-per-scene", type=some, default=2, metavar="N",
        help="number of listeners of each scene; default: %(default)s")  # fmt: skip
    add("--seed", default=SCENE_SEED,
        help="seed of the random generator, any text; default: %(default)s")  # fmt: skip
    add("--mend", action="store_true", help="avoid the faults of the official generator")
    add("--overwrite", action="store_true", help="replace existing scenes")
    options = parser.parse_args(arguments)

    def work() -> None:
        count, warnings = make_scenes(
            options.root,
            options.split,
            options.scenes_per_track,
            options.listeners_per_scene,
            options.seed,
            options.mend,
            options.overwrite,
        )
        for warning in warnings:
            print(f"scenes: {warning}", file=sys.stderr)
        print(f"{options.root}: {count} {options.split} scenes")

    return exit_status(work, "scenes")


if __name__ == "__main__":
    sys.exit(main())
