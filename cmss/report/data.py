"""What a report is about: the scores of runs, joined with what they were scores of."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cmss.configuration import kept_configuration
from cmss.errors import InputError
from cmss.results import ComponentRow, ScoreRow, shard_path
from cmss.results.separation import median_sdr, read_separation
from cmss.row_file import read_rows
from cmss.scenes import Audiogram, Listener, Pair

AVERAGED_HZ = (500, 1000, 2000, 4000)
"""Frequencies of the pure-tone average (World Health Organization)."""


@dataclass(frozen=True)
class RunScores:
    """A scored run.

    Args:
        name: of its folder.
        separator: its name in the configuration.
        remix: the same; empty where nothing was taken apart.
        table: a row for each pair, in the official order; see :func:`score_table`.
        sdr: median SDR of its stems in dB, None where it has not been measured.
    """

    name: str
    separator: str
    remix: str
    table: pd.DataFrame
    sdr: float | None

    def mean(self, column: str, ensemble: str | None = None) -> float:
        """Mean of a column over all pairs, or those of one kind of ensemble; NaN without any."""
        table = self.table if ensemble is None else self.table[self.table.ensemble == ensemble]
        return float(table[column].mean())


def read_run(folder: Path, pairs: Sequence[Pair]) -> RunScores:
    """Read a run whose scores are all in one file, as merge_results.py leaves them.

    Raises:
        InputError: not a scored run, or one of other pairs.
    """
    config = kept_configuration(folder)
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
    """Scores and what they depend on.

    Returns:
        columns pair, scene, song, listener, left, right, average (HAAQI), ensemble, instruments (as
        a text), players, spread_db (of the gains), loss_db (pure-tone average of the better ear),
        clipped (samples at full scale; 0 where evaluate.py has not counted them).

    Raises:
        InputError: no scores, or of other pairs.
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
            "loss_db": hearing_loss_db(pair.listener),
            "clipped": clipped.get(key, 0),
        }
        for key, pair in zip(keys, pairs, strict=True)
    )


def hearing_loss_db(listener: Listener) -> float:
    """Pure-tone average of the better ear, dB HL."""
    return min(_average(ear.audiogram) for ear in (listener.left, listener.right))


def _average(audiogram: Audiogram) -> float:
    return float(np.mean(np.interp(AVERAGED_HZ, audiogram.frequencies_hz, audiogram.levels_db)))
