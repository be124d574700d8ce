"""How well the sources of a run's tracks were separated: its file, separation.csv."""

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from statistics import median

from cmss.atomic import write_text
from cmss.errors import InputError

SEPARATION = "separation.csv"


@dataclass(frozen=True)
class SeparationRow:
    """Ratios of one source of a track in dB, see :class:`cmss.bss_eval.Ratios`."""

    track: str
    source: str
    instrument: str
    sdr: float
    sir: float
    sar: float


COLUMNS = [field.name for field in fields(SeparationRow)]


def write_separation(folder: Path, rows: Iterable[SeparationRow]) -> None:
    """Write the file of a run, replacing what is there."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *map(astuple, rows)])
    write_text(folder / SEPARATION, text.getvalue())


def read_separation(folder: Path) -> list[SeparationRow]:
    """The rows of a run; none where it has no such file.

    Raises:
        InputError: the file holds something else.
    """
    path = folder / SEPARATION
    if not path.exists():
        return []
    try:
        header, *lines = csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))
        if header != COLUMNS:
            raise ValueError(f"columns {','.join(header)}, expected {','.join(COLUMNS)}")
        return [
            SeparationRow(track, source, instrument, *map(float, ratios))
            for track, source, instrument, *ratios in lines
        ]
    except (ValueError, TypeError, csv.Error) as error:
        raise InputError(f"{path}: not a table of separated sources ({error})") from error


def median_sdr(rows: Iterable[SeparationRow]) -> float:
    """Median SDR over sources in dB, as separation is reported; NaN without any."""
    found = [row.sdr for row in rows if not math.isnan(row.sdr)]
    return median(found) if found else math.nan
