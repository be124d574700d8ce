"""Options that several command lines of this package share."""

import argparse
import math
import os
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from cmss.errors import InputError

LONGEST_S = 3600.0
"""Longest excerpt in seconds; :mod:`cmss.scenes` refuses longer ones."""


def command_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help text is the docstring of a command, `metadata_tools.<name>`."""
    return argparse.ArgumentParser(
        prog=f"python -m metadata_tools.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def at_least(
    least: float, kind: Callable[[str], float] = int, most: float = math.inf
) -> Callable[[str], float]:
    """Return a type for argparse that accepts finite numbers from `least` to `most`."""
    expected = f"{least:g} or more" if most == math.inf else f"{least:g} to {most:g}"

    def number(text: str) -> float:
        value = kind(text)
        if not least <= value <= most or value == math.inf:
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text}")
        return value

    return number


def to_path(text: str) -> Path:
    """Convert an argument to a path; a type for argparse, in which ~ means the home folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError(
            "expected a path, got an empty text; is a variable of the shell not set?"
        )
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from error


def real(path: Path) -> Path:
    """Return the absolute path without links; Path.resolve raises RuntimeError if links loop."""
    return Path(os.path.realpath(path))


def check_outside(out: Path, sources: Iterable[Path]) -> None:
    """Check that an output is not in a folder that is read: the next call would read it.

    Args:
        out: file or folder to be created.
        sources: files or folders to be read.

    Raises:
        InputError: the output is in one of the sources.
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
    """Return whether the name of a work matches a shell pattern, or contains a word."""
    return any(
        fnmatchcase(work.lower(), (p if "*" in p or "?" in p else f"*{p}*").lower())
        for p in patterns
    )


def split_of(work: str, options: argparse.Namespace, otherwise: str) -> str:
    """Return the split of a work.

    Test has priority, so that no work is in two splits.

    Args:
        work: its name.
        options: with `valid_works` and `test_works`, patterns for :func:`matches`.
        otherwise: split of works that match no pattern.
    """
    if matches(work, options.test_works):
        return "test"
    return "valid" if matches(work, options.valid_works) else otherwise
