"""Measures SDR, SIR and SAR of the stems of a run; writes and reads the file separation.csv."""

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from cmss.errors import InputError
from cmss.files.atomic import write_text
from cmss.files.text import parse_csv, read_text
from cmss.results.bss_eval import bss_eval
from cmss.scenes import SoundFiles, Track

SEPARATION = "separation.csv"


@dataclass(frozen=True)
class SeparationRow:
    """Holds a row of separation.csv: SDR, SIR and SAR of a source in dB.

    The ratios are explained in :mod:`cmss.results.bss_eval`.
    """

    track: str
    source: str
    instrument: str
    sdr: float
    sir: float
    sar: float


COLUMNS = [field.name for field in fields(SeparationRow)]


def measure(
    track: Track, stems: Mapping[str, NDArray[np.float32]], sounds: SoundFiles
) -> list[SeparationRow]:
    """Measure SDR, SIR and SAR of each source of a track; silent sources are left out.

    Args:
        track: track with the ground truth stems and the mixture.
        stems: dict from the id of a source to its estimated stem (2, samples). If the dict is
            empty, the mixture is used as the estimate of each stem. SDR, SIR and SAR then describe
            the mixture before separation.
        sounds: cache that reads the ground truth stems and the mixture.
    """
    sources = track.sources
    true = {key: sounds.excerpt(source.excerpt) for key, source in sources.items()}
    estimates = stems or dict.fromkeys(true, sounds.excerpt(track.mixture))
    ratios = bss_eval(true, estimates, sounds.sample_rate_hz)
    return [
        SeparationRow(track.name, key, sources[key].instrument, ratio.sdr, ratio.sir, ratio.sar)
        for key, ratio in ratios.items()
    ]


def write_separation(folder: Path, rows: Iterable[SeparationRow]) -> None:
    """Write separation.csv to the folder of a run, and replace an existing file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *map(astuple, rows)])
    write_text(folder / SEPARATION, text.getvalue())


def read_separation(folder: Path) -> list[SeparationRow]:
    """Read separation.csv from the folder of a run.

    Returns:
        The rows of the file; empty if the file does not exist.

    Raises:
        InputError: the file does not have the expected columns and values.
    """
    path = folder / SEPARATION
    if not path.exists():
        return []
    try:
        header, *lines = parse_csv(read_text(path))
        if header != COLUMNS:
            raise ValueError(f"columns {','.join(header)}, expected {','.join(COLUMNS)}")
        return [
            SeparationRow(track, source, instrument, *map(float, ratios))
            for track, source, instrument, *ratios in lines
        ]
    except (ValueError, TypeError, csv.Error) as error:
        raise InputError(f"{path}: not a table of separated sources ({error})") from error


def median_sdr(rows: Iterable[SeparationRow]) -> float:
    """Return the median SDR of all sources in dB; NaN if there are no sources."""
    found = [row.sdr for row in rows if not math.isnan(row.sdr)]
    return median(found) if found else math.nan
