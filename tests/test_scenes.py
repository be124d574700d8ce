import contextlib
import json
import os
import shutil
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cmss import scenes
from cmss.audio import read_header, write_flac
from cmss.errors import InputError
from tests.support.tiny_challenge import (
    RATE_HZ,
    TinyChallenge,
    compressor,
    excerpt,
    listener,
    metadata,
)


@pytest.fixture
def tiny(tmp_path):
    return TinyChallenge(tmp_path)


def problems(challenge: TinyChallenge) -> list[str]:
    """Return the problems, without the folder of the test."""
    with pytest.raises(InputError) as caught:
        scenes.load_pairs(challenge.paths(), RATE_HZ)
    return [line.replace(f"{challenge.root}/", "") for line in caught.value.problems]


# Valid data.


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


# Invalid entries. Each case: the change of the data, and the message.

BAD_ENTRIES = {
    "unknown listener": (
        lambda f: f["scene_listeners_file"].update(S50001=["L5001", "L5002"]),
        [
            "metadata/scene_listeners.json: S50001: 'L5002' is not in metadata/listeners.json",
            "metadata/scene_listeners.json: S50001: 'L5002' is not in "
            "metadata/enhancer_params.json",
        ],
    ),
    "listener without compressor": (
        lambda f: f["enhancer_params_file"].pop("L5999"),
        ["metadata/scene_listeners.json: S50002: 'L5999' is not in metadata/enhancer_params.json"],
    ),
    "unknown scene": (
        lambda f: f["scenes_file"].pop("S50001"),
        ["metadata/scene_listeners.json: S50001: 'S50001' is not in metadata/scenes.json"],
    ),
    "unknown music": (
        lambda f: f["scenes_file"]["S50001"].update(music="solo"),
        ["metadata/scenes.json: S50001.music: 'solo' is not in metadata/music.json"],
    ),
    "unknown gain": (
        lambda f: f["scenes_file"]["S50001"].update(gain="gain_9"),
        ["metadata/scenes.json: S50001.gain: 'gain_9' is not in metadata/gains.json"],
    ),
    "gain without its source": (
        lambda f: f["gains_file"]["gain_0001"].update(source_5=3),
        [
            "metadata/scenes.json: S50001.gain: 'gain_0001' has a gain for 'source_5', "
            "but 'duet' in metadata/music.json has no such source"
        ],
    ),
    "source without gain": (
        lambda f: f["gains_file"]["gain_0002"].pop("source_1"),
        [
            "metadata/scenes.json: S50002.gain: 'gain_0002' in metadata/gains.json has no gain "
            "for 'source_1' of 'trio'"
        ],
    ),
    "doubled pair": (
        lambda f: f["scene_listeners_file"].update(S50001=["L5001", "L5999", "L5001"]),
        [
            "metadata/scene_listeners.json: S50001: listener 'L5001' listed 2 times, expected once"
        ],
    ),
    "no pair": (
        lambda f: f["scene_listeners_file"].clear(),
        ["metadata/scene_listeners.json: no scene has a listener, expected some"],
    ),
    "instrument outside the eight": (
        lambda f: f["music_file"]["duet"]["source_2"].update(instrument="Harp"),
        [
            "metadata/music.json: duet.source_2.instrument: expected one of Bassoon, Cello, "
            "Clarinet, Flute, Oboe, Sax, Viola, Violin "
            "(Flute, Sax, Viola, Violin also with _1 or _2), got 'Harp'"
        ],
    ),
    "voice of an instrument that is never doubled": (
        lambda f: f["music_file"]["duet"]["source_1"].update(instrument="Cello_2"),
        [
            "metadata/music.json: duet.source_1.instrument: expected one of Bassoon, Cello, "
            "Clarinet, Flute, Oboe, Sax, Viola, Violin "
            "(Flute, Sax, Viola, Violin also with _1 or _2), got 'Cello_2'; did you "
            "mean Cello?"
        ],
    ),
    "track above the audio folder": (
        lambda f: f["music_file"]["duet"]["source_1"].update(track="../metadata/gains.json"),
        [
            "metadata/music.json: duet.source_1.track: '../metadata/gains.json' leaves the audio "
            "folder audio"
        ],
    ),
    "absolute track": (
        lambda f: f["music_file"]["duet"]["source_1"].update(track="/etc/passwd"),
        [
            "metadata/music.json: duet.source_1.track: '/etc/passwd' leaves the audio folder audio"
        ],
    ),
    "missing audio": (
        lambda f: f["music_file"]["duet"]["source_1"].update(track="duet/Celo.flac"),
        ["metadata/music.json: duet.source_1.track: audio/duet/Celo.flac: no such audio file"],
    ),
    "negative start": (
        lambda f: f["music_file"]["duet"]["mixture"].update(start=-0.1),
        [
            "metadata/music.json: duet.mixture.start: Input should be greater than or equal to 0, "
            "got -0.1"
        ],
    ),
    "negative duration": (
        lambda f: f["music_file"]["duet"]["mixture"].update(duration=-3),
        ["metadata/music.json: duet.mixture.duration: Input should be greater than 0, got -3"],
    ),
    "excerpt too long": (
        lambda f: f["music_file"]["duet"]["mixture"].update(duration=0.41),
        [
            "metadata/music.json: duet.mixture.duration: start 0.1 s and duration 0.41 s end "
            "beyond audio/duet/Mixture.flac, which lasts 0.5 s"
        ],
    ),
    "excerpt without a sample": (
        lambda f: f["music_file"]["duet"]["mixture"].update(start=0, duration=1e-6),
        ["metadata/music.json: duet.mixture.duration: 1e-06 s contain no sample"],
    ),
    "stem of another length": (
        lambda f: f["music_file"]["duet"]["source_2"].update(duration=0.2),
        [
            "metadata/music.json: duet.source_2: start and duration give 8820 samples, "
            "expected 13230, the length of the mixture"
        ],
    ),
    "no mixture": (
        lambda f: f["music_file"]["duet"].pop("mixture"),
        ["metadata/music.json: duet.mixture: key missing"],
    ),
    "misspelt source": (
        lambda f: f["music_file"]["duet"].update(sorce_3=excerpt("Viola", "duet/Cello.flac")),
        ["metadata/music.json: duet.sorce_3: expected 'mixture' or 'source_1', ..."],
    ),
    "missing key": (
        lambda f: f["music_file"]["duet"]["source_1"].pop("track"),
        ["metadata/music.json: duet.source_1.track: key missing"],
    ),
    "number in quotation marks": (
        lambda f: f["gains_file"]["gain_0001"].update(source_1="3"),
        [
            "metadata/gains.json: gain_0001.source_1: Input should be a valid number, got '3'",
        ],
    ),
    "gain that is not a number": (
        lambda f: f["gains_file"]["gain_0001"].update(source_1=float("nan")),
        ["metadata/gains.json: gain_0001.source_1: Input should be a finite number, got nan"],
    ),
    "infinite hearing level": (
        lambda f: f["listeners_file"]["L5001"]["audiogram_levels_l"].__setitem__(2, float("inf")),
        [
            "metadata/listeners.json: L5001.audiogram_levels_l.2: Input should be a finite "
            "number, got inf"
        ],
    ),
    "audiogram arrays of unequal length": (
        lambda f: f["listeners_file"]["L5001"]["audiogram_levels_r"].pop(),
        [
            "metadata/listeners.json: L5001: audiogram_levels_r: 7 values, expected 8, "
            "one for each of audiogram_cfs"
        ],
    ),
    "audiogram frequencies in disorder": (
        lambda f: f["listeners_file"]["L5001"].update(
            audiogram_cfs=[500, 250, 1000, 2000, 3000, 4000, 6000, 8000]
        ),
        [
            "metadata/listeners.json: L5001: audiogram_cfs: frequencies must ascend, "
            "got [500.0, 250.0, 1000.0, 2000.0, 3000.0, 4000.0, 6000.0, 8000.0]"
        ],
    ),
    "listener under another name": (
        lambda f: f["listeners_file"]["L5001"].update(name="L5002"),
        ["metadata/listeners.json: L5001.name: expected 'L5001', got 'L5002'"],
    ),
    "five compressor bands": (
        lambda f: f["enhancer_params_file"]["L5001"]["cr_r"].pop(),
        [
            "metadata/enhancer_params.json: L5001.cr_r: List should have at least 6 items after "
            "validation, not 5, got [3, 3, 3, 3, 3]"
        ],
    ),
    "seven compressor bands": (
        lambda f: f["enhancer_params_file"]["L5001"]["gain_l"].append(0),
        [
            "metadata/enhancer_params.json: L5001.gain_l: List should have at most 6 items after "
            "validation, not 7, got [3.5, 3.5, 3.5, 3.5, 3.5, 3.5, 0]"
        ],
    ),
    "compressor ratio zero": (
        lambda f: f["enhancer_params_file"]["L5001"].update(cr_l=[0, 1, 1, 1, 1, 1]),
        [
            "metadata/enhancer_params.json: L5001.cr_l: expected 0.5 to 1000 (2 for 2:1), got 0"
        ],
    ),
    "scene id that is none": (
        lambda f: f["scene_listeners_file"].update({"../S1": ["L5001"]}),
        [
            "metadata/scene_listeners.json: ../S1: expected a scene id: S and digits, "
            "as in 'S50001'"
        ],
    ),
    "listener id that leaves the folder": (
        lambda f: f["scene_listeners_file"].update(S50001=["../L5001"]),
        [
            "metadata/scene_listeners.json: S50001: listener '../L5001': expected letters, "
            "digits and . _ -, as in 'L0001'"
        ],
    ),
    "name that would break a line": (
        lambda f: f["scenes_file"]["S50001"].update(music="a\nb"),
        [r"metadata/scenes.json: S50001.music: expected printable characters, got 'a\nb'"],
    ),
    "listeners not in a list": (
        lambda f: f["scene_listeners_file"].update(S50001="L5001"),
        [
            "metadata/scene_listeners.json: S50001: Input should be a valid list, got 'L5001'"
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "expected"), BAD_ENTRIES.values(), ids=BAD_ENTRIES.keys())
def test_a_bad_entry_is_named(tiny, spoil, expected):
    spoil(tiny.files)
    assert problems(tiny) == expected


# Files that are not JSON.

BAD_FILES = {
    "missing": (lambda path: path.unlink(), "path.music_file: No such file or directory"),
    "a folder": (
        lambda path: (path.unlink(), path.mkdir()),
        "path.music_file: Is a directory",
    ),
    "malformed": (
        lambda path: path.write_text('{"duet": {"source_1": }}'),
        "malformed JSON, line 1 column 23: Expecting value",
    ),
    "cut off": (
        lambda path: path.write_text(path.read_text()[:40] + "\n"),
        "malformed JSON, line 2 column 1: Expecting value",
    ),
    "empty": (
        lambda path: path.write_text(""),
        "malformed JSON, line 1 column 1: Expecting value",
    ),
    "not text": (
        lambda path: path.write_bytes(b'{"\xe9": 1}'),
        "byte 2 (0xe9): not UTF-8 text; save it as UTF-8",
    ),
    "a list": (
        lambda path: path.write_text("[]"),
        "malformed JSON: expected an object that maps names to entries",
    ),
}


@pytest.mark.parametrize(("spoil", "expected"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_file_that_cannot_be_used_is_named_once(tiny, spoil, expected):
    paths = tiny.paths()
    spoil(paths.music_file)
    with pytest.raises(InputError) as caught:
        scenes.load_pairs(paths)
    assert caught.value.problems == (f"{paths.music_file}: {expected}",)


def test_a_key_given_twice_is_named(tiny):
    paths = tiny.paths()
    text = json.dumps(tiny.files["scenes_file"])
    paths.scenes_file.write_text(
        text.replace('"S50002": {', '"S50001": {"music": "duet"}, "S50002": {')
    )
    with pytest.raises(InputError, match=r"scenes\.json: S50001: key appears twice in one object"):
        scenes.load_pairs(paths)


def test_missing_music_folder_is_one_problem(tiny):
    paths = tiny.paths()
    shutil.rmtree(paths.music_dir)
    with pytest.raises(InputError) as caught:
        scenes.load_pairs(paths)
    assert caught.value.problems == (f"{paths.music_dir}: path.music_dir: no such folder",)


# Sound files.


def test_wrong_sampling_rate_and_mono_are_named(tiny):
    signal = np.zeros((2, RATE_HZ))
    write_flac(tiny.audio("duet/Oboe.flac"), signal, 48000)
    write_flac(tiny.audio("trio/Viola.flac"), signal[:1], RATE_HZ)
    assert problems(tiny) == [
        "metadata/music.json: trio.source_3.track: audio/trio/Viola.flac: 1 channel(s), expected 2",
        "metadata/music.json: duet.source_2.track: audio/duet/Oboe.flac: "
        "sampling rate 48000 Hz, expected 44100 Hz",
    ]


def test_truncated_flac_is_named_though_its_header_is_whole(tiny):
    path = tiny.audio("duet/Oboe.flac")
    path.write_bytes(path.read_bytes()[:-400])
    assert problems(tiny) == [
        "metadata/music.json: duet.source_2.track: audio/duet/Oboe.flac: truncated or damaged: "
        "the header states 22050 samples, but samples 22049 to 22050 cannot be decoded"
    ]


def test_a_link_out_of_the_audio_folder_is_refused_and_one_within_is_not(tiny, tmp_path):
    outside = tmp_path / "outside.flac"
    oboe = tiny.audio("duet/Oboe.flac")
    oboe.rename(outside)
    oboe.symlink_to(outside)
    assert problems(tiny) == [
        "metadata/music.json: duet.source_2.track: 'duet/Oboe.flac' leaves the audio folder audio"
    ]
    outside.rename(tiny.audio("kept.flac"))
    oboe.unlink()
    oboe.symlink_to(tiny.audio("kept.flac"))
    assert len(scenes.load_pairs(tiny.paths())) == 3


def test_an_audio_folder_that_is_itself_a_link_is_fine(tiny, tmp_path):
    (tmp_path / "audio").rename(tmp_path / "elsewhere")
    (tmp_path / "audio").symlink_to(tmp_path / "elsewhere")
    assert len(scenes.load_pairs(tiny.paths())) == 3


@pytest.mark.parametrize(
    ("track", "message"),
    [
        ("", "audio: no such audio file"),
        ("duet", "audio/duet: no such audio file"),
        ("a\0b.flac", r"'a\x00b.flac' is not a path: embedded null byte"),
        ("\ud800.flac", "is not a path"),
        ("long" * 100, "File name too long"),
        ("duet/loop.flac", "loop.flac"),
        ("a\nb.flac", r"audio/a\nb.flac: no such audio file"),
    ],
    ids=["empty", "folder", "null", "surrogate", "long", "loop", "line break"],
)
def test_strange_tracks_are_named_in_one_printable_line(tiny, track, message):
    tiny.audio("duet/loop.flac").symlink_to("loop.flac")
    tiny.files["music_file"]["duet"]["source_2"]["track"] = track
    (line,) = problems(tiny)
    assert line.startswith("metadata/music.json: duet.source_2.track: ")
    assert message in line
    assert line.isprintable()


def test_everything_wrong_is_reported_together(tiny):
    files = tiny.files
    files["listeners_file"]["L5999"]["audiogram_cfs"] = None
    files["gains_file"]["gain_0001"]["source_3"] = 0
    files["music_file"]["duet"]["source_2"]["instrument"] = "Harp"
    files["music_file"]["duet"]["source_1"]["start"] = 0.3
    tiny.audio("duet/Oboe.flac").unlink()
    os.truncate(tiny.audio("trio/Viola.flac"), 3000)
    found = problems(tiny)
    for part in (
        "L5999.audiogram_cfs",
        "has a gain for 'source_3'",
        "got 'Harp'",
        "duet/Oboe.flac: no such audio file",
        "duet.source_1.duration: start 0.3 s and duration 0.3 s end beyond",
        "trio/Viola.flac: truncated",
    ):
        assert sum(part in line for line in found) == 1, (part, found)
    assert len(found) == 6


# Any content of the files gives pairs or an InputError, but no other exception.


def nodes(tree, path=()):
    """Yield every place in nested dicts and lists."""
    yield path
    if isinstance(tree, dict | list):
        for key in tree if isinstance(tree, dict) else range(len(tree)):
            yield from nodes(tree[key], (*path, key))


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=300),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=4,
)


@given(place=st.sampled_from([p for p in nodes(metadata()) if len(p) > 0]), value=JSON)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_other_exception_whatever_stands_in_the_files(shared, place, value):
    shared.files = metadata()
    *parents, last = place
    node = shared.files
    for key in parents:
        node = node[key]
    node[last] = value
    with contextlib.suppress(InputError):
        assert scenes.load_pairs(shared.paths())


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return TinyChallenge(tmp_path_factory.mktemp("shared"))
