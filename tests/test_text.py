"""Text files of users in several encodings: read correctly, or refused."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmss.errors import InputError
from cmss.files.row_file import RowFile, read_rows, write_rows
from cmss.files.text import read_table, read_text
from cmss.rendering.notes import read_notes_csv
from cmss.results.rows import ScoreRow
from cmss.results.separation import read_separation
from cmss.scenes import load_audiograms

SAVED = {
    "UTF-8": lambda text: text.encode(),
    "UTF-8 with a mark": lambda text: text.encode("utf-8-sig"),
    "UTF-16, little end first": lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
    "UTF-16, big end first": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "UTF-32": lambda text: text.encode("utf-32"),
    "lines of Windows": lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"),
    "lines of an old Mac": lambda text: text.replace("\n", "\r").encode(),
}
UNMARKED = [("é", "latin-1", 0), ("aé", "cp1252", 1), ("ab", "utf-16-le", 1), ("a", "utf-16-be", 0)]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff\r")))
def test_any_text_is_read_as_it_was_saved(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "text"
    for name in list(SAVED)[:5]:
        path.write_bytes(SAVED[name](text))
        assert read_text(path) == text, name


@pytest.mark.parametrize(("text", "encoding", "position"), UNMARKED)
def test_the_first_byte_that_is_wrong_is_named(tmp_path, text, encoding, position):
    path = tmp_path / "text"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(InputError, match=rf"text: byte {position} \(0x.*save it as UTF-8"):
        read_text(path)


@pytest.mark.parametrize("saved", SAVED)
def test_every_reader_reads_what_was_saved(tmp_path, saved):
    encode = SAVED[saved]
    audiogram = tmp_path / "me.json"
    levels = '{"audiogram_cfs": [500,\n4000], "audiogram_levels_l": [20, 40],\n'
    audiogram.write_bytes(encode(levels + '"audiogram_levels_r": [25, 45], "name": "Zoë"}'))
    assert load_audiograms(audiogram)[1].levels_db == (25, 45)

    (tmp_path / "forté.wav").touch()
    notes = "file,instrument,midi,cents,dynamic\nforté.wav,Violin,69,0,forté\n"
    (tmp_path / "notes.csv").write_bytes(encode(notes))
    assert read_notes_csv(tmp_path)["Violin"][0]["dynamic"] == "forté"

    header = "track,source,instrument,sdr,sir,sar\n"
    (tmp_path / "separation.csv").write_bytes(encode(f"{header}naïve,source_1,Cello,1.5,2,3\n"))
    assert [(row.track, row.sdr) for row in read_separation(tmp_path)] == [("naïve", 1.5)]


@pytest.mark.parametrize("saved", SAVED)
def test_a_run_goes_on_after_its_scores_were_saved_by_a_spreadsheet(tmp_path, saved):
    path = tmp_path / "scores.csv"
    rows = [ScoreRow(f"S5000{n}", "naïve, slow", "L5001", 0.25, 0.5, 0.375) for n in range(3)]
    write_rows(path, ScoreRow, rows[:2])
    path.write_bytes(SAVED[saved](path.read_text()))
    assert read_rows(path, ScoreRow) == rows[:2]
    RowFile(path, ScoreRow).append(rows[2])
    assert read_rows(path, ScoreRow) == rows
    assert path.read_bytes().startswith(b"scene,song,listener,")
    assert b"\r" not in path.read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scene;listener\nS1;L1\n", "column missing: scene, listener; cells are separated by semi"),
        ("scene,listener,scene\n", "column scene appears twice"),
        ("scene,listener\nS1\n", "line 2: 1 cells, expected 2"),
        ('scene,listener\nS1,"L1\n', "not a CSV file"),
        ("", "column missing: scene, listener"),
    ],
)
def test_a_table_that_is_none_is_named(tmp_path, text, message):
    path = tmp_path / "pairs.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_table(path, ("scene", "listener"))


def test_empty_lines_and_columns_of_others_are_passed_over(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text(" listener ,note, scene\nL1,x,S1\n,,\n\nNA,,S2\n")
    rows = [(row["scene"], row["listener"]) for _, row in read_table(path, ("scene",)).rows]
    assert rows == [("S1", "L1"), ("S2", "NA")]
