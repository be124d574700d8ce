"""Scores of a run: rows, their files, merging of shards, summaries.

Names and columns are the official ones: a whole run writes `scores.csv`, shard `batch` of
`batch_size` writes `scores_{batch + 1}-{batch_size}.csv`. Beside each lies a `components` file with
the terms that HAAQI is made of.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cmss.atomic import atomic_folder, write_text
from cmss.errors import InputError
from cmss.haaqi import Haaqi
from cmss.row_file import PairRow, Row, RowFile, read_rows, write_rows
from cmss.scenes import Pair, shard

COMPONENTS = (
    "cepstral_correlation",
    "bm_synchrony",
    "d_loud",
    "d_norm",
    "nonlinear",
    "linear",
)
EARS = ["left_haaqi", "right_haaqi", "avg_haaqi"]


@dataclass(frozen=True)
class ScoreRow(PairRow):
    """HAAQI of one pair; the columns of the official scores.csv."""

    left_haaqi: float
    right_haaqi: float
    avg_haaqi: float

    @classmethod
    def of(cls, pair: Pair, left_haaqi: float, right_haaqi: float) -> "ScoreRow":
        """The row of a pair, its average the mean of both ears."""
        left, right = float(left_haaqi), float(right_haaqi)
        return cls(*_names(pair), left, right, (left + right) / 2)


@dataclass(frozen=True)
class ComponentRow(PairRow):
    """What both scores are made of (see :class:`Haaqi`), and how many samples are at full scale."""

    left_cepstral_correlation: float
    left_bm_synchrony: float
    left_d_loud: float
    left_d_norm: float
    left_nonlinear: float
    left_linear: float
    right_cepstral_correlation: float
    right_bm_synchrony: float
    right_d_loud: float
    right_d_norm: float
    right_nonlinear: float
    right_linear: float
    clipped_samples: int

    @classmethod
    def of(cls, pair: Pair, left: Haaqi, right: Haaqi, clipped_samples: int) -> "ComponentRow":
        """The row of a pair."""
        terms: dict[str, Any] = {
            f"{side}_{name}": float(getattr(ear, name))
            for side, ear in (("left", left), ("right", right))
            for name in COMPONENTS
        }
        return cls(*_names(pair), **terms, clipped_samples=int(clipped_samples))


def _names(pair: Pair) -> tuple[str, str, str]:
    return pair.scene.id, pair.scene.track.name, pair.listener.id


def shard_path(folder: Path, kind: str, batch: int = 0, batch_size: int = 1) -> Path:
    """The official name of a results file of `kind` ("scores").

    Args:
        folder: the run's folder.
        kind: what the name begins with.
        batch: which shard, from 0.
        batch_size: the number of shards (the official name of this setting).
    """
    return folder / (f"{kind}.csv" if batch_size == 1 else f"{kind}_{batch + 1}-{batch_size}.csv")


class ScoreFiles:
    """Scores and components of one shard, resumed where an earlier run ended.

    Args:
        folder: the run's folder.
        batch: which shard, from 0.
        batch_size: the number of shards.
        resume: go on with what an earlier run left; otherwise begin anew.

    Raises:
        InputError: resuming, and files of these names hold something else.
    """

    def __init__(
        self, folder: Path, batch: int = 0, batch_size: int = 1, *, resume: bool = True
    ) -> None:
        components = shard_path(folder, "components", batch, batch_size)
        scores = shard_path(folder, "scores", batch, batch_size)
        if not resume:
            components.unlink(missing_ok=True)
            scores.unlink(missing_ok=True)
        self._components = RowFile(components, ComponentRow)
        self._scores = RowFile(scores, ScoreRow)
        # A run killed between the two files left a row in one of them.
        done = self._scores.rows.keys() & self._components.rows.keys()
        self._scores.keep(done)
        self._components.keep(done)

    @property
    def rows(self) -> list[ScoreRow]:
        """What has been scored so far, by this run and earlier ones."""
        return list(self._scores.rows.values())

    def mean(self) -> float:
        """Mean HAAQI of both ears over what has been scored so far; NaN before the first."""
        scores = [row.avg_haaqi for row in self._scores.rows.values()]
        return sum(scores) / len(scores) if scores else math.nan

    def has(self, pair: Pair) -> bool:
        """Whether this pair is scored already."""
        return (pair.scene.id, pair.listener.id) in self._scores.rows

    def append(self, scores: ScoreRow, components: ComponentRow) -> None:
        """Add one pair; it is on disk when this returns.

        Raises:
            ValueError: a score is NaN or infinite, or the pair is there already.
        """
        self._components.append(components)
        self._scores.append(scores)


def merge(folder: Path, pairs: Sequence[Pair], batch_size: int = 1) -> pd.DataFrame:
    """Join the shards of a run and write what its reader wants.

    In `folder`: scores.csv and components.csv in the order of `pairs`, summary.csv, and
    `listeners/<id>.csv` with both ears of each scene. Components are joined when there are any;
    the official evaluation, whose shards can be merged too, writes none.

    Args:
        folder: the run's folder.
        pairs: all that should have been scored, in the official order.
        batch_size: the number of shards.

    Returns:
        the summary, as `summarise` makes it.

    Raises:
        InputError: missing, doubled, unexpected or non-finite rows, by scene and listener.
    """
    scores, problems = _collect(folder, "scores", ScoreRow, pairs, batch_size)
    paths = [shard_path(folder, "components", batch, batch_size) for batch in range(batch_size)]
    components: list[ComponentRow] = []
    if any(path.exists() for path in paths):
        components, more = _collect(folder, "components", ComponentRow, pairs, batch_size)
        problems += more
    for row in scores:
        mean = (row.left_haaqi + row.right_haaqi) / 2
        if abs(row.avg_haaqi - mean) > 1e-9:
            problems.append(
                f"scores: scene {row.scene}, listener {row.listener}: avg_haaqi {row.avg_haaqi} "
                f"is not the mean of both ears, {mean}"
            )
    if problems:
        raise InputError(problems)
    summary = summarise(scores, pairs)
    with atomic_folder(folder / "listeners") as listeners:
        for listener, table in pd.DataFrame(map(asdict, scores)).groupby("listener"):
            table.drop(columns="listener").to_csv(listeners / f"{listener}.csv", index=False)
    write_text(folder / "summary.csv", summary.to_csv(index=False))
    if components:
        write_rows(folder / "components.csv", ComponentRow, components)
    write_rows(folder / "scores.csv", ScoreRow, scores)
    return summary


def _collect(
    folder: Path, kind: str, row_type: type[Row], pairs: Sequence[Pair], batch_size: int
) -> tuple[list[Row], list[str]]:
    """Rows of all shards in the order of the pairs, and what is wrong with them."""
    rows: list[Row] = []
    problems: list[str] = []
    expected = {(pair.scene.id, pair.listener.id): pair for pair in pairs}
    sought = set(expected)
    for batch in range(batch_size):
        path = shard_path(folder, kind, batch, batch_size)
        try:
            rows += read_rows(path, row_type)
        except InputError as error:
            problems += error.problems
            # Named once, by its file, instead of by each of its pairs.
            sought -= {(p.scene.id, p.listener.id) for p in shard(pairs, batch, batch_size)}
    times = Counter(row.key for row in rows)
    found = {row.key: row for row in rows}
    problems += [_at(kind, key, "no row") for key in expected if key in sought - found.keys()]
    problems += [_at(kind, key, f"{count} rows") for key, count in times.items() if count > 1]
    for key, row in found.items():
        if key not in expected:
            problems.append(_at(kind, key, "a row, but no such pair in the metadata"))
        elif row.song != expected[key].scene.track.name:
            song = expected[key].scene.track.name
            problems.append(_at(kind, key, f"song {row.song!r}, expected {song!r}"))
    for row in rows:
        if row.not_finite():
            problems.append(_at(kind, row.key, f"{', '.join(row.not_finite())} not finite"))
    return [found[key] for key in expected if key in found], problems


def _at(kind: str, key: tuple[str, str], problem: str) -> str:
    return f"{kind}: scene {key[0]}, listener {key[1]}: {problem}"


def summarise(rows: Iterable[ScoreRow], pairs: Iterable[Pair]) -> pd.DataFrame:
    """Mean scores overall and by ensemble, number of instruments and listener.

    Returns:
        columns group ("overall", "ensemble", "instruments", "listener"), name, pairs (how many)
        and the three means. Ensembles are string, wind and mixed; the number of instruments is that
        of players, so that two violins count twice.
    """
    tracks = {(pair.scene.id, pair.listener.id): pair.scene.track for pair in pairs}
    scores = pd.DataFrame(
        {
            "overall": "all",
            "ensemble": tracks[row.key].ensemble,
            "instruments": len(tracks[row.key].sources),
            **asdict(row),
        }
        for row in rows
    )
    groups = []
    for group in ("overall", "ensemble", "instruments", "listener"):
        grouped = scores.groupby(group)[EARS]
        means = grouped.mean()
        means.insert(0, "pairs", grouped.size())
        means.insert(0, "name", means.index.astype(str))
        means.insert(0, "group", group)
        groups.append(means)
    return pd.concat(groups, ignore_index=True)


def format_summary(summary: pd.DataFrame) -> str:
    """The summary as a plain-text table, scores to four decimals."""
    return summary.to_string(index=False, float_format="{:.4f}".format)
