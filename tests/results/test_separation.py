"""The table of separated sources."""

import numpy as np
import pytest

from cmss.audio import read_excerpt
from cmss.errors import InputError
from cmss.results.separation import (
    SEPARATION,
    SeparationRow,
    measure,
    median_sdr,
    read_separation,
    write_separation,
)
from cmss.run.configuration import chosen_pairs
from cmss.scenes import SoundFiles
from tests.support.played_set import SHORT_PIECES, configuration, write_played_set

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


@pytest.fixture(scope="module")
def duet(tmp_path_factory):
    """Return a track of two players, its ground truth stems, and a reader of its files."""
    root = tmp_path_factory.mktemp("separation") / "data"
    write_played_set(root, SHORT_PIECES[:1], 1, 1)
    config = configuration(root)
    rate_hz = config.input_sample_rate
    track = chosen_pairs(config)[0].scene.track
    stems = {key: read_excerpt(s.excerpt, rate_hz) for key, s in track.sources.items()}
    return track, stems, SoundFiles(rate_hz)


def test_true_stems_have_no_error(duet):
    rows = measure(*duet)
    assert [row.instrument for row in rows] == ["Oboe", "Bassoon"]
    assert [row.sdr for row in rows] == [np.inf, np.inf]


def test_without_stems_the_mixture_is_judged(duet):
    track, _, sounds = duet
    rows = measure(track, {}, sounds)
    # For each player, the error of the mixture is the stem of the other player.
    assert sum(row.sdr for row in rows) == pytest.approx(0, abs=0.1)
    # Except for the rounding to 16 bits, the error is interference.
    assert all(row.sar > 30 for row in rows)
