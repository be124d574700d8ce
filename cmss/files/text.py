"""Text files that a person may have saved, with whatever editor or spreadsheet on whatever system.

Text is read as UTF-8. A byte order mark says otherwise: Windows writes one before UTF-8, and before
what its programs call Unicode, which is UTF-16. Text in any other encoding is refused and not
guessed: every byte is a letter in Latin-1, so that a wrong guess would go unnoticed.
"""

import codecs
import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cmss.errors import InputError

# UTF-32 before UTF-16, whose little-endian mark is the beginning of the other's.
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


@dataclass(frozen=True)
class Table:
    """A CSV file with a header.

    Args:
        columns: the header.
        rows: number of the line in the file, and cell by column.
    """

    columns: list[str]
    rows: list[tuple[int, dict[str, str]]]


def read_text(path: Path) -> str:
    """Read a text file; line ends as in the file.

    Raises:
        InputError: neither UTF-8 nor marked as UTF-16 or UTF-32.
        OSError: it cannot be read.
    """
    return decode(path.read_bytes(), path)


def decode(data: bytes, path: Path, encoding: str = "utf-8") -> str:
    """Text without its byte order mark.

    Args:
        data: content of a file.
        path: of the file, for the message.
        encoding: of a file without a mark, where the file itself says so.

    Raises:
        InputError: the bytes are not in that encoding.
    """
    mark = next((mark for mark in _MARKS if data.startswith(mark)), b"")
    encoding = _MARKS.get(mark, encoding)
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        position = len(mark) + error.start
    else:
        # Valid UTF-8, but no text has it: UTF-16 without a mark, or a hole in a damaged file.
        if "\0" not in text:
            return text
        position = len(mark) + len(text[: text.index("\0")].encode(encoding))
    raise InputError(
        f"{path}: byte {position} (0x{data[position]:02x}): not {encoding.upper()} text; "
        "save it as UTF-8"
    )


def is_foreign(data: bytes) -> bool:
    """Whether a file that this project had written was saved again by another program."""
    return data.startswith(tuple(_MARKS)) or b"\r" in data


def parse_csv(text: str) -> list[list[str]]:
    """Cells of a CSV text with line ends of any system.

    Raises:
        csv.Error: a quotation mark is not closed, or text follows a closed one.
    """
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def read_table(path: Path, required: Iterable[str]) -> Table:
    """Read a CSV file with a header; empty lines are skipped.

    Args:
        required: columns that it must have; others may be there, in any order.

    Raises:
        InputError: everything found wrong, one line each: not a CSV file, a column missing or
            twice, or a line with more or fewer cells than the header.
        OSError: it cannot be read.
    """
    try:
        lines = parse_csv(read_text(path))
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV file: {error}") from error
    columns = [name.strip() for name in lines[0]] if lines else []
    missing = [name for name in required if name not in columns]
    if missing:
        hint = ""
        if ";" in "".join(columns):
            hint = "; cells are separated by semicolons, expected commas"
        raise InputError(f"{path}: column missing: {', '.join(missing)}{hint}")
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        raise InputError(f"{path}: column {', '.join(twice)} appears twice, expected once")
    rows, problems = [], []
    for number, cells in enumerate(lines[1:], start=2):
        if not any(cells):
            continue
        if len(cells) == len(columns):
            rows.append((number, dict(zip(columns, cells, strict=True))))
        else:
            problems.append(f"{path}, line {number}: {len(cells)} cells, expected {len(columns)}")
    if problems:
        raise InputError(problems)
    return Table(columns, rows)
