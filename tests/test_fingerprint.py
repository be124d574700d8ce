import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmss.errors import InputError
from cmss.fingerprint import (
    changes,
    described,
    fingerprint,
    mixed,
    of_enhanced,
    of_scores,
    outdated,
)
from cmss.scenes import SoundFiles, load_pairs
from tests.support.tiny_challenge import RATE_HZ, TinyChallenge

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
PARTS = st.dictionaries(st.from_regex(r"[a-z_.]{1,8}", fullmatch=True), VALUES, min_size=1)


@given(PARTS)
def test_equal_parts_have_equal_fingerprints_in_one_printable_line(parts):
    line = fingerprint(parts)
    assert line.isprintable()
    assert line == fingerprint(json.loads(json.dumps(parts)))
    assert changes({"S1_L1": line}, {"S1_L1": line}) == {}


@given(PARTS, st.data())
def test_the_parts_that_changed_are_named_and_no_others(parts, data):
    changed = data.draw(st.sets(st.sampled_from(sorted(parts))))
    now = parts | {name: ["now", parts[name]] for name in changed}
    found = changes({"S1_L1": fingerprint(parts)}, {"S1_L1": fingerprint(now)})
    assert found == {name: ["S1_L1"] for name in changed}


def test_a_part_that_was_not_stated_has_changed_and_one_that_is_not_asked_for_has_not():
    less, more = fingerprint({"scene": 1}), fingerprint({"scene": 1, "mixture": 2})
    assert changes({"S1_L1": less}, {"S1_L1": more}) == {"mixture": ["S1_L1"]}
    assert changes({"S1_L1": more}, {"S1_L1": less}) == {}


@pytest.mark.parametrize("comment", ["", "Recorded live", "key=value", "scene=0123 =", "é=\0"])
def test_a_comment_of_another_program_is_an_origin_of_its_own(comment):
    assert changes({"S1_L1": comment}, {"S1_L1": fingerprint({"scene": 1})}) == {
        "origin": ["S1_L1"]
    }
    assert mixed({"S1_L1": comment, "S1_L2": fingerprint({"scene": 1})}) == {}


def test_only_pairs_in_both_are_compared():
    line = fingerprint({"scene": 1})
    assert changes({"S1_L1": line, "S2_L1": ""}, {"S1_L1": line, "S3_L1": line}) == {}


def test_results_of_one_system_differ_in_their_inputs_alone():
    found = {
        f"S1_L{number}": fingerprint({"remix": 1, "mixture": number, "enhanced": number})
        for number in range(3)
    }
    assert mixed(found) == {}
    found["S1_L2"] = fingerprint({"remix": 2, "mixture": 2, "enhanced": 2})
    assert mixed(found) == {"remix": ["S1_L2"]}
    # Tracks without an instrument do not depend on its network.
    assert mixed({"a": "weights.Oboe=" + "0" * 16, "b": "weights.Viola=" + "1" * 16}) == {}


def test_what_is_out_of_date_is_told_or_given():
    changed = {"scene": ["S2_L1", "S1_L1"], "remix": ["S2_L1"]}
    assert described(changed) == "remix (1: S2_L1), scene (2: S1_L1, ...)"
    with pytest.raises(InputError) as caught:
        outdated(Path("exp"), changed, "error")
    assert caught.value.problems == (
        "exp: produced with different inputs or settings: remix (1: S2_L1), scene (2: S1_L1, ...); "
        "on_change=redo replaces these results, another path.exp_folder keeps them",
    )
    assert outdated(Path("exp"), changed, "redo") == {"S1_L1", "S2_L1"}
    assert outdated(Path("exp"), {}, "error") == set()


# Fingerprints of pairs.


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    TinyChallenge(folder).paths()
    return folder


def pairs_in(root: Path):
    return load_pairs(TinyChallenge(root).paths())


SYSTEM = {"separator": {"name": "convtasnet"}, "soft_clip": False}
WEIGHTS = {name: ["d1"] for name in ("Cello", "Oboe", "Viola", "Violin")}


