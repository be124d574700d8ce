"""Defines options that several commands of this package have in common."""

import argparse
import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from cmss.command_line import started_as
from cmss.errors import InputError
from cmss.rendering.held_out import matches

LONGEST_S = 3600.0
"""Maximum duration of an excerpt in seconds that :mod:`cmss.scenes` accepts."""


def command_parser(
    name: str, description: str | None, command: str = ""
) -> argparse.ArgumentParser:
    """Return a parser for the command `python -m metadata_tools.<name>`.

    Args:
        name: name of the module.
        description: help text.
        command: name of the command of the console script `cmss` that runs the module; empty if
            there is no such command.
    """
    module = f"metadata_tools.{name}"
    program = started_as(module, command)
    return argparse.ArgumentParser(
        prog=program,
        description=description and description.replace(f"python -m {module}", program),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def samples_parser(name: str, description: str | None, contents: str) -> argparse.ArgumentParser:
    """Return a parser for a command that makes a folder of notes from a folder of samples.

    Args:
        name, description: see :func:`command_parser`.
        contents: help text of the option --samples.
    """
    parser = command_parser(name, description)
    add = parser.add_argument
    add("--samples", type=to_path, required=True, metavar="DIR", help=contents)
    add("--out", type=to_path, required=True, metavar="NOTES", help="path of the new folder")
    return parser


def at_least(
    least: float, kind: Callable[[str], float] = int, most: float = math.inf
) -> Callable[[str], float]:
    """Return an argparse type that accepts finite numbers from `least` to `most`."""
    expected = f"{least:g} or more" if most == math.inf else f"{least:g} to {most:g}"

    def number(text: str) -> float:
        value = kind(text)
        if not least <= value <= most or value == math.inf:
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text}")
        return value

    return number


def to_path(text: str) -> Path:
    """Convert a command-line argument to a path, where ~ stands for the home folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError(
            "expected a path, got an empty text; is a variable of the shell not set?"
        )
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from error


def real(path: Path) -> Path:
    """Return the absolute path, with symbolic links resolved.

    Path.resolve would raise RuntimeError if the links form a loop.
    """
    return Path(os.path.realpath(path))


def check_outside(out: Path, sources: Iterable[Path]) -> None:
    """Check that an output is not in an input folder, where the next call would read the output.

    Args:
        out: file or folder that will be created.
        sources: files and folders that will be read.

    Raises:
        InputError: the output is in one of the sources.
    """
    target = real(out)
    problems = [
        f"--out {out}: lies in the input {source}; choose a folder outside the input"
        for source in sources
        if target.is_relative_to(real(source))
    ]
    if problems:
        raise InputError(problems)


def split_of(work: str, options: argparse.Namespace, otherwise: str) -> str:
    """Return the split (train, valid or test) to which a musical work belongs.

    If a work matches the patterns of both valid and test, the work belongs only to the split test.
    Therefore, no work is in two splits.

    Args:
        work: name of the work.
        options: options whose `valid_works` and `test_works` are patterns for
            :func:`cmss.rendering.held_out.matches`.
        otherwise: split of works that match no pattern.
    """
    if matches(work, options.test_works):
        return "test"
    return "valid" if matches(work, options.valid_works) else otherwise
