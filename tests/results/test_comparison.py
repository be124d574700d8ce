"""Comparison of runs: interval and test, and their dependence on tracks."""

import numpy as np
import pytest
from scipy import stats

from cmss.errors import InputError
from cmss.files.row_file import write_rows
from cmss.results.comparison import (
    compare,
    compare_folders,
    format_differences,
    interval,
    sign_flip_test,
)
from cmss.results.rows import ScoreRow
from tests.support.tiny_pairs import make_pairs

PAIRS = make_pairs()


def rows(*scores: float) -> list[ScoreRow]:
    return [ScoreRow.of(pair, score, score) for pair, score in zip(PAIRS, scores, strict=True)]


FIRST = rows(0.5, 0.5, 0.4, 0.4, 0.6, 0.6)
SECOND = rows(0.6, 0.6, 0.6, 0.5, 0.6, 0.5)


def test_groups_and_means():
    found = {each.group: each for each in compare(FIRST, SECOND, PAIRS)}
    assert list(found) == ["all", "mixed", "string", "wind"]
    assert [(each.pairs, each.tracks) for each in found.values()] == [(6, 3)] + 3 * [(2, 1)]
    assert found["all"].difference == pytest.approx(0.4 / 6)
    assert found["wind"].difference == pytest.approx(0.15)
    assert found["mixed"].first == pytest.approx(0.6)
    # Three tracks with sums of 0.2, 0.3 and -0.1: 4 of 8 flips are at least as far from 0.
    assert found["all"].p == pytest.approx(0.5)
    # A single track has no interval.
    assert np.isnan([found["wind"].low, found["wind"].high, found["wind"].p]).all()


def test_order_of_rows_does_not_matter_and_exchanging_runs_turns_signs():
    there = compare(FIRST, SECOND, PAIRS)[0]
    assert compare(FIRST[::-1], SECOND, PAIRS)[0] == there
    back = compare(SECOND, FIRST, PAIRS)[0]
    assert (back.difference, back.low, back.p) == pytest.approx(
        (-there.difference, -there.high, there.p)
    )


def test_interval_is_scipys():
    rng = np.random.default_rng(3)
    sizes = rng.integers(1, 9, 30).astype(float)
    sums = rng.normal(0.1, 0.3, 30) * sizes
    expected = stats.bootstrap(
        (sums, sizes),
        lambda s, n, axis: s.sum(axis) / n.sum(axis),
        paired=True,
        method="percentile",
        vectorized=True,
    ).confidence_interval
    # Both draw 10,000 times, which determines a quantile in the tail to about 2 % of the width.
    width = expected.high - expected.low
    np.testing.assert_allclose(interval(sums, sizes), expected, atol=0.04 * width)


@pytest.mark.parametrize("tracks", [8, 40])
def test_p_is_scipys(tracks):
    sums = np.random.default_rng(4).normal(0.15, 0.5, tracks)
    expected = stats.permutation_test(
        (sums, np.zeros(tracks)),
        lambda x, y, axis: x.sum(axis) - y.sum(axis),
        permutation_type="samples",
        vectorized=True,
    ).pvalue
    # Exact for 8 tracks. For 40 tracks both draw 10,000 times: standard deviation at most 0.005.
    assert sign_flip_test(sums) == pytest.approx(expected, abs=1e-12 if tracks == 8 else 0.03)


def test_without_a_difference_p_is_one_and_the_interval_a_point():
    assert sign_flip_test(np.zeros(20)) == 1
    assert interval(np.zeros(20), np.ones(20)) == (0, 0)


def test_copies_of_a_pair_do_not_make_a_difference_surer():
    rises = np.random.default_rng(5).normal(0.1, 0.3, 12)
    once, often = interval(rises, np.ones(12)), interval(50 * rises, np.full(12, 50.0))
    assert often == pytest.approx(once)
    assert sign_flip_test(50 * rises) == sign_flip_test(rises)


def test_folders(tmp_path):
    for name, scores in (("a", FIRST), ("b", SECOND)):
        write_rows(tmp_path / name / "scores.csv", ScoreRow, scores)
    found = compare_folders(tmp_path / "a", tmp_path / "b", PAIRS)
    assert found[0] == compare(FIRST, SECOND, PAIRS)[0]
    assert "0.0667" in format_differences(found)
    write_rows(tmp_path / "b/scores.csv", ScoreRow, SECOND[1:])
    with pytest.raises(InputError, match="expected one score for each of the 6 pairs"):
        compare_folders(tmp_path / "a", tmp_path / "b", PAIRS)
