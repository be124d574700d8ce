"""What the command lines here share."""

import argparse
import math
import os
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from cmss.errors import InputError

LONGEST_S = 3600.0
"""Of an excerpt; the challenge's metadata are not read beyond."""


def at_least(
    least: float, kind: Callable[[str], float] = int, most: float = math.inf
) -> Callable[[str], float]:
    """A type for argparse that refuses numbers out of bounds, and what is not finite."""
    expected = f"{least:g} or more" if most == math.inf else f"{least:g} to {most:g}"

    def number(text: str) -> float:
        value = kind(text)
        if not least <= value <= most or value == math.inf:
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text}")
        return value

    return number


def to_path(text: str) -> Path:
    """A type for argparse: a path that is not empty, in which ~ means the home folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError(
            "expected a path, got an empty text; is a variable of the shell not set?"
        )
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from error


def real(path: Path) -> Path:
    """An absolute path without links; Path.resolve raises RuntimeError for links in a circle."""
    return Path(os.path.realpath(path))


def check_outside(out: Path, sources: Iterable[Path]) -> None:
    """Raise InputError when an output would lie in a folder that is read: the next call reads it.

    Args:
        out: file or folder to be made.
        sources: files or folders to be read.
    """
    target = real(out)
    problems = [
        f"--out {out}: lies in {source}, which is read; name a folder outside of it"
        for source in sources
        if target.is_relative_to(real(source))
    ]
    if problems:
        raise InputError(problems)


def matches(work: str, patterns: Sequence[str]) -> bool:
    """Whether a work's name matches one of some shell patterns; a bare word matches anywhere."""
    return any(
        fnmatchcase(work.lower(), (p if "*" in p or "?" in p else f"*{p}*").lower())
        for p in patterns
    )
