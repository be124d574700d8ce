from dataclasses import replace

import pandas as pd
import pytest

from cmss.errors import InputError
from cmss.files.row_file import read_rows, write_rows
from cmss.fingerprint import fingerprint
from cmss.results.merging import merge, summarise
from cmss.results.rows import ComponentRow, FingerprintRow, ScoreRow
from tests.support.tiny_scores import (
    COMPONENTS,
    FINGERPRINTS,
    MADE_FROM,
    PAIRS,
    SCORES,
    write_shards,
)


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
    write_rows(tmp_path / "scores_1-1.csv", ScoreRow, [])  # Not a table of scores.
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


def test_fingerprints_are_joined_too(tmp_path):
    write_shards(tmp_path, 2)
    merge(tmp_path, PAIRS, 2, MADE_FROM)
    assert read_rows(tmp_path / "fingerprints.csv", FingerprintRow) == FINGERPRINTS


def test_scores_made_from_something_else_are_not_merged(tmp_path):
    write_shards(tmp_path, 2)
    now = MADE_FROM | {PAIRS[1].name: fingerprint({"scene": "changed"})}
    with pytest.raises(InputError) as caught:
        merge(tmp_path, PAIRS, 2, now)
    assert caught.value.problems == (
        f"{tmp_path}: scores produced with different inputs or settings: scene (1: "
        f"{PAIRS[1].name}); run evaluate.py with on_change=redo to score these again",
    )


def test_scores_of_two_systems_are_not_merged(tmp_path):
    write_shards(tmp_path, 1)
    other = replace(FINGERPRINTS[2], fingerprint=fingerprint({"enhancer": "other"}))
    rows = [*FINGERPRINTS[:2], other, *FINGERPRINTS[3:]]
    write_rows(tmp_path / "fingerprints.csv", FingerprintRow, rows)
    with pytest.raises(InputError, match=rf"inputs or settings: enhancer \(1: {PAIRS[2].name}\)"):
        merge(tmp_path, PAIRS)
