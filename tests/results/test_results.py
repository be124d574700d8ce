from dataclasses import asdict, astuple, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_pairs import make_pairs

from cmss.errors import InputError
from cmss.haaqi import Haaqi
from cmss.results import (
    ComponentRow,
    ScoreFiles,
    ScoreRow,
    format_summary,
    merge,
    shard_path,
    summarise,
)
from cmss.row_file import columns, read_rows, write_rows
from cmss.scenes import shard

PAIRS = make_pairs()
RNG = np.random.default_rng(3)
SCORES = [ScoreRow.of(pair, *RNG.uniform(0.2, 0.9, 2)) for pair in PAIRS]


def components(pair) -> ComponentRow:
    left, right = RNG.uniform(0, 1, (2, 7)).tolist()
    return ComponentRow.of(pair, Haaqi(*left), Haaqi(*right), 7)


COMPONENTS = [components(pair) for pair in PAIRS]


def write_shards(folder, batch_size: int) -> None:
    for batch in range(batch_size):
        files = ScoreFiles(folder, batch, batch_size)
        mine = shard(PAIRS, batch, batch_size)
        for pair, score, component in zip(PAIRS, SCORES, COMPONENTS, strict=True):
            if pair in mine:
                files.append(score, component)


# Rows and names.


def test_columns_are_the_official_ones():
    assert columns(ScoreRow) == [
        "scene",
        "song",
        "listener",
        "left_haaqi",
        "right_haaqi",
        "avg_haaqi",
    ]


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
            if name != "score":  # that is in the scores file
                assert getattr(row, f"{side}_{name}") == value
    assert row.clipped_samples == 9


def test_files_of_shards_have_the_official_names(tmp_path):
    assert shard_path(tmp_path, "scores") == tmp_path / "scores.csv"
    assert shard_path(tmp_path, "scores", 0, 4) == tmp_path / "scores_1-4.csv"
    assert shard_path(tmp_path, "scores", 3, 4) == tmp_path / "scores_4-4.csv"


# Resuming.


@pytest.mark.parametrize("name", ["scores.csv", "components.csv"])
def test_a_run_killed_at_any_moment_goes_on_to_the_same_files(tmp_path, name):
    write_shards(tmp_path, 1)
    files = {file: (tmp_path / file).read_bytes() for file in ("scores.csv", "components.csv")}
    for end in range(0, len(files[name]), 37):
        for file, data in files.items():
            (tmp_path / file).write_bytes(data[:end] if file == name else data)
        resumed = ScoreFiles(tmp_path)
        for pair, scores, parts in zip(PAIRS, SCORES, COMPONENTS, strict=True):
            if not resumed.has(pair):
                resumed.append(scores, parts)
        assert resumed.rows == SCORES
        assert {file: (tmp_path / file).read_bytes() for file in files} == files


def test_beginning_anew_drops_what_was_there(tmp_path):
    write_shards(tmp_path, 1)
    files = ScoreFiles(tmp_path, resume=False)
    assert files.rows == []
    assert not files.has(PAIRS[0])


def test_a_score_that_is_not_a_number_is_not_written_in_either_file(tmp_path):
    files = ScoreFiles(tmp_path)
    with pytest.raises(ValueError, match="scene S50001, listener L5002: left_haaqi, avg_haaqi"):
        files.append(ScoreRow.of(PAIRS[0], np.nan, 0.5), COMPONENTS[0])
    assert ScoreFiles(tmp_path).rows == []


# Merging.


@pytest.mark.parametrize("batch_size", [1, 2, 4, 7])
def test_merged_is_the_same_whatever_the_number_of_shards(tmp_path, batch_size):
    write_shards(tmp_path, batch_size)
    merge(tmp_path, PAIRS, batch_size)
    assert read_rows(tmp_path / "scores.csv", ScoreRow) == SCORES
    assert read_rows(tmp_path / "components.csv", ComponentRow) == COMPONENTS
    table = pd.read_csv(tmp_path / "summary.csv")
    pd.testing.assert_frame_equal(
        table, summarise(SCORES, PAIRS).astype({"name": table["name"].dtype})
    )


def test_the_official_joining_of_batches_gives_the_same_rows(tmp_path):
    write_shards(tmp_path, 2)
    shards = [pd.read_csv(tmp_path / f"scores_{n}-2.csv") for n in (1, 2)]
    joined = pd.concat(shards, ignore_index=True)
    merge(tmp_path, PAIRS, 2)
    ours = pd.read_csv(tmp_path / "scores.csv")
    keys = ["scene", "listener"]
    pd.testing.assert_frame_equal(
        ours.sort_values(keys, ignore_index=True), joined.sort_values(keys, ignore_index=True)
    )


