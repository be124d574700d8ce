"""Invalid entries. Each case: the change of the data, and the message."""

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cmss import scenes
from cmss.errors import InputError
from tests.support.tiny_challenge import TinyChallenge, excerpt, metadata

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
    assert tiny.problems() == expected


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
