import errno
import os
from dataclasses import dataclass, replace

import pandas as pd
import pytest
from clarity.utils.results_support import ResultsFile
from hypothesis import given
from hypothesis import strategies as st

from cmss.errors import InputError
from cmss.files.row_file import PairRow, RowFile, columns, read_rows, write_rows


@dataclass(frozen=True)
class Measured(PairRow):
    value: float
    count: int


ROWS = [
    Measured("S1", 'a "quoted", song', "L1", 0.1 + 0.2, 3),
    Measured("S1", "naïve", "L2", -1e-17, 0),
    Measured("S2", "b", "L1", 1.0, -5),
]


@given(st.lists(st.floats(allow_nan=False), max_size=5), st.integers())
def test_every_number_is_read_back_as_it_was(tmp_path_factory, values, count):
    path = tmp_path_factory.mktemp("rows") / "a.csv"
    rows = [Measured("S1", "song", f"L{n}", value, count) for n, value in enumerate(values)]
    write_rows(path, Measured, rows)
    assert read_rows(path, Measured) == rows


def test_what_the_official_writer_wrote_is_read(tmp_path):
    path = tmp_path / "a.csv"
    official = ResultsFile(path, columns(Measured))
    for row in ROWS:
        official.add_result(row.__dict__)
    assert read_rows(path, Measured) == ROWS


def test_pandas_reads_what_was_appended(tmp_path):
    file = RowFile(tmp_path / "a.csv", Measured)
    for row in ROWS:
        file.append(row)
    table = pd.read_csv(tmp_path / "a.csv", converters={"value": float})
    assert [Measured(*cells) for cells in table.itertuples(index=False)] == ROWS


def test_a_run_killed_at_any_byte_is_resumed_without_loss_of_a_whole_row(tmp_path):
    path = tmp_path / "a.csv"
    write_rows(path, Measured, ROWS)
    whole = path.read_bytes()
    for end in range(len(whole) + 1):
        path.write_bytes(whole[:end])
        kept = max(whole[:end].count(b"\n") - 1, 0)
        assert kept == 0 or read_rows(path, Measured) == ROWS[:kept]
        file = RowFile(path, Measured)
        assert list(file.rows.values()) == ROWS[:kept]
        for row in ROWS[kept:]:
            file.append(row)
        assert path.read_bytes() == whole


def test_each_row_is_on_disk_before_the_next(tmp_path):
    path = tmp_path / "a.csv"
    file = RowFile(path, Measured)
    assert not path.exists()
    for number, row in enumerate(ROWS, start=1):
        file.append(row)
        assert read_rows(path, Measured) == ROWS[:number]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_value_that_is_not_finite_stops_and_names_the_pair(tmp_path, bad):
    path = tmp_path / "a.csv"
    file = RowFile(path, Measured)
    with pytest.raises(ValueError, match=r"scene S2, listener L1: value not finite"):
        file.append(replace(ROWS[2], value=bad))
    assert not path.exists()


def test_no_pair_twice(tmp_path):
    file = RowFile(tmp_path / "a.csv", Measured)
    file.append(ROWS[0])
    with pytest.raises(ValueError, match="scene S1, listener L1: has a row already"):
        file.append(ROWS[0])


def test_a_row_that_does_not_get_to_disk_leaves_no_part_of_it(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    file = RowFile(path, Measured)
    file.append(ROWS[0])
    whole = path.read_bytes()

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=f"No space left on device: '{path}'"):
        file.append(ROWS[1])
    assert path.read_bytes() == whole
    monkeypatch.undo()
    file.append(ROWS[1])
    assert read_rows(path, Measured) == ROWS[:2]


def test_put_in_order(tmp_path):
    path = tmp_path / "a.csv"
    file = RowFile(path, Measured)
    for row in reversed(ROWS):
        file.append(row)
    file.put_in_order([ROWS[0].key, ("S9", "L9"), ROWS[1].key, ROWS[2].key])
    assert read_rows(path, Measured) == ROWS == list(file.rows.values())
    before = path.stat()
    file.put_in_order([row.key for row in ROWS])
    assert path.stat() == before
    # New rows are appended at the end of the new file.
    file.keep({ROWS[0].key})
    file.append(ROWS[2])
    assert read_rows(path, Measured) == [ROWS[0], ROWS[2]]


def test_keep_drops_the_others(tmp_path):
    path = tmp_path / "a.csv"
    write_rows(path, Measured, ROWS)
    file = RowFile(path, Measured)
    file.keep({ROWS[1].key})
    assert read_rows(path, Measured) == [ROWS[1]] == list(file.rows.values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"columns none, expected scene,song,listener,value,count"),
        ("scene,listener\nS1,L1\n", r"columns scene,listener, expected scene,song"),
        ("scene,song,listener,value,count\nS1,a,L1,0.5\n", r"row 2: 4 cells, expected 5"),
        ("scene,song,listener,value,count\nS1,a,L1,x,1\n", r"row 2: could not convert .* 'x'"),
        ("scene,song,listener,value,count\nS1,a,L1,1,1.5\n", r"row 2: invalid literal .* '1.5'"),
        ('scene,song,listener,value,count\nS1,"a"b,L1,1,1\n', r"not a CSV file"),
    ],
)
def test_a_file_that_holds_something_else_is_left_alone(tmp_path, text, message):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"a\.csv: {message}"):
        read_rows(path, Measured)
    if text:
        with pytest.raises(InputError, match=message):
            RowFile(path, Measured)
        assert path.read_text() == text


def test_bytes_that_are_no_text_are_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(InputError, match=r"byte 2 .*save it as UTF-8"):
        read_rows(path, Measured)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"a\.csv: No such file or directory"):
        read_rows(tmp_path / "a.csv", Measured)
