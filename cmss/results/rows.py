"""Defines the file names of results, and the rows of these files; each pair has one row."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmss.files.row_file import PairRow
from cmss.hearing.haaqi import Haaqi
from cmss.scenes import Pair

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
    """Holds a row of scores.csv: HAAQI of a pair, in the columns of the official evaluation."""

    left_haaqi: float
    right_haaqi: float
    avg_haaqi: float

    @classmethod
    def of(cls, pair: Pair, left_haaqi: float, right_haaqi: float) -> "ScoreRow":
        """Build the row of a pair; the average is computed from both ears."""
        left, right = float(left_haaqi), float(right_haaqi)
        return cls(*_names(pair), left, right, (left + right) / 2)


@dataclass(frozen=True)
class ComponentRow(PairRow):
    """Holds a row of components.csv: components of HAAQI, and the number of clipped samples.

    The components are explained in :class:`Haaqi`. A clipped sample is a sample at full scale.
    """

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
        """Build the row of a pair."""
        terms: dict[str, Any] = {
            f"{side}_{name}": float(getattr(ear, name))
            for side, ear in (("left", left), ("right", right))
            for name in COMPONENTS
        }
        return cls(*_names(pair), **terms, clipped_samples=int(clipped_samples))


@dataclass(frozen=True)
class FingerprintRow(PairRow):
    """Holds a row of fingerprints.csv, the fingerprint of a pair (:mod:`cmss.fingerprint`)."""

    fingerprint: str

    @classmethod
    def of(cls, pair: Pair, fingerprint: str) -> "FingerprintRow":
        """Build the row of a pair."""
        return cls(*_names(pair), fingerprint)


def _names(pair: Pair) -> tuple[str, str, str]:
    return pair.scene.id, pair.scene.track.name, pair.listener.id


def shard_path(folder: Path, table: str, batch: int = 0, batch_size: int = 1) -> Path:
    """Return the path of the results file of a shard, with the official name.

    Args:
        folder: the run's folder.
        table: beginning of the file name, such as "scores".
        batch: index of the shard, from 0.
        batch_size: number of shards; the argument has the name of the official setting.
    """
    return folder / (f"{table}.csv" if batch_size == 1 else f"{table}_{batch + 1}-{batch_size}.csv")
