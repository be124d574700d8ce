"""Finds the results in the folder of the desk, and their files."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

RESULT, STEMS = "result.json", "stems"
"""Name of the file that describes a result, and of the folder with its stems."""


@dataclass(frozen=True)
class Result:
    """A recording that has been separated.

    Args:
        title: name of the recording.
        players: names of the players.
        hearing: name of the audiogram, see :class:`cmss.desk.orders.Order`.
        made: time at which the result was complete, in seconds since 1970.
        seconds: length of the recording.
    """

    title: str
    players: list[str]
    hearing: str
    made: int
    seconds: float


def results(folder: Path) -> Iterator[tuple[str, Result]]:
    """Yield the name and the description of each result in a folder, the latest first."""
    found = {path.name: result for path in _folders(folder) if (result := _read(path))}
    yield from sorted(found.items(), key=lambda item: (item[1].made, item[0]), reverse=True)


def file_of(folder: Path, name: str, words: str) -> Path | None:
    """Return a file of a result; None if there is no such file.

    The path is composed only of names that are found in the folders, so that no request leads to
    another folder.

    Args:
        folder: folder of the desk.
        name: name of the result.
        words: path of the file within the result, from a request.
    """
    for path in _folders(folder):
        if path.name == name and _read(path):
            files = [path / "index.html", *(path / STEMS).glob("*.flac")]
            for file in files:
                regular = file.is_file() and not file.is_symlink()
                if regular and file.relative_to(path).as_posix() == words:
                    return file
    return None


def described(folder: Path, name: str, result: Result) -> dict[str, Any]:
    """Return the description of a result for the page of the desk."""
    stems = sorted((folder / name / STEMS).glob("*.flac"))
    files = [{"name": path.name, "bytes": path.stat().st_size} for path in stems]
    return {"name": name, **vars(result), "files": files}


def _folders(folder: Path) -> Iterator[Path]:
    """Yield the folders of possible results; names of unfinished ones begin with a dot."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
            yield path


def _read(folder: Path) -> Result | None:
    """Return the description in a folder; None if there is none, or if it is damaged."""
    try:
        values = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        return Result(**{field.name: values[field.name] for field in fields(Result)})
    except (OSError, ValueError, KeyError, TypeError):
        return None
