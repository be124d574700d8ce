from dataclasses import asdict, astuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cmss.files.row_file import columns
from cmss.hearing.haaqi import Haaqi
from cmss.results.rows import ComponentRow, ScoreRow, shard_path
from tests.support.tiny_scores import OFFICIAL_COLUMNS, PAIRS


def test_columns_are_the_official_ones():
    assert columns(ScoreRow) == OFFICIAL_COLUMNS


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_average_is_the_official_mean(left, right):
    assert ScoreRow.of(PAIRS[0], left, right).avg_haaqi == float(np.mean([left, right]))


def test_a_row_names_its_pair():
    pair = PAIRS[3]
    row = ScoreRow.of(pair, np.float64(0.25), np.float64(0.5))
    assert astuple(row) == ("S50002", "reeds", "L5001", 0.25, 0.5, 0.375)
    assert all(type(value) is float for value in astuple(row)[3:])


def test_components_of_the_ears_keep_their_sides_and_names():
    left, right = Haaqi(1, 2, 3, 4, 5, 6, 7), Haaqi(11, 12, 13, 14, 15, 16, 17)
    row = ComponentRow.of(PAIRS[0], left, right, 9)
    for side, ear in (("left", left), ("right", right)):
        for name, value in asdict(ear).items():
            if name != "score":  # This is in the scores file.
                assert getattr(row, f"{side}_{name}") == value
    assert row.clipped_samples == 9


def test_files_of_shards_have_the_official_names(tmp_path):
    assert shard_path(tmp_path, "scores") == tmp_path / "scores.csv"
    assert shard_path(tmp_path, "scores", 0, 4) == tmp_path / "scores_1-4.csv"
    assert shard_path(tmp_path, "scores", 3, 4) == tmp_path / "scores_4-4.csv"