def test_where_the_data_lie_does_not_count(root, tmp_path):
    shutil.copytree(root, tmp_path / "copy")
    here, there = pairs_in(root), pairs_in(tmp_path / "copy")
    for pair in here:
        path = tmp_path / pair.enhanced_file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pair.name)
    shutil.copytree(tmp_path / "enhanced_signals", tmp_path / "moved" / "enhanced_signals")
    sounds = SoundFiles(RATE_HZ)
    assert of_enhanced(here, sounds, True, SYSTEM, WEIGHTS) == of_enhanced(
        there, sounds, True, SYSTEM, WEIGHTS
    )
    assert of_scores(here, sounds, tmp_path) == of_scores(there, sounds, tmp_path / "moved")


def test_inputs_alone_are_what_a_system_adds_to(root):
    pairs = pairs_in(root)
    inputs = of_enhanced(pairs, SoundFiles(RATE_HZ), False)
    whole = of_enhanced(pairs, SoundFiles(RATE_HZ), False, SYSTEM, WEIGHTS)
    for pair in pairs:
        assert whole[pair.name].endswith(inputs[pair.name])
    assert changes(whole, inputs) == {}
    duet = whole["S50001_L5001"]
    assert [word.split("=")[0] for word in duet.split()] == [
        "separator",
        "soft_clip",
        "weights.Cello",
        "weights.Oboe",
        "mixture",
        "scene",
        "listener",
    ]


def test_each_input_counts(root):
    pair = pairs_in(root)[2]
    scene, listener, track = pair.scene, pair.listener, pair.scene.track
    oboe = track.sources["source_2"]
    compression = replace(listener.left.compression, gains_db=(1.0,) * 6)
    audiogram = replace(listener.right.audiogram, levels_db=(1.0,) * 8)

    def with_track(**changed):
        return replace(pair, scene=replace(scene, track=replace(track, **changed)))

    cases = {
        "mixture": [
            with_track(mixture=replace(track.mixture, start_s=0.12)),
            with_track(mixture=replace(track.mixture, path=oboe.excerpt.path)),
        ],
        "scene": [
            replace(pair, scene=replace(scene, gains_db=scene.gains_db | {"source_1": 3.0})),
            with_track(sources=track.sources | {"source_2": replace(oboe, instrument="Sax")}),
        ],
        "listener": [
            replace(pair, listener=replace(
                listener, left=replace(listener.left, compression=compression)
            )),
            replace(pair, listener=replace(listener, left=listener.right, right=listener.left)),
        ],
        "references": [
            with_track(sources=track.sources | {
                "source_2": replace(oboe, excerpt=track.sources["source_1"].excerpt)
            }),
        ],
    }  # fmt: skip
    sounds = SoundFiles(RATE_HZ)
    before = of_enhanced([pair], sounds, True)
    for part, others in cases.items():
        for other in others:
            assert changes(before, of_enhanced([other], sounds, True)) == {part: [pair.name]}
    deaf = replace(pair, listener=replace(
        listener, right=replace(listener.right, audiogram=audiogram)
    ))  # fmt: skip
    assert changes(before, of_enhanced([deaf], sounds, True)) == {}


def test_a_score_counts_the_audiogram_and_the_enhanced_file(root, tmp_path):
    pair = pairs_in(root)[2]
    path = tmp_path / pair.enhanced_file
    path.parent.mkdir(parents=True)
    path.write_text("first")
    before = of_scores([pair], SoundFiles(RATE_HZ), tmp_path)
    audiogram = replace(pair.listener.right.audiogram, levels_db=(1.0,) * 8)
    right = replace(pair.listener.right, audiogram=audiogram)
    deaf = replace(pair, listener=replace(pair.listener, right=right))
    assert changes(before, of_scores([deaf], SoundFiles(RATE_HZ), tmp_path)) == {
        "listener": [pair.name]
    }
    path.write_text("second")
    assert changes(before, of_scores([pair], SoundFiles(RATE_HZ), tmp_path)) == {
        "enhanced": [pair.name]
    }


def test_a_file_is_read_once_for_all_that_lies_in_it(root, monkeypatch):
    read = []
    pairs = pairs_in(root)
    opened = Path.open
    monkeypatch.setattr(Path, "open", lambda path, *mode: read.append(path) or opened(path, *mode))
    of_enhanced([*pairs, *pairs], SoundFiles(RATE_HZ), True)
    assert len(read) == len(set(read)) == 7


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.flac: No such file"):
        SoundFiles(RATE_HZ).digest(tmp_path / "nothing.flac")
