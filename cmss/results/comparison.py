"""Compares two runs on the same pairs by a confidence interval and a paired test.

All pairs of a track have the same music and the same estimated stems, so the scores of these pairs
are not independent. Tracks are independent. Therefore, the confidence interval and the test
resample tracks, not pairs:

* The confidence interval is computed by a cluster bootstrap (Davison and Hinkley, Bootstrap Methods
  and their Application, 1997, section 3.8). Tracks are drawn with replacement. For each draw, the
  mean difference of the runs is computed. The interval covers the middle 95 % of the mean
  differences.
* The paired test randomly flips the sign of all differences of a track together, as if the two runs
  were exchanged for this track. p is the fraction of draws in which the mean difference is at least
  as far from 0 as the observed mean difference. If there are few tracks, all combinations of signs
  are computed instead of random signs.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cmss.errors import InputError
from cmss.files.row_file import read_rows
from cmss.results.rows import ScoreRow, shard_path
from cmss.scenes import Pair

DRAWS = 10_000

_SEED = 0
_CHUNK = 1000


@dataclass(frozen=True)
class Difference:
    """Holds the difference between the mean HAAQI scores of two runs, for a group of pairs.

    The HAAQI score of a pair is the mean of both ears. If all pairs have the same track, `low`,
    `high` and `p` are NaN.

    Args:
        group: name of the group: "all", or a type of ensemble.
        pairs: number of pairs in the group.
        tracks: number of tracks in the group.
        first: mean HAAQI of the first run.
        second: mean HAAQI of the second run.
        difference: `second` minus `first`.
        low: lower end of the 95 % confidence interval of the difference.
        high: upper end of the 95 % confidence interval of the difference.
        p: two-sided p-value of the paired test.
    """

    group: str
    pairs: int
    tracks: int
    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float


def compare(
    first: Sequence[ScoreRow], second: Sequence[ScoreRow], pairs: Sequence[Pair]
) -> list[Difference]:
    """Compare two runs for all pairs, and for the pairs of each type of ensemble.

    Args:
        first: scores of the first run.
        second: scores of the second run, for the same pairs.
        pairs: pairs of scene and listener of these scores.

    Raises:
        KeyError: a pair has no score.
    """
    tracks = {(pair.scene.id, pair.listener.id): pair.scene.track for pair in pairs}
    before, after = ({row.key: row.avg_haaqi for row in rows} for rows in (first, second))
    table = pd.DataFrame(
        {
            "track": track.name,
            "ensemble": track.ensemble,
            "before": before[key],
            "after": after[key],
        }
        for key, track in tracks.items()
    )
    groups = [("all", table), *table.groupby("ensemble")]
    return [_difference(str(name), group) for name, group in groups]


def compare_folders(first: Path, second: Path, pairs: Sequence[Pair]) -> list[Difference]:
    """Read the scores of two runs from the folders of the runs, and compare the scores.

    Args:
        first: folder of the first run.
        second: folder of the second run.
        pairs: pairs that both runs have scored.

    Raises:
        InputError: a run has no scores, or the scores of a run belong to other pairs.
    """
    return compare(_scores(first, pairs), _scores(second, pairs), pairs)


def _scores(folder: Path, pairs: Sequence[Pair]) -> list[ScoreRow]:
    path = shard_path(folder, "scores")
    rows = read_rows(path, ScoreRow)
    if {row.key for row in rows} != {(pair.scene.id, pair.listener.id) for pair in pairs}:
        raise InputError(
            f"{path}: the scores belong to other pairs, expected one score for each of the "
            f"{len(pairs)} pairs of this run"
        )
    return rows


def format_differences(differences: Sequence[Difference]) -> str:
    """Format differences as a plain-text table with four decimals."""
    table = pd.DataFrame([asdict(difference) for difference in differences])
    table["p"] = table["p"].map("{:.4f}".format)
    return table.to_string(index=False, float_format="{:.4f}".format)


def _difference(name: str, table: pd.DataFrame) -> Difference:
    rises = table.after - table.before
    by_track = rises.groupby(table.track).agg(["sum", "size"])
    sums, sizes = by_track["sum"].to_numpy(float), by_track["size"].to_numpy(float)
    low, high = interval(sums, sizes)
    return Difference(
        name,
        len(table),
        len(sums),
        float(table.before.mean()),
        float(table.after.mean()),
        float(rises.mean()),
        low,
        high,
        sign_flip_test(sums),
    )


def interval(sums: NDArray[np.float64], sizes: NDArray[np.float64]) -> tuple[float, float]:
    """Compute the 95 % confidence interval of the mean difference.

    Args:
        sums: array (tracks,); an element is the sum of the differences in a track.
        sizes: array (tracks,); an element is the number of pairs in a track.

    Returns:
        The lower and the upper end of the interval; NaN if there are fewer than two tracks.
    """
    if len(sums) < 2:
        return np.nan, np.nan
    rng = np.random.default_rng(_SEED)
    means = []
    for _ in range(DRAWS // _CHUNK):
        drawn = rng.integers(len(sums), size=(_CHUNK, len(sums)))
        means.append(sums[drawn].sum(1) / sizes[drawn].sum(1))
    tail = (1 - 0.95) / 2
    low, high = np.quantile(np.concatenate(means), (tail, 1 - tail))
    return float(low), float(high)


def sign_flip_test(sums: NDArray[np.float64]) -> float:
    """Compute the two-sided p-value of the paired test.

    Args:
        sums: array (tracks,); an element is the sum of the differences in a track.

    Returns:
        The p-value; NaN if there are fewer than two tracks.
    """
    tracks = len(sums)
    if tracks < 2:
        return np.nan
    # The factor is a tolerance for rounding errors, because the differences are not always added in
    # the same order.
    observed = abs(sums.sum()) * (1 - 1e-12)
    if 2**tracks <= DRAWS:
        flips = 1 - 2 * (np.arange(2**tracks)[:, None] >> np.arange(tracks) & 1)
        return float(np.mean(np.abs(flips @ sums) >= observed))
    rng = np.random.default_rng(_SEED)
    farther = 0
    for _ in range(DRAWS // _CHUNK):
        flips = 1 - 2 * rng.integers(2, size=(_CHUNK, tracks))
        farther += int(np.count_nonzero(np.abs(flips @ sums) >= observed))
    # The observed signs count as a further draw, hence + 1.
    return (1 + farther) / (1 + DRAWS)
