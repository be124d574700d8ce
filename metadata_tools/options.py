"""What the command lines here share."""

import argparse
import sys
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from cmss.errors import InputError


def at_least(least: float, kind: Callable[[str], float] = int) -> Callable[[str], float]:
    """A type for argparse that refuses smaller numbers."""

    def number(text: str) -> float:
        value = kind(text)
        if not value >= least:
            raise argparse.ArgumentTypeError(f"expected {least} or more")
        return value

    return number


def exit_status(program: str, work: Callable[[], None]) -> int:
    """Do some work: 0 if it went well, 2 and a line for each problem if its input is no good."""
    try:
        work()
    except InputError as error:
        for problem in error.problems:
            print(f"{program}: {problem}", file=sys.stderr)
        return 2
    return 0


def matches(work: str, patterns: Sequence[str]) -> bool:
    """Whether a work's name matches one of some shell patterns; a bare word matches anywhere."""
    return any(
        fnmatchcase(work.lower(), (p if "*" in p or "?" in p else f"*{p}*").lower())
        for p in patterns
    )
