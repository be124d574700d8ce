"""What every stage does around its work: messages and exit status for what the user gave."""

import os
import sys
from collections.abc import Callable, Iterable
from functools import partial, wraps
from textwrap import wrap
from typing import Any, NoReturn

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    InterpolationToMissingValueError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)
from tqdm import tqdm

from cmss.command_line import one_line, reason
from cmss.errors import InputError, ProblemsError
from cmss.machine.memory import keep_freed_memory
from cmss.models.registry import RECORDS
from cmss.renamed import refuse_renamed, renamed
from cmss.run import overrides
from cmss.separators import SEPARATORS
from cmss.separators.trained import NetworkSeparator

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

    The configuration is compared with its defaults first (:func:`cmss.run.overrides.check`).
    A result that cannot be, such as a score that is not finite, or that cannot be written, ends it
    with status 1. To be put under ``@hydra.main``, which turns any exception that reaches it into
    a traceback; SystemExit it lets through. Memory is kept for reuse
    (:mod:`cmss.machine.memory`).

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
            overrides.check(config)
            return work(config)
        except (MissingMandatoryValue, InterpolationToMissingValueError):
            # The error may name a key that is made from the missing one, such as path.music_dir.
            _end("\n".join(overrides.missing(config)), 2)
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
            _end(one_line(reason(error)), 1)

    return guarded


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
            sys.exit(_say(f"{key}: not supported here: {REFUSED[key]}; leave it out", 2))
    keys = (argument.split("=")[0].lstrip("+~") for argument in arguments)
    if lines := [*renamed(keys)]:
        sys.exit(_say("\n".join(lines), 2))


def run(main: Callable[[], Any]) -> None:
    """Run what ``@hydra.main`` made, on the command line as it is.

    Hydra itself makes the folder of the run and writes into it, before the stage begins. What goes
    wrong there is a line too, and so is what it finds wrong with the configuration.
    """
    refuse_official_keys(sys.argv[1:])
    sys.argv[1:] = overrides.with_paths_as_text(sys.argv[1:])
    # Asks hydra to let through what it would otherwise print.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    HydraConfig.instance().cfg = None
    try:
        main()
    except JobError as error:
        sys.exit(_say(error.text, error.status))
    except (CompactHydraException, ValueError, TypeError) as error:
        if HydraConfig.initialized() and not isinstance(error, CompactHydraException):
            raise  # The configuration was made; this is a mistake of the program.
        lines = [one_line(line) for line in overrides.unreadable(error)]
        sys.exit(_say("\n".join(lines), 2))
    except OSError as error:
        sys.exit(_say(one_line(reason(error)), 1))


def _run_folder(*, _root_: DictConfig) -> str:
    """The value of `hydra.run.dir` in each recipe: path.exp_folder, without ``~``.

    Hydra makes this folder before the stage begins, so that it has to be checked by itself.
    """
    try:
        return overrides.run_folder(_root_)
    except InputError as error:
        # Not an exception that OmegaConf would wrap.
        sys.exit(_say("\n".join(map(one_line, error.problems)), 2))


OmegaConf.register_new_resolver("run_folder", _run_folder, replace=True)


def add_networks() -> None:
    """Make each network of :mod:`cmss.models` a choice of `separator`, without a file for it."""
    for name, kind in SEPARATORS.items():
        # Others have settings of their own, and so a file.
        if kind is NetworkSeparator:
            node = {"defaults": ["network", "_self_"], "name": name, "weights_from": "small"}
            ConfigStore.instance().store(group="separator", name=name, node=node)


add_networks()


def _choices(names: Iterable[str], key: str) -> str:
    """Names for a help text, in lines that begin below the first name after `key=`."""
    lines = wrap("| ".join(names), 80)
    return f"\n{' ' * len(f'  {key}=')}".join(line.replace("| ", "|") for line in lines)


def _sizes() -> str:
    """Networks that can be trained, each in a line with its sizes."""
    sizes: dict[str, list[str]] = {}
    for record in RECORDS:
        sizes.setdefault(record.name, []).extend(record.sizes)
    lines = [f"{name:26}{', '.join(of_name)}" for name, of_name in sizes.items() if of_name]
    return "".join(f"\n    {line}" for line in lines)


# For the help texts of the recipes.
OmegaConf.register_new_resolver(
    "separators", lambda: _choices(("ensemble", *SEPARATORS), "separator"), replace=True
)
OmegaConf.register_new_resolver("sizes", _sizes, replace=True)

progress = partial(tqdm, disable=None, dynamic_ncols=True, smoothing=0.05)
"""A progress bar with time left; quiet when not on a terminal."""

warn = partial(tqdm.write, file=sys.stderr)
"""Shows a line on the standard error without breaking a progress bar."""
