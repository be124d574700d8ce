"""SDR, SIR and SAR of the sources of a run's tracks, and their file, separation.csv."""

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
    """Ratios of a source of a track in dB, see :class:`cmss.results.bss_eval.Ratios`."""

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
    """Measure the separation of each source of a track that is not silent.

    Args:
        track: has the ground truth stems and the mixture.
        stems: source id -> estimate (2, samples). If empty, the mixture is evaluated as the
            estimate of each stem: the values before any separation.
        sounds: reads ground truth stems and mixture.
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
    """Write the file of a run, and replace an existing file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *map(astuple, rows)])
    write_text(folder / SEPARATION, text.getvalue())


def read_separation(folder: Path) -> list[SeparationRow]:
    """Read the rows of a run; empty if the file does not exist.

    Raises:
        InputError: the file is not a table of separated sources.
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
    """Return the median SDR over sources in dB, the usual measure; NaN without sources."""
    found = [row.sdr for row in rows if not math.isnan(row.sdr)]
    return median(found) if found else math.nan
