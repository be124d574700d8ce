"""Rows of results, one for each pair, and the names of their files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmss.haaqi import Haaqi
from cmss.row_file import PairRow
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


@dataclass(frozen=True)
class FingerprintRow(PairRow):
    """What a score was made from, see :mod:`cmss.fingerprint`."""

    fingerprint: str

    @classmethod
    def of(cls, pair: Pair, fingerprint: str) -> "FingerprintRow":
        """The row of a pair."""
        return cls(*_names(pair), fingerprint)


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
