"""Draw scenes and listeners for a data folder, as the official generator does.

    python -m metadata_tools.scenes DATA --split train

Each track of music.<split>.json gets several scenes. The gains of a scene are drawn from those that
gains_meta.json has for this number of sources, and its listeners from listeners.<split>.json. The
same seed gives the same scenes as generate_train_scenes.py of pyclarity, to the byte.

The official generator has faults: a track may get the same gains twice, a scene the same listener
twice (which enhance.py refuses); the sixth of more than five sources gets no gain; scenes after
S49999 have ids of the validation split. --mend avoids them: gains and listeners are drawn without
repetition, tracks with a number of sources that the pool does not have get no scene, and too many
scenes are an error.
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
    """Return the official random generator, seeded by the last eight digits of an MD5 sum."""
    return np.random.RandomState(int(hashlib.md5(words.encode()).hexdigest(), 16) % 10**8)


def draw_scenes(
    sources: Mapping[str, int],
    pool: Mapping[str, Sequence[str]],
    per_track: int,
    split: str = "train",
    seed: str = SCENE_SEED,
    mend: bool = False,
) -> dict[str, dict[str, str]]:
    """Draw the scenes of some tracks.

    Args:
        sources: number of sources of each track.
        pool: names of gains by number of sources.
        per_track: number of scenes of a track.
        split: decides the ids.
        seed: any text.
        mend: see the module's docstring.

    Returns:
        {"S10001": {"music": track, "gain": name of the gains}}.

    Raises:
        InputError: no gains for a number of sources, or too many scenes.
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
            raise InputError(f"{track}: gains_meta.json has no gains for {count} sources; --mend")
        else:
            drawn = [rng.choice(gains) for _ in range(per_track)]
        for gain in drawn:
            scenes[f"S{first + len(scenes)}"] = {"music": track, "gain": str(gain)}
    if mend and len(scenes) > last - first + 1:
        raise InputError(
            f"{len(scenes)} scenes: those of {split} have ids S{first} to S{last} only; "
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
    """Draw the listeners of each scene.

    Args:
        scenes, listeners: ids.
        per_scene: number of listeners of a scene.
        seed: any text; by default that of the official generator.
        mend: see the module's docstring.

    Raises:
        InputError: there are no listeners or, with `mend`, fewer than a scene needs.
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
    """Draw and write scenes.<split>.json and scene_listeners.<split>.json of a data folder.

    Returns:
        The number of scenes, and a line for everything that enhance.py would refuse.

    Raises:
        InputError: metadata are missing or not valid, or the files exist already.
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
    # Both files or none: listeners of other scenes would be refused.
    with atomic_file(targets[0]) as first, atomic_file(targets[1]) as second:
        for target, content in ((first, scenes), (second, scene_listeners)):
            # As the official generator writes them.
            target.write_text(json.dumps(content, indent=4), encoding="utf-8")
    return len(scenes), _refused(scenes, scene_listeners, sources)


def _count(parts: dict[str, Any], mend: bool) -> int:
    """Return the number of sources; the official generator counts all entries but one."""
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
    """Run the command line; exit status 2 for bad input."""
    parser = command_parser("scenes", __doc__)
    add = parser.add_argument
    add("root", type=to_path, metavar="DATA", help="the folder with audio/ and metadata/")
    add("--split", choices=list(SCENE_IDS), default="train", help="default: %(default)s")
    some = at_least(1, most=10_000)  # a split has fewer ids
    add("--scenes-per-track", type=some, default=4, metavar="N",
        help="default: %(default)s")  # fmt: skip
    add("--listeners-per-scene", type=some, default=2, metavar="N",
        help="default: %(default)s")  # fmt: skip
    add("--seed", default=SCENE_SEED, help="any text; default: %(default)s")
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
