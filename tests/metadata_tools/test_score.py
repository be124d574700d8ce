import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmss.errors import InputError
from cmss.rendering.musicxml import find_scores, read_score, work_name
from cmss.rendering.notation import (
    DYNAMICS_DB,
    ScoreNote,
    activity,
    cut,
    into_range,
    one_voice,
    performed,
    shared_by_two,
    typed,
)
from tests.support.tiny_music import document, dynamic, note, slur, tie


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    """One part: a tie across the bar line, a grace note, a slur, a chord and two dynamic marks."""
    grace = "<note><grace/><pitch><step>B</step><octave>4</octave></pitch><voice>1</voice></note>"
    first = dynamic("p") + note("C", 5, 2) + grace + note("D", 5, 2, extra=tie("start"))
    second = (
        note("D", 5, 1, extra=tie("stop"))
        + note("E", 5, 1, extra=slur("start"))
        + dynamic("f")
        + note("F", 5, 1)
        + note("G", 5, 1, extra=slur("stop"))
    )
    third = note("A", 5, 4) + note("C", 4, 4, before="<chord/>")
    path = tmp_path_factory.mktemp("score") / "Test.musicxml"
    path.write_text(document([[first, second, third]]), encoding="utf-8")
    (only,) = read_score(path).parts
    return only


def test_ties_are_merged_and_grace_notes_left_out(part):
    onsets = [(n.midi, n.onset, n.duration) for n in part[:5]]
    assert onsets == [(72, 0, 2), (74, 2, 3), (76, 5, 1), (77, 6, 1), (79, 7, 1)]


def test_the_notes_under_a_slur_are_bound_but_for_the_first(part):
    assert [n.slurred for n in part[:5]] == [False, False, False, True, True]


def test_a_dynamic_mark_holds_until_the_next(part):
    levels = [n.level_db for n in part]
    assert levels == [DYNAMICS_DB["p"]] * 3 + [DYNAMICS_DB["f"]] * 4


def test_a_wind_player_takes_the_highest_note_of_a_chord(part):
    assert [n.midi for n in part if n.onset == 8] == [60, 81]
    assert [n.midi for n in one_voice(part) if n.onset == 8] == [81]


def test_a_note_held_under_the_next_ends_there_in_one_voice():
    (first, second) = one_voice((ScoreNote(0, 4, 60), ScoreNote(1, 1, 64)))
    assert (first.duration, second.duration) == (1, 1)


def test_a_cut_moves_the_notes_to_zero_and_shortens_the_last(part):
    excerpt = cut(part, 2, 6.5)
    assert [(n.onset, n.duration) for n in excerpt] == [(0, 3), (3, 1), (4, 0.5)]
    assert activity(excerpt, 4.5) == pytest.approx(1)
    assert activity(excerpt, 9) == pytest.approx(0.5)


def test_performed_in_seconds(part):
    second = performed(part, 120)[1]
    assert (second.onset_s, second.duration_s) == (1.0, 1.5)


@given(
    st.lists(st.integers(30, 100), min_size=1, max_size=20),
    st.integers(30, 60),
    st.integers(12, 40),
    st.integers(-1, 1),
)
def test_every_note_lands_in_range_and_keeps_its_name(pitches, low, width, preferred):
    part = tuple(ScoreNote(float(i), 1.0, midi) for i, midi in enumerate(pitches))
    moved = [n.midi for n in into_range(part, low, low + width, preferred)]
    assert all(low <= midi <= low + width for midi in moved)
    assert [midi % 12 for midi in moved] == [midi % 12 for midi in pitches]


def test_a_part_that_fits_moves_as_a_whole():
    part = tuple(ScoreNote(float(i), 1.0, midi) for i, midi in enumerate((60, 67, 72)))
    assert [n.midi for n in into_range(part, 36, 60)] == [48, 55, 60]  # the nearest that fits
    assert [n.midi for n in into_range(part, 36, 60, -2)] == [36, 43, 48]
    assert [n.midi for n in into_range(part, 55, 90)] == [60, 67, 72]


def test_two_players_share_a_part_without_losing_a_note():
    part = tuple(ScoreNote(float(i), 1.0, 60 + i % 12) for i in range(64))
    first, second = shared_by_two(part, np.random.default_rng(1))
    assert {n.onset for n in first} | {n.onset for n in second} == {n.onset for n in part}
    both = {n.onset: n.midi for n in first if n.onset in {m.onset for m in second}}
    octaves = {abs(n.midi - both[n.onset]) for n in second if n.onset in both}
    assert octaves == {12}
    assert 0.5 < len(second) / len(part) < 1


def test_the_typed_notation():
    part = typed("p C4 _Eb4:3/2 R:2 | f F#5':1/2 B-1")
    assert [(n.midi, n.onset, n.duration) for n in part] == [
        (60, 0, 1),
        (63, 1, 1.5),
        (78, 4.5, 0.5),
        (11, 5, 1),
    ]
    assert [n.slurred for n in part] == [False, True, False, False]
    assert [n.short for n in part] == [False, False, True, False]
    assert [n.level_db for n in part] == [DYNAMICS_DB["p"]] * 2 + [DYNAMICS_DB["f"]] * 2


def test_a_word_outside_the_notation_is_named():
    with pytest.raises(InputError, match="'H4' is neither a note"):
        typed("C4 H4")


def test_editions_of_one_work_are_one_work(scores_folder):
    works = find_scores(scores_folder)
    assert len(works["Mozart__Quartet"]) == 2
    assert work_name(scores_folder / "A_in_G_Op.9_No.1_sq12.mxl") == "A_in_G_Op.9_No.1"


def test_a_file_that_is_not_musicxml_is_named(tmp_path):
    path = tmp_path / "broken.musicxml"
    path.write_text("<score-partwise>")
    with pytest.raises(InputError, match=r"broken\.musicxml: not readable as MusicXML"):
        read_score(path)


def test_a_folder_without_scores_is_named(tmp_path):
    with pytest.raises(InputError, match="no score"):
        find_scores(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        find_scores(tmp_path / "nowhere")
