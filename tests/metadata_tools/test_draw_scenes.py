"""Drawn scenes against those of the official generator."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from recipes.cad2.task2.process_dataset import generate_train_scenes as official

from cmss.audio import write_flac
from cmss.errors import InputError
from cmss.scenes import MetadataPaths, load_pairs
from metadata_tools.challenge.gains_and_listeners import gain_pool, make_listeners
from metadata_tools.scenes import draw_listeners, draw_scenes, main
from tests.support.challenge_set import read_json

SOURCES = (2, 3, 4, 5, 4, 2, 4, 5, 3, 2, 4, 4)
LABELS = ("Flute", "Oboe", "Cello", "Bassoon", "Viola", "Sax")


def music(sources: int, name: str) -> dict[str, dict]:
    labels = [*LABELS[:sources], "Mixture"]
    keys = [*(f"source_{n}" for n in range(1, sources + 1)), "mixture"]
    return {
        key: {"instrument": label, "track": f"{name}/{label}.flac", "start": 0, "duration": 0.2}
        for key, label in zip(keys, labels, strict=True)
    }


@pytest.fixture
def root(tmp_path):
    """Metadata of a train split without scenes."""
    rng = np.random.default_rng(1)
    pool = gain_pool(rng)
    people, compressors = make_listeners("train", 5, rng)
    write(
        tmp_path, "music.train", {f"t{n}": music(count, f"t{n}") for n, count in enumerate(SOURCES)}
    )
    write(tmp_path, "gains_meta", pool)
    write(tmp_path, "gains", {k: v for gains in pool.values() for k, v in gains.items()})
    write(tmp_path, "listeners.train", people)
    write(tmp_path, "compressor_params.train", compressors)
    return tmp_path


def write(root: Path, name: str, content: object) -> None:
    path = root / "metadata" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("arguments", "seed", "per_track", "per_scene"),
    [
        ([], "Cad2Task2_2024", 4, 2),
        (
            ["--seed", "other", "--scenes-per-track", "7", "--listeners-per-scene", "3"],
            "other",
            7,
            3,
        ),
    ],
)
def test_the_same_seed_gives_the_files_of_the_official_generator(
    root, tmp_path, arguments, seed, per_track, per_scene
):
    theirs = tmp_path / "theirs"
    shutil.copytree(root / "metadata", theirs / "metadata")
    assert main([str(root), *arguments]) == 0
    folder = theirs / "metadata"
    config = OmegaConf.create(
        {
            "path": {
                "metadata_dir": str(folder),
                "scene_metadata_file": str(folder / "scenes.train.json"),
                "gain_metadata": str(folder / "gains_meta.json"),
                "music_metadata": str(folder / "music.train.json"),
            },
            "seed_scene_generation": seed,
            "gains_per_track": per_track,
            "listener_per_scene": per_scene,
        }
    )
    official.run(config)
    for name in ("scenes.train.json", "scene_listeners.train.json"):
        assert (root / "metadata" / name).read_bytes() == (folder / name).read_bytes()
    assert len(read_json(root, "scenes.train.json")) == per_track * len(SOURCES)


def test_mended_scenes_are_read_where_the_official_ones_are_refused(root, capsys):
    for track in read_json(root, "music.train.json").values():
        for part in track.values():
            signal = 0.01 * np.ones((2, 8820))
            write_flac(root / "audio" / "train" / part["track"], signal, 44100)
    assert main([str(root)]) == 0
    assert "have the same listener twice, which enhance.py refuses" in capsys.readouterr().err
    with pytest.raises(InputError, match="listed 2 times"):
        load_pairs(MetadataPaths.of(root, "train"))
    assert main([str(root), "--mend"]) == 2
    assert "scenes.train.json: exists; --overwrite replaces it" in capsys.readouterr().err
    assert main([str(root), "--mend", "--overwrite"]) == 0
    assert capsys.readouterr().err == ""
    pairs = load_pairs(MetadataPaths.of(root, "train"))
    assert len(pairs) == 4 * 2 * len(SOURCES)


def test_mended_gains_and_listeners_are_drawn_without_repetition():
    pool = {"2": [f"g{n}" for n in range(5)]}
    scenes = draw_scenes({f"t{n}": 2 for n in range(50)}, pool, 4, mend=True)
    by_track: dict[str, list[str]] = {}
    for scene in scenes.values():
        by_track.setdefault(scene["music"], []).append(scene["gain"])
    assert all(len(set(gains)) == 4 for gains in by_track.values())
    # All are drawn, and none much more often than it should be: 40 times each of 200.
    counts = Counter(gain for gains in by_track.values() for gain in gains)
    assert set(counts) == set(pool["2"])
    assert max(counts.values()) < 60
    heard_by = draw_listeners(list(scenes), ["L1", "L2", "L3"], 2, mend=True)
    assert all(len(set(names)) == 2 for names in heard_by.values())


def test_ensembles_that_the_pool_does_not_know():
    pool = {str(n): [f"g{n}_{k}" for k in range(4)] for n in (2, 3, 4, 5)}
    sources = {"solo": 1, "duo": 2, "sextet": 6}
    with pytest.raises(InputError, match=r"solo: gains_meta\.json has no gains for 1 sources"):
        draw_scenes(sources, pool, 4)
    official_ones = draw_scenes({"sextet": 6}, pool, 4)
    assert all(scene["gain"].startswith("g5_") for scene in official_ones.values())
    mended = draw_scenes(sources, pool, 4, mend=True)
    assert {scene["music"] for scene in mended.values()} == {"duo"}
    # S49999 is the last of training: what follows would be taken for validation.
    many = {f"t{n}": 2 for n in range(10_000)}
    assert "S50000" in draw_scenes(many, pool, 4)
    with pytest.raises(InputError, match="from S10001 to S49999"):
        draw_scenes(many, pool, 4, mend=True)


def test_what_is_missing_is_named(root, capsys):
    (root / "metadata" / "gains_meta.json").unlink()
    (root / "metadata" / "listeners.train.json").write_text("{")
    assert main([str(root)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "gains_meta.json" in lines[0]
    assert "listeners.train.json: malformed JSON" in lines[1]
    assert not (root / "metadata" / "scenes.train.json").exists()
