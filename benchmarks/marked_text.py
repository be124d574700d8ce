"""Replaces the text between two marks in a file, for example a table in the documentation."""

from pathlib import Path

from cmss.errors import InputError
from cmss.files.atomic import write_text
from cmss.files.text import read_text


def split_at_marks(path: Path, name: str) -> tuple[str, str]:
    """Return the text up to the end of the first mark, and the text from the second mark on.

    Raises:
        InputError: a mark is missing or appears twice, or the second mark precedes the first mark.
    """
    begin, end = (f"<!-- {name}: {word} -->" for word in ("begin", "end"))
    content = read_text(path)
    before, *rest = content.split(begin)
    if len(rest) != 1 or rest[0].count(end) != 1:
        raise InputError(f"{path}: expected {begin} and {end}, once each")
    return before + begin, end + rest[0].split(end)[1]


def replace_marked(path: Path, name: str, text: str) -> None:
    """Replace the text between two marks of a file.

    Args:
        path: path of the file.
        name: name that both marks contain, such as `benchmarks.systems demo`.
        text: new text, which must end with a newline.

    Raises:
        InputError: a mark is missing or appears twice, or the second mark precedes the first mark.
    """
    before, after = split_at_marks(path, name)
    write_text(path, f"{before}\n\n{text}\n{after}")