def test_each_listener_has_a_file_with_both_ears(tmp_path):
    (tmp_path / "listeners").mkdir()
    (tmp_path / "listeners" / "L9999.csv").write_text("of an earlier run")
    write_shards(tmp_path, 1)
    merge(tmp_path, PAIRS)
    files = sorted((tmp_path / "listeners").iterdir())
    assert [file.name for file in files] == ["L5001.csv", "L5002.csv"]
    for file in files:
        table = pd.read_csv(file, converters={"left_haaqi": float, "right_haaqi": float})
        assert list(table) == ["scene", "song", "left_haaqi", "right_haaqi", "avg_haaqi"]
        expected = [row for row in SCORES if row.listener == file.stem]
        assert list(table["scene"]) == [row.scene for row in expected]
        assert list(table["left_haaqi"]) == [row.left_haaqi for row in expected]
        assert list(table["right_haaqi"]) == [row.right_haaqi for row in expected]


def test_shards_of_the_official_evaluation_merge_without_components(tmp_path):
    write_rows(tmp_path / "scores_1-1.csv", ScoreRow, [])  # of no concern
    write_rows(tmp_path / "scores.csv", ScoreRow, SCORES)
    merge(tmp_path, PAIRS)
    assert not (tmp_path / "components.csv").exists()


def spoiled(tmp_path, rows) -> list[str]:
    write_rows(tmp_path / "scores.csv", ScoreRow, rows)
    with pytest.raises(InputError) as caught:
        merge(tmp_path, PAIRS)
    assert not (tmp_path / "summary.csv").exists()
    assert not (tmp_path / "listeners").exists()
    return list(caught.value.problems)


def test_missing_doubled_unexpected_and_bad_rows_are_named_together(tmp_path):
    rows = [
        SCORES[0],
        SCORES[0],
        replace(SCORES[1], left_haaqi=float("nan")),
        replace(SCORES[2], song="other"),
        replace(SCORES[3], listener="L6"),
        replace(SCORES[4], avg_haaqi=0.0),
        SCORES[5],
    ]
    mean = SCORES[4].avg_haaqi
    assert spoiled(tmp_path, rows) == [
        "scores: scene S50002, listener L5001: no row",
        "scores: scene S50001, listener L5002: 2 rows",
        "scores: scene S50002, listener L5002: song 'other', expected 'reeds'",
        "scores: scene S50002, listener L6: a row, but no such pair in the metadata",
        "scores: scene S50001, listener L5001: left_haaqi not finite",
        f"scores: scene S50003, listener L5002: avg_haaqi 0.0 is not the mean of both ears, {mean}",
    ]


def test_a_missing_shard_is_named_once_and_not_by_each_of_its_pairs(tmp_path):
    write_shards(tmp_path, 3)
    (tmp_path / "scores_2-3.csv").unlink()
    with pytest.raises(InputError) as caught:
        merge(tmp_path, PAIRS, 3)
    assert caught.value.problems == (f"{tmp_path}/scores_2-3.csv: No such file or directory",)


def test_missing_components_are_named(tmp_path):
    write_shards(tmp_path, 1)
    write_rows(tmp_path / "components.csv", ComponentRow, COMPONENTS[1:])
    with pytest.raises(InputError, match=r"components: scene S50001, listener L5002: no row"):
        merge(tmp_path, PAIRS)


# Summary.


def test_summary_by_hand():
    rows = [ScoreRow.of(pair, 0.1 * n, 0.1 * n + 0.2) for n, pair in enumerate(PAIRS)]
    summary = summarise(rows, PAIRS).set_index(["group", "name"])
    lefts = summary["left_haaqi"].round(9).to_dict()
    assert lefts == {
        ("overall", "all"): 0.25,
        ("ensemble", "mixed"): 0.45,
        ("ensemble", "string"): 0.05,
        ("ensemble", "wind"): 0.25,
        ("instruments", "2"): 0.45,
        ("instruments", "3"): 0.25,
        ("instruments", "4"): 0.05,
        ("listener", "L5001"): 0.3,
        ("listener", "L5002"): 0.2,
    }
    np.testing.assert_allclose(summary["right_haaqi"] - summary["left_haaqi"], 0.2)
    np.testing.assert_allclose(summary["avg_haaqi"] - summary["left_haaqi"], 0.1)
    assert summary["pairs"].tolist() == [6, 2, 2, 2, 2, 2, 2, 3, 3]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=6, max_size=6))
@settings(max_examples=15, deadline=None)
def test_groups_weighted_by_their_pairs_give_the_overall_mean(ears):
    rows = [ScoreRow.of(pair, *values) for pair, values in zip(PAIRS, ears, strict=True)]
    summary = summarise(rows, PAIRS)
    overall = np.mean([row.avg_haaqi for row in rows])
    for _, group in summary.groupby("group"):
        mean = np.average(group["avg_haaqi"], weights=group["pairs"])
        assert mean == pytest.approx(overall, abs=1e-12)  # rounding of a mean of means


def test_the_printed_table_has_four_decimals():
    text = format_summary(summarise(SCORES, PAIRS))
    assert text.splitlines()[0].split() == [
        "group", "name", "pairs", "left_haaqi", "right_haaqi", "avg_haaqi"
    ]  # fmt: skip
    mean = np.mean([row.avg_haaqi for row in SCORES])
    assert text.splitlines()[1].endswith(f"{mean:.4f}")
