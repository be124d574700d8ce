"""Reads text files that users have saved with any editor or spreadsheet.

Text is read as UTF-8. If the file begins with the byte order mark of UTF-16 or UTF-32, the text is
read in this encoding. Programs on Windows write byte order marks. Files in other encodings are
refused. The encoding is not guessed: every byte is a valid character in Latin-1, so a wrong guess
would not be noticed.
"""

import codecs
import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cmss.errors import InputError

# UTF-32 precedes UTF-16, because the little-endian mark of UTF-32 begins with that of UTF-16.
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
        columns: names of the columns, from the header.
        rows: for each row, the line number in the file, and a dict from column name to cell.
    """

    columns: list[str]
    rows: list[tuple[int, dict[str, str]]]


def read_text(path: Path) -> str:
    """Read a text file; line ends are not changed.

    Raises:
        InputError: the text is not UTF-8, and has no byte order mark of UTF-16 or UTF-32.
        OSError: the file cannot be read.
    """
    return decode(path.read_bytes(), path)


def decode(data: bytes, path: Path, encoding: str = "utf-8") -> str:
    """Decode the content of a text file; a byte order mark is removed.

    Args:
        data: content of the file.
        path: path of the file, for the message.
        encoding: encoding of data without a byte order mark.

    Raises:
        InputError: the bytes are not valid in the encoding.
    """
    mark = next((mark for mark in _MARKS if data.startswith(mark)), b"")
    encoding = _MARKS.get(mark, encoding)
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        position = len(mark) + error.start
    else:
        # NUL is valid in UTF-8, but it indicates UTF-16 without a mark, or a damaged file.
        if "\0" not in text:
            return text
        position = len(mark) + len(text[: text.index("\0")].encode(encoding))
    raise InputError(
        f"{path}: byte {position} (0x{data[position]:02x}): not {encoding.upper()} text; "
        "save it as UTF-8"
    )


def is_foreign(data: bytes) -> bool:
    """Return whether another program saved a file.

    Files that this package writes have no byte order mark and no carriage return.
    """
    return data.startswith(tuple(_MARKS)) or b"\r" in data


def parse_csv(text: str) -> list[list[str]]:
    """Return the cells of a CSV text; line ends of all systems are accepted.

    Raises:
        csv.Error: a quotation mark is not closed, or text follows a closing quotation mark.
    """
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def read_table(path: Path, required: Iterable[str]) -> Table:
    """Read a CSV file with a header; empty lines are skipped.

    Args:
        path: path of the file.
        required: names of the required columns. The file may have other columns, and the order of
            the columns is arbitrary.

    Raises:
        InputError: the file is not a CSV file, a column is missing or appears twice, or lines have
            more or fewer cells than the header. The message reports each wrong line of the file.
        OSError: the file cannot be read.
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
