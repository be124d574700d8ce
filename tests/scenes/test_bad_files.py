"""Files that are not JSON, and sound files that cannot be used."""

import json
import os
import shutil

import numpy as np
import pytest

from cmss import scenes
from cmss.audio import write_flac
from cmss.errors import InputError
from tests.support.tiny_challenge import RATE_HZ

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
    assert tiny.problems() == [
        "metadata/music.json: trio.source_3.track: audio/trio/Viola.flac: 1 channel(s), expected 2",
        "metadata/music.json: duet.source_2.track: audio/duet/Oboe.flac: "
        "sampling rate 48000 Hz, expected 44100 Hz",
    ]


def test_truncated_flac_is_named_though_its_header_is_whole(tiny):
    path = tiny.audio("duet/Oboe.flac")
    path.write_bytes(path.read_bytes()[:-400])
    assert tiny.problems() == [
        "metadata/music.json: duet.source_2.track: audio/duet/Oboe.flac: truncated or damaged: "
        "the header states 22050 samples, but samples 22049 to 22050 cannot be decoded"
    ]


def test_a_link_out_of_the_audio_folder_is_refused_and_one_within_is_not(tiny, tmp_path):
    outside = tmp_path / "outside.flac"
    oboe = tiny.audio("duet/Oboe.flac")
    oboe.rename(outside)
    oboe.symlink_to(outside)
    assert tiny.problems() == [
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
    (line,) = tiny.problems()
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
    found = tiny.problems()
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
