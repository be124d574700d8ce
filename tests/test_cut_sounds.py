"""Truncated, unfinished or damaged files: refused, or used to their end with a message.

The environment variable CMSS_EXAMPLES is the number of files of each type.
"""

import contextlib
import io
import json
import os
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from cmss import audio, listen
from cmss.audio import decoding
from cmss.errors import InputError
from metadata_tools import samples, validate
from metadata_tools.notes.sound_files import note
from metadata_tools.rendering.halls import Halls
from tests.support.sounds import KINDS, RATE_HZ, cuts, music, spoilt, without_xing, written
from tests.support.source_tree import files, users_of
from tests.support.tiny_challenge import TinyChallenge
from tests.support.tiny_run import TinyRun, write_metadata

SETTINGS = settings(
    max_examples=int(os.environ.get("CMSS_EXAMPLES", "12")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
START, STOP = 2000, 4000
REMARK = "the header states no length that can be checked; used as far as it can be decoded"


def test_one_module_knows_libsndfile():
    users = users_of("soundfile", files("cmss", "metadata_tools", "recipes"))
    assert users == {"cmss/audio/decoding.py", "cmss/audio/writing.py"}


@cache
def whole(kind: str) -> tuple[bytes, np.ndarray]:
    """File of a type, and its samples decoded by libsndfile."""
    data = KINDS[kind].make(music(RATE_HZ // 4))
    return data, soundfile.read(io.BytesIO(data), dtype="float32")[0].T


@pytest.fixture
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cut")


def listening(read, *arguments):
    """Return the result of a reader, None if it refuses, and its text on standard error."""
    said = io.StringIO()
    decoding._printed.clear()
    with contextlib.redirect_stderr(said):
        try:
            return read(*arguments), said.getvalue()
        except InputError:
            return None, said.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_file_is_read_to_its_end(folder, kind):
    signal = music(RATE_HZ // 4)
    path = written(folder, kind, KINDS[kind].make(signal))
    read, said = listening(lambda: audio.read_sound(path)[0])
    assert (REMARK in said) == (not KINDS[kind].states_length)
    header, said = listening(audio.read_header, path)
    assert header.samples == read.shape[1]
    assert (REMARK in said) == (not KINDS[kind].states_length)
    # Lossy formats add up to a frame; MP3 without the table also its encoder's delay.
    assert 0 <= read.shape[1] - len(signal) <= 1700
    part = audio.read_span(path, START, STOP)
    np.testing.assert_array_equal(part, read[:, START:STOP])
    if not kind.startswith(("vorbis", "opus", "mp3", "wav-adpcm")):
        np.testing.assert_array_equal(read, np.float32(signal.T))


@pytest.mark.parametrize("kind", KINDS)
@seed(24)
@SETTINGS
@given(data=st.data())
def test_a_cut_file_is_refused_or_used_to_its_end(folder, kind, data):
    complete = KINDS[kind].make(music(RATE_HZ // 4))
    expected = audio.read_sound(written(folder, kind, complete))[0]
    path = written(folder, kind, data.draw(cuts(complete)))
    read, said = listening(lambda: audio.read_sound(path)[0])
    header, _ = listening(audio.read_header, path)
    part, _ = listening(audio.read_span, path, START, STOP)
    assert (read is None) == (header is None)
    if KINDS[kind].states_length:
        assert read is part is None
        return
    if read is not None:
        assert REMARK in said
        assert f"can be decoded, {read.shape[1]} samples" in said
        assert header.samples == read.shape[1]
        np.testing.assert_array_equal(read, expected[:, : read.shape[1]])
        # All but the sample, or the MP3 frame, that the cut goes through. Headers have 100 bytes.
        lost = len(complete) - path.stat().st_size
        if "mp3" not in kind:
            assert expected.shape[1] - read.shape[1] <= lost / 4 + 1
    if part is not None:
        np.testing.assert_array_equal(part, expected[:, START:STOP])


@pytest.mark.parametrize("kind", KINDS)
@seed(24)
@SETTINGS
@given(data=st.data())
def test_a_damaged_file_is_used_or_refused(folder, kind, data):
    complete = KINDS[kind].make(music(RATE_HZ // 4))
    path = written(folder, kind, data.draw(spoilt(complete)))
    for read in (
        audio.read_header,
        audio.read_sound,
        audio.read_stereo,
        lambda path: audio.read_span(path, START, STOP),
        lambda path: audio.read_excerpt(audio.Excerpt(path, 0.05, 0.05), RATE_HZ),
        lambda path: note(path, 69, "A4"),
        lambda path: Halls.read(path.parent),
    ):
        result, _ = listening(read, path)
        if isinstance(result, np.ndarray):
            assert np.isfinite(result).all()


def test_an_mp3_without_a_table_is_decoded_like_the_frames_of_one_with_it(folder):
    # Bit rates vary, so a length computed from the first frame's bit rate is far off.
    rng = np.random.default_rng(3)
    signal = music(2 * RATE_HZ) * np.where(np.arange(2 * RATE_HZ) < RATE_HZ, 0.001, 1)[:, None]
    signal[RATE_HZ:] += 0.1 * rng.standard_normal((RATE_HZ, 2))
    data = KINDS["mp3"].make(signal)
    expected = audio.read_sound(written(folder, "mp3", data))[0]
    read = audio.read_sound(written(folder, "mp3", without_xing(data)))[0]
    # LAME's delay of 576 samples, which is only in the table.
    np.testing.assert_array_equal(read[:, 576:][:, : expected.shape[1]], expected)
    vbri = audio.read_sound(written(folder, "mp3-vbri", KINDS["mp3-vbri"].make(signal)))[0]
    np.testing.assert_array_equal(vbri, read)
    counted = KINDS["mp3-counts-xing"].make(signal)
    counted = audio.read_sound(written(folder, "mp3-counts-xing", counted))[0]
    np.testing.assert_array_equal(counted[:, : expected.shape[1]], expected)


def test_joined_recordings_are_not_read_in_part(folder):
    mp3, ogg = whole("mp3")[0], whole("vorbis")[0]
    one = audio.read_sound(written(folder, "mp3", mp3))[0].shape[1]
    read, said = listening(lambda: audio.read_sound(written(folder, "mp3", mp3 + mp3))[0])
    assert REMARK in said
    assert read.shape[1] >= 2 * one
    with pytest.raises(InputError, match="several recordings in one file, the second from byte"):
        audio.read_sound(written(folder, "vorbis", ogg + ogg))


def test_what_follows_the_end_without_being_sound_changes_nothing(folder):
    for kind in ("mp3", "vorbis", "wav", "flac"):
        data, expected = whole(kind)
        for tag in (b"TAG".ljust(128, b"\0"), b"LIST\x04\0\0\0INFO"):
            read, said = listening(
                lambda k=kind, d=data + tag: audio.read_sound(written(folder, k, d))
            )
            assert said == ""
            np.testing.assert_array_equal(read[0], expected)
    _, said = listening(
        audio.read_header, written(folder, "wav", whole("wav")[0] + bytes(range(256)) * 40)
    )
    assert "10240 bytes after the stated end of the sound are not used" in said


def test_names_do_not_make_a_format(folder):
    for name in ("a.raw", "a.vox", "a.gsm", "a.sd2"):
        (folder / name).write_bytes(whole("wav")[0])
        np.testing.assert_array_equal(audio.read_sound(folder / name)[0], whole("wav")[1])
        (folder / name).write_bytes(b"not music" * 100)
        with pytest.raises(InputError, match="not a readable sound file"):
            audio.read_sound(folder / name)


# With the commands: each type of file as a recording, as a note, in a data folder.

SECOND = music(RATE_HZ)
FALLS_SHORT = {
    "wav": lambda: KINDS["wav"].make(SECOND)[:-40000],
    "aiff-float": lambda: KINDS["aiff-float"].make(SECOND)[:-4001],
    "vorbis": lambda: KINDS["vorbis"].make(SECOND)[:-2000],
    "mp3": lambda: KINDS["mp3"].make(SECOND)[:-3000],
    "flac": lambda: KINDS["flac"].make(SECOND)[:-3000],
}
STATES_NONE = {
    kind: lambda kind=kind: KINDS[kind].make(SECOND)
    for kind in ("wav-crashed", "wav-pipe", "mp3-no-xing", "flac-pipe", "aiff-crashed")
}


@pytest.fixture
def arguments(tmp_path):
    """Arguments of cmss.listen without the recording."""
    (tmp_path / "me.json").write_text(json.dumps({
        "audiogram_cfs": [250, 1000, 4000],
        "audiogram_levels_l": [20, 30, 60],
        "audiogram_levels_r": [20, 30, 60],
    }))  # fmt: skip
    return ["--instruments", "Violin", "--gains", "3", "--audiogram", str(tmp_path / "me.json"),
            "-o", str(tmp_path / "out.flac")]  # fmt: skip


@pytest.mark.parametrize("kind", FALLS_SHORT)
def test_listen_and_samples_refuse_a_file_that_falls_short(tmp_path, capsys, arguments, kind):
    path = written(tmp_path, kind, FALLS_SHORT[kind]())
    assert listen.main([str(path), *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{path}: truncated or damaged: ")

    (tmp_path / "in" / "Violin").mkdir(parents=True)
    copy = shutil.copy(path, tmp_path / "in" / "Violin" / f"A4{path.suffix}")
    assert samples.main(["--samples", str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"samples: {copy}: truncated or damaged: ")


@pytest.mark.parametrize("kind", STATES_NONE)
def test_listen_and_samples_use_all_where_no_length_is_stated(tmp_path, capsys, arguments, kind):
    path = written(tmp_path, kind, STATES_NONE[kind]())
    # Without separation, which is not tested here.
    assert listen.main([str(path), *arguments, "--separator", "passthrough"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{path}: {REMARK}, ")
    assert soundfile.info(tmp_path / "out.flac").frames == pytest.approx(RATE_HZ, abs=1700)
    assert soundfile.info(tmp_path / "out.flac").frames >= RATE_HZ

    (tmp_path / "in" / "Violin").mkdir(parents=True)
    copy = shutil.copy(path, tmp_path / "in" / "Violin" / f"A4{path.suffix}")
    assert samples.main(["--samples", str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{copy}: {REMARK}, ")


def data_folder(root: Path, kinds: dict[str, bytes]) -> tuple[TinyChallenge, list[str]]:
    """A small challenge in which the first parts of the tracks are other files; their names."""
    root.mkdir(parents=True)
    made = TinyChallenge(root)
    made.files["scene_listeners_file"] = {"S50001": ["L5001"], "S50002": ["L5001"]}
    entries = [e for track in made.files["music_file"].values() for e in track.values()]
    for entry, (kind, data) in zip(entries, kinds.items(), strict=False):
        path = made.audio(entry["track"])
        entry["track"] = str(Path(entry["track"]).with_suffix(KINDS[kind].suffix))
        path.unlink()
        made.audio(entry["track"]).write_bytes(data)
    write_metadata(made)
    return made, [entry["track"] for entry in entries[: len(kinds)]]


def test_stages_and_validate_name_all_files_that_fall_short(server, tmp_path, capsys):
    kinds = {kind: make() for kind, make in FALLS_SHORT.items()}
    _, names = data_folder(tmp_path / "data", kinds)
    done = TinyRun(server, tmp_path).call("enhance", "separator=passthrough")
    assert validate.main([str(tmp_path / "data")]) == 2
    for status, lines in ((done.status, done.stderr), (2, capsys.readouterr().err)):
        assert status == 2
        for name in names:
            (line,) = [line for line in lines.splitlines() if name in line]
            assert f"{name}: truncated or damaged: " in line
    assert not list((tmp_path / "exp").rglob("*.flac"))


def test_stages_and_validate_use_files_that_state_no_length(server, tmp_path, capsys):
    kinds = {kind: make() for kind, make in STATES_NONE.items()}
    _, names = data_folder(tmp_path / "data", kinds)
    run = TinyRun(server, tmp_path)
    for stage in ("enhance", "evaluate"):
        done = run.call(stage)
        assert done.status == 0, done
        for name in names:
            (line,) = [line for line in done.stderr.splitlines() if f"{name}: " in line]
            assert f"{name}: {REMARK}, " in line
    decoding._printed.clear()
    assert validate.main([str(tmp_path / "data")]) == 0
    said = capsys.readouterr().err
    assert all(said.count(f"{name}: {REMARK}") == 1 for name in names)
