"""Merges the shards of a run into tables of scores, and computes mean scores."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from cmss.errors import InputError
from cmss.files.atomic import atomic_folder, write_text
from cmss.files.row_file import Row, read_rows, write_rows
from cmss.fingerprint import Fingerprints, changes, described, mixed
from cmss.results.rows import EARS, ComponentRow, FingerprintRow, ScoreRow, shard_path
from cmss.scenes import Pair, shard


def merge(
    folder: Path,
    pairs: Sequence[Pair],
    batch_size: int = 1,
    inputs: Fingerprints | None = None,
) -> pd.DataFrame:
    """Merge the shards of a run, and write tables of scores.

    The files scores.csv, components.csv, fingerprints.csv and summary.csv are written to `folder`.
    The files scores.csv, components.csv and fingerprints.csv have a row for each pair, in the order
    of `pairs`. For each listener, the file `listeners/<id>.csv` has the scores of all scenes. If no
    shard has components, components.csv is not written. If no shard has fingerprints,
    fingerprints.csv is not written. The shards of the official evaluation have neither components
    nor fingerprints.

    Args:
        folder: the run's folder.
        pairs: all pairs of the run, in the official order.
        batch_size: number of shards.
        inputs: expected fingerprints of the scores, see :func:`cmss.fingerprint.of_scores`; None
            to accept all fingerprints.

    Returns:
        Table of mean scores, see :func:`summarise`.

    Raises:
        InputError: rows are missing, duplicated, unexpected or not finite; or the average of a row
            is not the mean of both ears; or scores were produced with different inputs or settings.
    """
    scores, problems = _collect(folder, "scores", ScoreRow, pairs, batch_size)
    components, more = _collect_any(folder, "components", ComponentRow, pairs, batch_size)
    fingerprints, others = _collect_any(folder, "fingerprints", FingerprintRow, pairs, batch_size)
    # A pair without a score has no rows in the other files either. Report this pair only once.
    problems = problems or [*more, *others]
    for row in scores:
        mean = (row.left_haaqi + row.right_haaqi) / 2
        if abs(row.avg_haaqi - mean) > 1e-9:
            problems.append(
                f"scores: scene {row.scene}, listener {row.listener}: avg_haaqi {row.avg_haaqi} "
                f"is not the mean of both ears, {mean}"
            )
    prints = {row.pair: row.fingerprint for row in fingerprints}
    if outdated := {**changes(prints, inputs or {}), **mixed(prints)}:
        problems.append(
            f"{folder}: scores produced with different inputs or settings: {described(outdated)}; "
            "run evaluate.py with on_change=redo to score these again"
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
    if fingerprints:
        write_rows(folder / "fingerprints.csv", FingerprintRow, fingerprints)
    write_rows(folder / "scores.csv", ScoreRow, scores)
    return summary


def _collect_any(
    folder: Path, table: str, row_type: type[Row], pairs: Sequence[Pair], batch_size: int
) -> tuple[list[Row], list[str]]:
    """Call :func:`_collect` if any shard has a file of the table; otherwise return empty lists."""
    paths = (shard_path(folder, table, batch, batch_size) for batch in range(batch_size))
    if not any(path.exists() for path in paths):
        return [], []
    return _collect(folder, table, row_type, pairs, batch_size)


def _collect(
    folder: Path, table: str, row_type: type[Row], pairs: Sequence[Pair], batch_size: int
) -> tuple[list[Row], list[str]]:
    """Read the rows of a table from all shards.

    Args:
        folder: the run's folder.
        table: beginning of the file names, such as "scores".
        row_type: type of the rows.
        pairs: all pairs of the run.
        batch_size: number of shards.

    Returns:
        The rows in the order of the pairs, and a list of problems.
    """
    rows: list[Row] = []
    problems: list[str] = []
    expected = {(pair.scene.id, pair.listener.id): pair for pair in pairs}
    sought = set(expected)
    for batch in range(batch_size):
        path = shard_path(folder, table, batch, batch_size)
        try:
            rows += read_rows(path, row_type)
        except InputError as error:
            problems += error.problems
            # Report only the file, not each pair of this file.
            sought -= {(p.scene.id, p.listener.id) for p in shard(pairs, batch, batch_size)}
    times = Counter(row.key for row in rows)
    found = {row.key: row for row in rows}
    problems += [_at(table, key, "no row") for key in expected if key in sought - found.keys()]
    problems += [_at(table, key, f"{count} rows") for key, count in times.items() if count > 1]
    for key, row in found.items():
        if key not in expected:
            problems.append(_at(table, key, "a row, but no such pair in the metadata"))
        elif row.song != expected[key].scene.track.name:
            song = expected[key].scene.track.name
            problems.append(_at(table, key, f"song {row.song!r}, expected {song!r}"))
    for row in rows:
        if row.not_finite():
            problems.append(_at(table, row.key, f"{', '.join(row.not_finite())} not finite"))
    return [found[key] for key in expected if key in found], problems


def _at(table: str, key: tuple[str, str], problem: str) -> str:
    return f"{table}: scene {key[0]}, listener {key[1]}: {problem}"


def summarise(rows: Iterable[ScoreRow], pairs: Iterable[Pair]) -> pd.DataFrame:
    """Compute mean scores for all pairs, and for each ensemble, number of players and listener.

    Args:
        rows: scores of pairs.
        pairs: pairs of scene and listener of these scores.

    Returns:
        Table with the columns group ("overall", "ensemble", "instruments" or "listener"), name,
        pairs (number of pairs), and mean HAAQI of the left ear, of the right ear and of both. In
        the group "overall", the name is "all". In the group "ensemble", the name is "string",
        "wind" or "mixed". In the group "instruments", the name is the number of players. In the
        group "listener", the name is the id of the listener.
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
    """Format a summary as a plain-text table in which scores have four decimals."""
    return summary.to_string(index=False, float_format="{:.4f}".format)
