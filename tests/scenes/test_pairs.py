"""Pairs of scene and listener, from valid files."""

import shutil
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from cmss import scenes
from cmss.audio import read_header
from tests.support.tiny_challenge import compressor, excerpt, listener


def test_pairs_are_joined_by_key_in_the_order_of_the_file(tiny):
    pairs = scenes.load_pairs(tiny.paths())
    assert [pair.name for pair in pairs] == ["S50002_L5999", "S50002_L5001", "S50001_L5001"]
    trio = pairs[0].scene
    assert trio.gains_db == {"source_1": 10, "source_2": -6, "source_3": 3}
    assert {key: (s.instrument, s.voice) for key, s in trio.track.sources.items()} == {
        "source_2": ("Violin", 2),
        "source_1": ("Violin", 1),
        "source_3": ("Viola", None),
    }
    assert all(key == source.id for key, source in trio.track.sources.items())
    oboe = pairs[2].scene.track.sources["source_2"]
    assert oboe.excerpt == scenes.Excerpt(tiny.audio("duet/Oboe.flac"), 0.1, 0.3)


def test_left_and_right_are_not_mixed_up(tiny):
    ears = scenes.load_pairs(tiny.paths())[1].listener
    assert ears.left.audiogram.levels_db == (40,) * 8
    assert ears.right.audiogram.levels_db == (45,) * 8
    assert ears.left.audiogram.frequencies_hz[-1] == 8000
    assert ears.left.compression.ratios == (2,) * 6
    assert ears.right.compression.ratios == (3,) * 6
    assert ears.left.compression.gains_db == (3.5,) * 6
    assert ears.right.compression.gains_db == (4.5,) * 6


def test_ensembles(tiny):
    trio, _, duet = (pair.scene.track for pair in scenes.load_pairs(tiny.paths()))
    assert (trio.ensemble, duet.ensemble) == ("string", "mixed")
    oboe_alone = {"source_2": duet.sources["source_2"]}
    assert replace(duet, sources=oboe_alone).ensemble == "wind"


@pytest.mark.parametrize(
    ("scene_id", "split"),
    [
        ("S00001", "train"),
        ("S49999", "train"),
        ("S50000", "valid"),
        ("S59999", "valid"),
        ("S60000", "test"),
        ("S62348", "test"),
    ],
)
def test_split_and_the_name_of_the_enhanced_file(tiny, scene_id, split):
    pair = scenes.load_pairs(tiny.paths())[0]
    pair = replace(pair, scene=replace(pair.scene, id=scene_id))
    assert pair.scene.split == split
    assert pair.enhanced_file == Path(f"enhanced_signals/{split}/{scene_id}_L5999_remix.flac")


def test_records_are_frozen(tiny):
    pair = scenes.load_pairs(tiny.paths())[0]
    with pytest.raises(FrozenInstanceError):
        pair.listener.left.audiogram.levels_db = ()


def test_what_no_scene_uses_is_not_judged(tiny):
    tiny.files["music_file"]["spare"] = {"source_1": excerpt("Harp", "../nowhere.flac", -1)}
    tiny.files["listeners_file"]["L5002"] = "not a listener"
    tiny.files["scenes_file"]["S50003"] = {"music": "spare", "gain": "unknown"}
    shutil.copy(tiny.audio("duet/Oboe.flac"), tiny.audio("duet/stray.flac"))
    assert len(scenes.load_pairs(tiny.paths())) == 3


def test_the_key_of_a_mixture_to_be_made_is_let_pass(tiny):
    tiny.files["music_file"]["duet"]["mixture_target"] = {"track": "valid/duet/Mixture.flac"}
    assert len(scenes.load_pairs(tiny.paths())) == 3


def test_each_sound_file_is_looked_at_once(tiny, monkeypatch):
    duet = tiny.files["music_file"]["duet"]
    tiny.files["music_file"]["later"] = {key: {**part, "start": 0.15} for key, part in duet.items()}
    tiny.files["scenes_file"]["S50003"] = {"music": "later", "gain": "gain_0001"}
    tiny.files["scene_listeners_file"]["S50003"] = ["L5001", "L5999"]
    seen = []
    monkeypatch.setattr(
        "cmss.scenes.sound_files.read_header",
        lambda path, digest: seen.append(path) or read_header(path, digest),
    )
    assert len(scenes.load_pairs(tiny.paths())) == 5
    assert len(seen) == len(set(seen)) == 7


def test_thousands_of_pairs_share_their_scenes_and_listeners(tiny):
    # As many as in the evaluation set: 348 scenes and 21 listeners.
    files = tiny.files
    names = [f"L62{number:02d}" for number in range(21)]
    files["listeners_file"] = {name: listener(name, 30) for name in names}
    files["enhancer_params_file"] = {name: compressor(2) for name in names}
    files["gains_file"] |= {f"gain_{n:04d}": {"source_1": 0} for n in range(4, 4000)}
    files["scenes_file"] = {
        f"S{62001 + n}": {"music": "duet", "gain": "gain_0001"} for n in range(348)
    }
    files["scene_listeners_file"] = dict.fromkeys(files["scenes_file"], names)
    pairs = scenes.load_pairs(tiny.paths())
    assert len(pairs) == 7308
    assert len({id(pair.scene) for pair in pairs}) == 348
    assert len({id(pair.listener) for pair in pairs}) == 21
    assert len({id(pair.scene.track) for pair in pairs}) == 1
