"""A CSV file that grows by whole rows, one for each pair of scene and listener.

A run of hours is killed sooner or later. Each row goes to disk in one write before the next is
computed, so that all that can be lost is the row in hand: a last line without its line end is
dropped on reading, and the next run goes on behind the last whole one.
"""

import csv
import io
import math
import os
from collections.abc import Iterable, Set
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Generic, TypeVar, get_type_hints

from cmss.errors import InputError
from cmss.files.atomic import flush_to_disk, write_text
from cmss.files.text import decode, is_foreign, parse_csv


@dataclass(frozen=True)
class PairRow:
    """What a row begins with, in the official order; a kind of row adds its own numbers."""

    scene: str
    song: str
    listener: str

    @property
    def key(self) -> tuple[str, str]:
        """Scene and listener, which a file holds once."""
        return self.scene, self.listener

    @property
    def pair(self) -> str:
        """Name of its pair of scene and listener."""
        return f"{self.scene}_{self.listener}"

    def not_finite(self) -> list[str]:
        """The columns that hold NaN or infinity."""
        return [
            name
            for name, value in asdict(self).items()
            if isinstance(value, float) and not math.isfinite(value)
        ]


Row = TypeVar("Row", bound=PairRow)


def columns(row_type: type[PairRow]) -> list[str]:
    """The header: the names of the fields, in their order."""
    return [field.name for field in fields(row_type)]


def read_rows(path: Path, row_type: type[Row]) -> list[Row]:
    """All whole rows of a file; what a killed run left of its last one is passed over.

    Raises:
        InputError: not readable, another header, or rows that do not fit it.
    """
    return _parse(path, _complete_lines(path)[0], row_type)


def write_rows(path: Path, row_type: type[Row], rows: Iterable[Row]) -> None:
    """Write a whole file at once, replacing what is there."""
    write_text(path, _csv_lines([columns(row_type), *map(astuple, rows)]))


def _csv_lines(lines: Iterable[Iterable[object]]) -> str:
    # The csv module writes a float with the digits that it takes to read the same float back.
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def _complete_lines(path: Path) -> tuple[bytes, bool]:
    """The whole lines of a file, and whether it has them as they are written here.

    A file that somebody has looked at in a spreadsheet and saved there may have a byte order mark
    and other line ends; the official evaluation ends its lines with both characters.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    if is_foreign(data):
        text = decode(data, path).replace("\r\n", "\n").replace("\r", "\n")
        return text[: text.rfind("\n") + 1].encode(), False
    return data[: data.rfind(b"\n") + 1], True


def _parse(path: Path, data: bytes, row_type: type[Row]) -> list[Row]:
    expected = columns(row_type)
    try:
        lines = parse_csv(decode(data, path))
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV file: {error}") from error
    if lines[:1] != [expected]:
        found = ",".join(lines[0]) if lines else "none"
        raise InputError(f"{path}: columns {found}, expected {','.join(expected)}")
    types = get_type_hints(row_type)
    rows, problems = [], []
    for number, cells in enumerate(lines[1:], start=2):
        if len(cells) != len(expected):
            problems.append(f"{path}: row {number}: {len(cells)} cells, expected {len(expected)}")
            continue
        try:
            values = [types[name](cell) for name, cell in zip(expected, cells, strict=True)]
        except ValueError as error:
            problems.append(f"{path}: row {number}: {error}")
            continue
        rows.append(row_type(*values))
    if problems:
        raise InputError(problems)
    return rows


class RowFile(Generic[Row]):
    """A file of rows, open at its end; nothing is written before the first of its methods.

    Args:
        path: made, with its header, when it is missing.
        kind: the record that a row holds.

    Attributes:
        rows: by pair, those of earlier runs and those appended since.

    Raises:
        InputError: the file is there and holds something else.
    """

    def __init__(self, path: Path, row_type: type[Row]) -> None:
        self.path = path
        self._row_type = row_type
        whole, ours = _complete_lines(path) if path.exists() else (b"", True)
        self.rows = {row.key: row for row in (_parse(path, whole, row_type) if whole else [])}
        # 0 for a file that is to be written anew before anything is appended to it.
        self._end = len(whole) if ours else 0
        self._ready = False

    def keep(self, keys: Set[tuple[str, str]]) -> None:
        """Drop the rows of all other pairs, and what a killed run left of its last row."""
        kept = [row for key, row in self.rows.items() if key in keys]
        if len(kept) < len(self.rows) or not self._end:
            self._rewrite(kept)
        elif not self._ready:
            os.truncate(self.path, self._end)
        self._ready = True

    def append(self, row: Row) -> None:
        """Add one row; it is on disk when this returns.

        Raises:
            ValueError: NaN or infinity, or a pair that the file has already.
            OSError: it cannot be written; nothing of the row stays.
        """
        where = f"{self.path}: scene {row.scene}, listener {row.listener}"
        if row.not_finite():
            raise ValueError(f"{where}: {', '.join(row.not_finite())} not finite")
        if row.key in self.rows:
            raise ValueError(f"{where}: has a row already")
        if not self._ready:
            self.keep(self.rows.keys())
        line = _csv_lines([astuple(row)]).encode("utf-8")
        with self.path.open("ab", buffering=0) as file:
            end = file.tell()
            try:
                while line:
                    line = line[file.write(line) :]
                flush_to_disk(file.fileno())
            except OSError as error:
                os.truncate(self.path, end)
                raise OSError(error.errno, error.strerror, str(self.path)) from error
        self.rows[row.key] = row

    def put_in_order(self, keys: Iterable[tuple[str, str]]) -> None:
        """Order the rows as these pairs, of which each row must be one."""
        ordered = [self.rows[key] for key in keys if key in self.rows]
        if ordered != list(self.rows.values()):
            self._rewrite(ordered)

    def _rewrite(self, rows: list[Row]) -> None:
        write_rows(self.path, self._row_type, rows)
        self._end = self.path.stat().st_size
        self.rows = {row.key: row for row in rows}
