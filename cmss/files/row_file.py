"""Reads and extends a CSV file that has a row for each pair of scene and listener.

A long run can be interrupted at any time. Each row is written to disk before the next row is
computed, so that at most the last row is lost. A last line without a line end is ignored, and the
next run continues after the last complete row.
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
    """Holds the first columns of a row in the challenge's order; subclasses add more columns."""

    scene: str
    song: str
    listener: str

    @property
    def key(self) -> tuple[str, str]:
        """The scene and the listener of the row; a file has at most one row for each such pair."""
        return self.scene, self.listener

    @property
    def pair(self) -> str:
        """Name of the pair of scene and listener."""
        return f"{self.scene}_{self.listener}"

    def not_finite(self) -> list[str]:
        """Return the names of the columns whose values are NaN or infinite."""
        return [
            name
            for name, value in asdict(self).items()
            if isinstance(value, float) and not math.isfinite(value)
        ]


Row = TypeVar("Row", bound=PairRow)


def columns(row_type: type[PairRow]) -> list[str]:
    """Return the header of a file: the names of the row's fields in order."""
    return [field.name for field in fields(row_type)]


def read_rows(path: Path, row_type: type[Row]) -> list[Row]:
    """Read the complete rows of a file; an incomplete last row is ignored.

    Raises:
        InputError: the file cannot be read, has another header, or has rows that do not fit the
            header.
    """
    return _parse(path, _complete_lines(path)[0], row_type)


def write_rows(path: Path, row_type: type[Row], rows: Iterable[Row]) -> None:
    """Write a file with a header and rows; an existing file is replaced."""
    write_text(path, _csv_lines([columns(row_type), *map(astuple, rows)]))


def _csv_lines(lines: Iterable[Iterable[object]]) -> str:
    # The csv module writes so many digits that reading gives exactly the same float.
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def _complete_lines(path: Path) -> tuple[bytes, bool]:
    """Return the complete lines of a file, and whether the file has this module's format.

    Spreadsheets may save a file with a byte order mark and other line ends, and the challenge's
    evaluation program writes Windows line ends. If another program has saved the file, the lines
    are converted, and the second result is False.
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
    """A CSV file to which rows can be appended; nothing is written before the first method call.

    Args:
        path: path of the file; a file that does not exist is created with a header.
        row_type: type of the rows.

    Attributes:
        rows: dict from the key of a pair to its row, with the rows of earlier runs and of this run.

    Raises:
        InputError: the file exists, but does not contain rows of this type.
    """

    def __init__(self, path: Path, row_type: type[Row]) -> None:
        self.path = path
        self._row_type = row_type
        lines, is_ours = _complete_lines(path) if path.exists() else (b"", True)
        self.rows = {row.key: row for row in (_parse(path, lines, row_type) if lines else [])}
        # Length of the complete lines; 0 if the file must be rewritten before a row is appended.
        self._end = len(lines) if is_ours else 0
        self._ready = False

    def keep(self, keys: Set[tuple[str, str]]) -> None:
        """Delete all rows whose pairs are not in `keys`, and an incomplete last row."""
        kept = [row for key, row in self.rows.items() if key in keys]
        if len(kept) < len(self.rows) or not self._end:
            self._rewrite(kept)
        elif not self._ready:
            os.truncate(self.path, self._end)
        self._ready = True

    def append(self, row: Row) -> None:
        """Append a row; when this method returns, the row is on disk.

        Raises:
            ValueError: the row has a NaN or infinite value, or the file already has a row of the
                same pair.
            OSError: the row cannot be written; the file is unchanged.
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
        """Sort the rows in the order of `keys`, which must include the pairs of all rows."""
        ordered = [self.rows[key] for key in keys if key in self.rows]
        if ordered != list(self.rows.values()):
            self._rewrite(ordered)

    def _rewrite(self, rows: list[Row]) -> None:
        write_rows(self.path, self._row_type, rows)
        self._end = self.path.stat().st_size
        self.rows = {row.key: row for row in rows}
