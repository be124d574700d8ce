"""What a target of the fuzzing is."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st


@dataclass(frozen=True)
class Target:
    """Inputs, and the program that reads them.

    Args:
        name: for the table.
        inputs: of what JSON can store, so that an input can be replayed.
        prepare: makes the files of an input in an empty folder, in the process that forks.
        work: runs the program on them in the current folder; the exit status.
        key: what of an input findings are grouped by.
        is_long: whether an input rightly asks for more work than the limits on time allow.
    """

    name: str
    inputs: st.SearchStrategy[Any]
    prepare: Callable[[Any, Path], None]
    work: Callable[[Any], int | str | None]
    key: Callable[[Any], str]
    is_long: Callable[[Any], bool] = lambda _: False
