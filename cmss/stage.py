"""What every stage does around its work: messages and exit status for what the user gave."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, MissingMandatoryValue

from cmss.errors import InputError

LINES_SHOWN = 20


def stage(work: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    """Wrap what hydra.main runs, so that bad input ends it with status 2 and a line a problem.

    To be put under ``@hydra.main``, which turns any exception that reaches it into a traceback
    and status 1; SystemExit it lets through.
    """

    @wraps(work)
    def guarded(config: DictConfig) -> Any:
        try:
            return work(config)
        except (MissingMandatoryValue, InterpolationToMissingValueError):
            # The error may name a key that is made from the missing one, such as path.train_file.
            report(
                InputError(
                    f"{key}: missing, expected {key}=VALUE on the command line"
                    for key in sorted(OmegaConf.missing_keys(config))
                )
            )
            sys.exit(2)
        except InputError as error:
            report(error)
            sys.exit(2)

    return guarded


def report(error: InputError) -> None:
    """Print the problems on standard error, the first of them if there are many."""
    for problem in error.problems[:LINES_SHOWN]:
        print(problem, file=sys.stderr)
    if len(error.problems) > LINES_SHOWN:
        print(f"... and {len(error.problems) - LINES_SHOWN} more", file=sys.stderr)
