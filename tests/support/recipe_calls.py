"""Calls of recipes in this process, as from the command line, and checks of how they ended.

With any input, a recipe succeeds, or reports the wrong key in one line. A new process for each call
would take seconds for imports.
"""

import io
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from cmss.run.choices import add_choices
from tests.support.stages import run_in_this_process

CONFIGURATIONS = {"enhance": "config", "evaluate": "config", "merge_results": "config"}
"""Names of configurations that differ from the name of the recipe."""


@dataclass(frozen=True)
class Ended:
    """Result of a call.

    Args:
        status: exit status; None after an exception.
        stdout: standard output.
        stderr: standard error, or the traceback.
    """

    status: int | None
    stdout: str
    stderr: str


def call(recipe: str, *words: str, cwd: Path) -> Ended:
    """Run `python recipes/cad2/<recipe>.py WORDS` in a folder, within this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), _restored(cwd):
        status = run_in_this_process(recipe, *words)
    return Ended(status, out.getvalue(), err.getvalue())


@contextmanager
def _restored(cwd: Path) -> Iterator[None]:
    """Enter a folder; at the end, restore what a call changes in the process."""
    before = sys.argv, Path.cwd(), dict(os.environ), logging.root.handlers[:], logging.root.level
    os.chdir(cwd)
    try:
        yield
    finally:
        sys.argv = before[0]
        os.chdir(before[1])
        os.environ.clear()
        os.environ.update(before[2])
        # Hydra's write to the standard output of the call.
        logging.root.handlers[:] = before[3]
        logging.root.setLevel(before[4])


def keys(recipe: str, *words: str) -> list[str]:
    """Return the full keys of all sections and values of a recipe's configuration, in order.

    Args:
        recipe: enhance, evaluate, merge_results, train, fit, fit_postfilter or fit_dictionaries.
        words: choices of other groups, such as separator=nmf.
    """
    add_choices()
    with initialize_config_module("cmss.conf", version_base=None):
        config = compose(CONFIGURATIONS.get(recipe, recipe), list(words))
    return list(_keys(OmegaConf.to_container(config, resolve=False), ""))


def _keys(section: Any, prefix: str) -> Iterator[str]:
    for name, value in section.items():
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{name}.")


def complaint(ended: Ended, given: Sequence[str]) -> str | None:
    """Return what is wrong with the end of a call; None if nothing is wrong.

    Args:
        ended: the call.
        given: its words KEY=VALUE under test, at least one.
    """
    if ended.status not in (0, 1, 2) or "Traceback" in ended.stderr:
        return f"{' '.join(given)}: a traceback\n{ended.stderr}"
    if ended.status and not blamed(ended, given):
        return f"{' '.join(given)}: status {ended.status}, and no line names a key\n{ended.stderr}"
    return None


def blamed(ended: Ended, given: Sequence[str]) -> list[str]:
    """Return the words whose key or file is in a line on standard error."""
    lines = ended.stderr.splitlines()
    return [word for word in given if any(_names(line, word) for line in lines)]


def _names(line: str, word: str) -> bool:
    key, _, value = word.partition("=")
    if key in line:
        return True
    # A missing file is reported by its own path.
    return len(value) > 3 and value.strip("'\"[]") in line
