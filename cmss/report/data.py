"""Data of a report: the scores of runs, joined with properties of scenes and listeners."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cmss.errors import InputError
from cmss.files.row_file import read_rows
from cmss.results import ComponentRow, ScoreRow, shard_path
from cmss.results.separation import median_sdr, read_separation
from cmss.run.folder import read_configuration
from cmss.scenes import Ear, Pair


@dataclass(frozen=True)
class RunScores:
    """A scored run.

    Args:
        name: name of its folder.
        separator: name of the separator in the configuration.
        remix: name of the remix; empty for passthrough, which does not separate.
        table: a row for each pair in the official order, see :func:`score_table`.
        sdr: median SDR of its stems in dB; None if it was not measured.
    """

    name: str
    separator: str
    remix: str
    table: pd.DataFrame
    sdr: float | None

    def mean(self, column: str, ensemble: str | None = None) -> float:
        """Return the mean of a column over all pairs, or over a type of ensemble; NaN if empty."""
        table = self.table if ensemble is None else self.table[self.table.ensemble == ensemble]
        return float(table[column].mean())


def read_run(folder: Path, pairs: Sequence[Pair]) -> RunScores:
    """Read a run with a single file of scores, as written by merge_results.py.

    Raises:
        InputError: the folder is not that of a scored run, or the scores are for other pairs.
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
    """Read scores, and join them with properties of scenes and listeners.

    Returns:
        Columns pair, scene, song, listener, left, right, average (HAAQI), ensemble, instruments
        (names), players (number), spread_db (of the gains), loss_db (pure-tone average of the
        better ear), clipped (samples at full scale; 0 without a file of components).

    Raises:
        InputError: there are no scores, or they are for other pairs.
    """
    path = shard_path(folder, "scores")
    scores = {row.key: row for row in read_rows(path, ScoreRow)}
    keys = [(pair.scene.id, pair.listener.id) for pair in pairs]
    if set(keys) != scores.keys():
        raise InputError(f"{path}: {len(scores)} scores, expected those of {len(keys)} pairs")
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
    """Return the pure-tone average of an ear in dB HL, as defined by the WHO."""
    audiogram, hertz = ear.audiogram, (500, 1000, 2000, 4000)
    return float(np.mean(np.interp(hertz, audiogram.frequencies_hz, audiogram.levels_db)))
