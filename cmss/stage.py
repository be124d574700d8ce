"""What every stage does around its work: messages and exit status for what the user gave."""

import os
import sys
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, NoReturn

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    InterpolationToMissingValueError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)
from tqdm import tqdm

from cmss.errors import InputError, ProblemsError
from cmss.memory import keep_freed_memory
from cmss.renamed import refuse_renamed, renamed

LINES_SHOWN = 20

REFUSED = {
    "separator.separation.number_sources": "the weights say how many outputs a network has",
    "separator.separation.sample_rate": "the weights say at which rate a network runs",
    "hydra.job.chdir": "relative paths are taken from the folder of the call",
}
"""Official keys that cannot be honoured, and why."""


class JobError(Exception):
    """A job of a multirun has ended with a status other than 0, having said why.

    Args:
        text: what it said.
        status: its exit status.
    """

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text, status)
        self.text = text
        self.status = status


def stage(work: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    """Wrap what hydra.main runs, so that bad input ends it with status 2 and a line a problem.

    A result that cannot be, such as a score that is not finite, or that cannot be written, ends it
    with status 1. To be put under ``@hydra.main``, which turns any exception that reaches it into
    a traceback; SystemExit it lets through. Memory is kept for reuse, see :mod:`cmss.memory`.

    Raises:
        SystemExit: as above.
        JobError: instead, in a job of a multirun. Launchers hand exceptions on from the process or
            node of the job, and wait for a job that has exited as if it were running.
    """

    @wraps(work)
    def guarded(config: DictConfig) -> Any:
        keep_freed_memory()
        try:
            # Also those of files that a user wrote, such as an ensemble's.
            refuse_renamed(OmegaConf.to_container(config))  # type: ignore[arg-type]
            return work(config)
        except (MissingMandatoryValue, InterpolationToMissingValueError):
            # The error may name a key that is made from the missing one, such as path.music_dir.
            missing = _missing(OmegaConf.to_container(config))
            lines = [f"{key}: missing, expected {key}=VALUE on the command line" for key in missing]
            _end("\n".join(lines), 2)
        except OmegaConfBaseException as error:
            _end(f"{error.full_key}: {str(error.msg).splitlines()[0]}", 2)
        except ProblemsError as error:
            shown = [one_line(problem) for problem in error.problems[:LINES_SHOWN]]
            if len(error.problems) > len(shown):
                shown.append(f"... and {len(error.problems) - len(shown)} more")
            _end("\n".join(shown), 2 if isinstance(error, InputError) else 1)
        except FloatingPointError as error:
            _end(str(error), 1)
        except OSError as error:
            _end(_told(error), 1)

    return guarded


def exit_status(work: Callable[[], str]) -> int:
    """Do the work of a program without stages and print what came of it.

    Returns:
        0; or 2 if its input is no good and 1 if its result cannot be written or is not finite, with
        a line for each problem.
    """
    try:
        print(work())
    except InputError as error:
        for problem in error.problems:
            print(one_line(problem), file=sys.stderr)
        return 2
    except (OSError, FloatingPointError) as error:
        print(one_line(str(error)), file=sys.stderr)
        return 1
    return 0


def one_line(text: str) -> str:
    """Text as it can be printed in one line: names come from files, and may hold anything."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def _told(error: OSError) -> str:
    if error.errno is None:
        return one_line(str(error))
    return one_line(": ".join(str(part) for part in (error.filename, error.strerror) if part))


def _missing(node: Any, prefix: str = "") -> list[str]:
    """Keys without a value; OmegaConf.missing_keys fails on what is made from one of them."""
    if isinstance(node, dict):
        return [key for name, value in node.items() for key in _missing(value, f"{prefix}.{name}")]
    return [prefix.removeprefix(".")] if node == "???" else []


def _end(text: str, status: int) -> NoReturn:
    _say(text, status)
    if HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN:
        raise JobError(text, status)
    sys.exit(status)


def _say(text: str, status: int) -> int:
    print(text, file=sys.stderr)
    return status


def refuse_official_keys(arguments: list[str]) -> None:
    """End with status 2 and a hint if a key of the command line has no effect here.

    These are official ones, and old ones of this project (:mod:`cmss.renamed`).
    """
    for argument in arguments:
        key = argument.split("=")[0].lstrip("+~")
        if key in REFUSED:
            sys.exit(_say(f"{key}: not taken here, since {REFUSED[key]}; leave it out", 2))
    keys = (argument.split("=")[0].lstrip("+~") for argument in arguments)
    if lines := [*renamed(keys)]:
        sys.exit(_say("\n".join(lines), 2))


def run(main: Callable[[], Any]) -> None:
    """Run what ``@hydra.main`` made, on the command line as it is.

    Hydra itself makes the folder of the run and writes into it, before the stage begins. What goes
    wrong there is a line too, and so is what it finds wrong with the configuration.
    """
    refuse_official_keys(sys.argv[1:])
    # Asks hydra to let through what it would otherwise print.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        main()
    except JobError as error:
        sys.exit(_say(error.text, error.status))
    except CompactHydraException as error:
        cause = error.__cause__
        more = f"\n{cause}" if isinstance(cause, OmegaConfBaseException) else ""
        sys.exit(_say(f"{error}{more}", 1))
    except OSError as error:
        sys.exit(_say(_told(error), 1))


def overrides() -> dict[str, Any]:
    """Key -> value of what the running stage was given on its command line."""
    parsed = OverridesParser.create().parse_overrides(list(HydraConfig.get().overrides.task))
    return {override.get_key_element().lstrip("+"): override.value() for override in parsed}


progress = partial(tqdm, disable=None, dynamic_ncols=True, smoothing=0.05)
"""A progress bar with time left; quiet when not on a terminal."""
