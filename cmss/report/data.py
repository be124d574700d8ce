"""Reads the scores of runs for a report, and joins them with properties of scenes and listeners."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cmss.errors import InputError
from cmss.files.row_file import read_rows
from cmss.results.rows import ComponentRow, ScoreRow, shard_path
from cmss.results.separation import median_sdr, read_separation
from cmss.run.folder import read_configuration
from cmss.scenes import Ear, Pair


@dataclass(frozen=True)
class RunScores:
    """Holds the scores of a run.

    Args:
        name: name of the run's folder.
        separator: name of the separator in the configuration of the run.
        remix: name of the remix; empty for the separator passthrough, which returns no stems.
        table: table with a row for each pair in the official order, see :func:`score_table`.
        sdr: median SDR of the run's stems in dB; None if the SDR was not measured.
    """

    name: str
    separator: str
    remix: str
    table: pd.DataFrame
    sdr: float | None

    def mean(self, column: str, ensemble: str | None = None) -> float:
        """Return the mean of a column.

        Args:
            column: name of the column.
            ensemble: type of ensemble whose pairs are averaged; None for all pairs.

        Returns:
            The mean; NaN if there are no pairs to average.
        """
        table = self.table if ensemble is None else self.table[self.table.ensemble == ensemble]
        return float(table[column].mean())


def read_run(folder: Path, pairs: Sequence[Pair]) -> RunScores:
    """Read the scores of a run from scores.csv, which merge_results.py wrote.

    Args:
        folder: the run's folder.
        pairs: all pairs of the run, in the official order.

    Raises:
        InputError: the folder does not contain a scored run, or the scores belong to other pairs.
    """
    config = read_configuration(folder)
    separation = read_separation(folder)
    separator = str(config.separator.name)
    return RunScores(
        folder.resolve().name,
        separator,
        "" if separator == "passthrough" else str(config.remix.name),
        score_table(folder, pairs),
        median_sdr(separation) if separation else None,
    )


def score_table(folder: Path, pairs: Sequence[Pair]) -> pd.DataFrame:
    """Read the scores of a run, and join them with properties of scenes and listeners.

    Args:
        folder: the run's folder.
        pairs: all pairs of the run, in the official order.

    Returns:
        Table with a row for each pair of scene and listener. The columns `pair`, `scene`, `song`
        and `listener` contain names. The columns `left` and `right` contain HAAQI of the ears, and
        `average` contains the mean of both ears. The column `ensemble` contains the type of
        ensemble. The column `instruments` contains the names of the instruments. The column
        `players` contains the number of players. The column `spread_db` contains the difference
        between the largest and the smallest gain. The column `loss_db` contains the pure-tone
        average of the better ear in dB HL. The column `clipped` contains the number of samples at
        full scale, or 0 if the run has no components.csv.

    Raises:
        InputError: there are no scores, or the scores belong to other pairs.
    """
    path = shard_path(folder, "scores")
    scores = {row.key: row for row in read_rows(path, ScoreRow)}
    keys = [(pair.scene.id, pair.listener.id) for pair in pairs]
    if set(keys) != scores.keys():
        raise InputError(
            f"{path}: {len(scores)} scores, expected one score for each of the {len(keys)} pairs"
        )
    components = shard_path(folder, "components")
    counted = read_rows(components, ComponentRow) if components.exists() else []
    clipped = {row.key: row.clipped_samples for row in counted}
    return pd.DataFrame(
        {
            "pair": pair.name,
            "scene": pair.scene.id,
            "song": pair.scene.track.name,
            "listener": pair.listener.id,
            "left": scores[key].left_haaqi,
            "right": scores[key].right_haaqi,
            "average": scores[key].avg_haaqi,
            "ensemble": pair.scene.track.ensemble,
            "instruments": ", ".join(s.instrument for s in pair.scene.track.sources.values()),
            "players": len(pair.scene.track.sources),
            "spread_db": max(pair.scene.gains_db.values()) - min(pair.scene.gains_db.values()),
            "loss_db": min(map(_pure_tone_average, (pair.listener.left, pair.listener.right))),
            "clipped": clipped.get(key, 0),
        }
        for key, pair in zip(keys, pairs, strict=True)
    )


def _pure_tone_average(ear: Ear) -> float:
    """Return the pure-tone average of an ear in dB HL, as the WHO defines this average."""
    audiogram, hertz = ear.audiogram, (500, 1000, 2000, 4000)
    return float(np.mean(np.interp(hertz, audiogram.frequencies_hz, audiogram.levels_db)))
