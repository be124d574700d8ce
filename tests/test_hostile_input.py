"""Random and malicious data folders.

Valid data are read without changes. Invalid data are refused in printable lines that name the file.
The environment variable CMSS_EXAMPLES is the number of examples of each test.
"""

import ast
import os
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cmss.audio import resample, write_flac
from cmss.errors import InputError
from cmss.hearing.hearing_aid import HearingAid
from cmss.pipeline import System
from cmss.remix import OfficialRemix
from cmss.scenes import Ear, MetadataPaths, Pair, load_pairs
from cmss.separators import Oracle
from tests.support.enhanced import enhance
from tests.support.tiny_challenge import RATE_HZ, SECONDS, TinyChallenge, metadata

EXAMPLES = int(os.environ.get("CMSS_EXAMPLES", "40"))
SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SYSTEM = System(
    Oracle(RATE_HZ),
    OfficialRemix(),
    HearingAid([353.55, 707.11, 1414.21, 2828.43, 5656.85], 11, 80, -30, RATE_HZ),
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder for the metadata of each example, with sound files that all of them use."""
    return TinyChallenge(tmp_path_factory.mktemp("hostile"))


# Valid data.

decibels = st.floats(-200, 200)
names = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Zs", "Cf", "Co", "Cn"]))


def listed(number: int, values: st.SearchStrategy[float]) -> st.SearchStrategy[list[float]]:
    return st.lists(values, min_size=number, max_size=number)


@st.composite
def listener_entries(draw) -> tuple[dict, dict]:
    """Draw the audiograms and compressors of a listener."""
    cfs = sorted(draw(st.sets(st.floats(50, 20000), min_size=1, max_size=9)))
    hearing = {"audiogram_cfs": cfs}
    aid = {"frequencies": sorted(draw(st.sets(st.floats(50, 20000), min_size=6, max_size=6)))}
    for side in "lr":
        hearing[f"audiogram_levels_{side}"] = draw(listed(len(cfs), st.floats(-20, 130)))
        aid[f"cr_{side}"] = draw(listed(6, st.floats(0.5, 1000)))
        aid[f"gain_{side}"] = draw(listed(6, st.floats(-40, 80)))
    return hearing, aid


@st.composite
def valid_sets(draw) -> dict[str, dict[str, Any]]:
    """Draw all six files for the sound files of the tiny challenge."""
    music = metadata()["music_file"]
    for track in music.values():
        start = draw(st.floats(0, SECONDS / 2))
        duration = draw(st.floats(0.01, SECONDS / 2 - 1e-3))
        for part in track.values():
            part |= {"start": start, "duration": duration}
    renamed = dict(zip(draw(st.sets(names, min_size=2, max_size=2)), music.values(), strict=True))
    ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
    listeners = {key: draw(listener_entries()) for key in draw(st.sets(ids, min_size=1))}
    scene_ids = draw(st.sets(st.from_regex(r"S[0-9]{1,9}", fullmatch=True), min_size=1))
    gains, scenes, pairs = {}, {}, {}
    for scene_id in scene_ids:
        track = draw(st.sampled_from(sorted(renamed)))
        sources = [part for part in renamed[track] if part != "mixture"]
        gain = draw(names.filter(lambda name: name not in gains))
        levels = st.lists(decibels, min_size=len(sources), max_size=len(sources))
        drawn = draw(levels.filter(lambda values: max(values) > -100))  # at least one audible
        gains[gain] = dict(zip(draw(st.permutations(sources)), drawn, strict=True))
        scenes[scene_id] = {"music": track, "gain": gain}
        chosen = st.lists(st.sampled_from(sorted(listeners)), min_size=1, unique=True)
        pairs[scene_id] = draw(chosen)
    return {
        "gains_file": gains,
        "listeners_file": {key: hearing for key, (hearing, _) in listeners.items()},
        "enhancer_params_file": {key: aid for key, (_, aid) in listeners.items()},
        "music_file": renamed,
        "scenes_file": scenes,
        "scene_listeners_file": pairs,
    }


def ear_as_written(ear: Ear, side: str) -> dict[str, Any]:
    return {
        "audiogram_cfs": list(ear.audiogram.frequencies_hz),
        f"audiogram_levels_{side}": list(ear.audiogram.levels_db),
        "frequencies": list(ear.compression.frequencies_hz),
        f"cr_{side}": list(ear.compression.ratios),
        f"gain_{side}": list(ear.compression.gains_db),
    }


@given(files=valid_sets())
@SETTINGS
def test_what_is_valid_comes_out_as_it_went_in(tiny, files):
    tiny.files = files
    pairs = load_pairs(tiny.paths())
    expected = [
        (scene, who) for scene, all_ in files["scene_listeners_file"].items() for who in all_
    ]
    assert [(pair.scene.id, pair.listener.id) for pair in pairs] == expected
    for pair in pairs:
        scene = files["scenes_file"][pair.scene.id]
        track = files["music_file"][scene["music"]]
        assert pair.scene.track.name == scene["music"]
        assert pair.scene.gains_db == files["gains_file"][scene["gain"]]
        excerpts = {"mixture": pair.scene.track.mixture}
        excerpts |= {key: source.excerpt for key, source in pair.scene.track.sources.items()}
        assert excerpts.keys() == track.keys()
        for part, excerpt in excerpts.items():
            assert excerpt.path == tiny.audio(track[part]["track"])
            assert (excerpt.start_s, excerpt.duration_s) == (
                track[part]["start"],
                track[part]["duration"],
            )
        hearing, aid = (
            files[name][pair.listener.id] for name in ("listeners_file", "enhancer_params_file")
        )
        for ear, side in ((pair.listener.left, "l"), (pair.listener.right, "r")):
            assert (hearing | aid).items() >= ear_as_written(ear, side).items()


# Invalid data.

HOSTILE = [
    None, True, "", "1", 0, -1, 1.5, -0.0, 1e-320, 1e308, -1e308, 1e400, -1e400, float("nan"),
    10**30, 10**400, 199.9, "../gains.json", "/etc/passwd", "a/b", "a\nb", "\0", "\x1b[2J",
    "\ud800", "x" * 5000, "mixture", "Violin_1", "source_1", "S50001", "L5001", [], {},
    [[[]]], {"": {"": 0}},
]  # fmt: skip


def places(tree: Any, path: tuple = ()):
    """Yield every place below the root of nested dicts and lists."""
    if path:
        yield path
    if isinstance(tree, dict | list):
        for key in tree if isinstance(tree, dict) else range(len(tree)):
            yield from places(tree[key], (*path, key))


def spoil(files: dict, place: tuple, how: str, value: Any) -> None:
    *parents, last = place
    node = files
    for key in parents:
        node = node[key]
    if how == "delete" and len(place) > 1:
        del node[last]
    elif how == "rename" and isinstance(node, dict) and len(place) > 1:
        node[value if isinstance(value, str) else repr(value)] = node.pop(last)
    elif how == "add" and isinstance(node[last], dict | list):
        inner = node[last]
        if isinstance(inner, list):
            inner.append(value)
        else:
            inner[value if isinstance(value, str) else repr(value)] = value
    else:
        node[last] = value


def assert_used_or_refused(paths: MetadataPaths, root: Path) -> None:
    pairs, refused = [], ()
    try:
        pairs = load_pairs(paths)
    except InputError as error:
        refused = error.problems
    assert pairs or refused
    for line in refused:
        assert line.isprintable()
        assert line.startswith(f"{root}/metadata/")
    for pair in pairs[:2]:
        assert_goes_through(pair, root)


def assert_goes_through(pair: Pair, root: Path) -> None:
    """A pair that passes the checks can be enhanced, with any numbers."""
    ((_, ears),) = enhance(SYSTEM, [pair])
    path = root / "out" / pair.enhanced_file
    write_flac(path, resample(ears, RATE_HZ, 32000), 32000)
    assert path.resolve().is_relative_to(root / "out")
    path.unlink()


@given(
    places_=st.lists(st.sampled_from(list(places(metadata()))), min_size=1, max_size=2),
    how=st.sampled_from(["replace", "delete", "rename", "add"]),
    value=st.sampled_from(HOSTILE),
)
@SETTINGS
def test_spoilt_entries_are_used_or_refused(tiny, places_, how, value):
    tiny.files = metadata()
    for place in places_:
        try:
            spoil(tiny.files, place, how, deepcopy(value))
        except (KeyError, TypeError, IndexError):  # The first change has removed this place.
            continue
    assert_used_or_refused(tiny.paths(), tiny.root)


@given(
    name=st.sampled_from(sorted(metadata())),
    how=st.sampled_from(["cut", "number", "bytes", "double"]),
    data=st.data(),
)
@SETTINGS
def test_spoilt_text_is_used_or_refused(tiny, name, how, data):
    tiny.files = metadata()
    paths = tiny.paths()
    path = getattr(paths, name)
    text = path.read_bytes()
    at = data.draw(st.integers(0, len(text) - 1))
    if how == "cut":
        text = text[:at]
    elif how == "number":
        tokens = [b"1e400", b"-1e400", b"NaN", b"Infinity", b"9" * 5000, b"0x10", b"-0", b"1e-400"]
        number = re.compile(rb"(?<=[ \[])-?[0-9.]+(?=[,\]}])")
        found = list(number.finditer(text))
        match = found[at % len(found)] if found else None
        start, stop = match.span() if match else (at, at)
        text = text[:start] + data.draw(st.sampled_from(tokens)) + text[stop:]
    elif how == "bytes":
        text = text[:at] + data.draw(st.binary(min_size=1, max_size=6)) + text[at + 1 :]
    else:
        text = text.replace(b"}", b', "source_1": 0}', 1)
    path.write_bytes(text)
    assert_used_or_refused(paths, tiny.root)


def test_numbers_at_their_bounds_go_through(tiny):
    """Extreme values that the schema allows, separately and together."""
    for level, other, make_up_db in ((-200, -99, -40), (200, 200, 80)):
        for ratio in (0.5, 1000):
            tiny.files = metadata()
            for gain in ("gain_0001", "gain_0002"):
                entry = tiny.files["gains_file"][gain]
                entry |= dict.fromkeys(entry, level) | {"source_1": other}
            for aid in tiny.files["enhancer_params_file"].values():
                aid |= {"cr_l": [ratio] * 6, "gain_l": [make_up_db] * 6, "gain_r": [80] * 6}
            for pair in load_pairs(tiny.paths()):
                assert_goes_through(pair, tiny.root)


def test_nothing_of_a_data_folder_is_executed_or_unpickled():
    """The state of train.py is read by torch, and only as numbers."""
    root = Path(__file__).parents[1]
    for path in (*(root / "cmss").rglob("*.py"), *(root / "recipes").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("eval", "exec", "pickle.load", "pickle.loads", "yaml.load")
                options = {option.arg: ast.unparse(option.value) for option in node.keywords}
                assert options.get("allow_pickle", "False") == "False", path
                assert called != "torch.load" or options["weights_only"] == "True", path
