import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmss.results.merging import format_summary, summarise
from cmss.results.rows import ScoreRow
from tests.support.tiny_scores import PAIRS, SCORES


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
        assert mean == pytest.approx(overall, abs=1e-12)  # Rounding of a mean of means.


def test_the_printed_table_has_four_decimals():
    text = format_summary(summarise(SCORES, PAIRS))
    assert text.splitlines()[0].split() == [
        "group", "name", "pairs", "left_haaqi", "right_haaqi", "avg_haaqi"
    ]  # fmt: skip
    mean = np.mean([row.avg_haaqi for row in SCORES])
    assert text.splitlines()[1].endswith(f"{mean:.4f}")
