"""Finds the results in the folder of the desk, and the files of each result."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

RESULT, STEMS = "result.json", "stems"
"""Names of the description file and of the stems folder in the folder of a result."""


@dataclass(frozen=True)
class Result:
    """Holds the description of a separated recording.

    Args:
        title: name of the recording.
        players: names of the players.
        hearing: name of the audiogram; see :class:`cmss.desk.orders.Order`.
        made: time when the result was completed, in seconds since 1970.
        seconds: length of the recording in seconds.
    """

    title: str
    players: list[str]
    hearing: str
    made: int
    seconds: float


def results(folder: Path) -> Iterator[tuple[str, Result]]:
    """Yield the name and the description of each result in a folder, newest first."""
    found = {path.name: result for path in _folders(folder) if (result := _read(path))}
    yield from sorted(found.items(), key=lambda item: (item[1].made, item[0]), reverse=True)


def file_of(folder: Path, name: str, words: str) -> Path | None:
    """Return the path of a file of a result, or None if there is no such file.

    The function compares the request with the files that exist in the folder of the result.
    Therefore a request cannot reach files in other folders.

    Args:
        folder: folder of the desk.
        name: name of the result.
        words: path in the request, relative to the folder of the result.
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
    """Yield the folders that may be results. Names of unfinished results begin with a dot."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
            yield path


def _read(folder: Path) -> Result | None:
    """Return the description in a folder, or None if the description is missing or damaged."""
    try:
        values = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        return Result(**{field.name: values[field.name] for field in fields(Result)})
    except (OSError, ValueError, KeyError, TypeError):
        return None
