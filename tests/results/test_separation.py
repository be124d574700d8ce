"""The table of separated sources."""

import pytest

from cmss.errors import InputError
from cmss.results.separation import (
    SEPARATION,
    SeparationRow,
    median_sdr,
    read_separation,
    write_separation,
)

ROWS = [
    SeparationRow("duo", "source_1", "Flute", float("inf"), 20.0, 1 / 3),
    SeparationRow("None", "source_2", "Cello", 5.0, 12.5, -3.0),
    SeparationRow("trio", "source_1", "Oboe", 1.0, 2.0, 3.0),
]


def test_what_is_written_is_read(tmp_path):
    write_separation(tmp_path, ROWS)
    assert read_separation(tmp_path) == ROWS
    assert median_sdr(ROWS) == 5.0


def test_no_file_and_no_rows(tmp_path):
    assert read_separation(tmp_path) == []
    write_separation(tmp_path, [])
    assert read_separation(tmp_path) == []


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "track,source,instrument,sdr\nx,y,z,loud\n"])
def test_another_file_is_refused(tmp_path, text):
    (tmp_path / SEPARATION).write_text(text)
    with pytest.raises(InputError, match=SEPARATION):
        read_separation(tmp_path)
