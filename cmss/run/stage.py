"""The frame of every recipe: checks of the command line, messages, exit status, progress bar."""

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

REFUSED = {
    "separator.separation.number_sources": "the number of outputs is stated in the weights",
    "separator.separation.sample_rate": "the sampling rate of the network is stated in the weights",
    "hydra.job.chdir": "relative paths refer to the folder of the call",
}
"""Official keys that are not supported, and the reason."""


class JobError(Exception):
    """A job of a multirun has failed.

    Args:
        text: the message that it has printed.
        status: its exit status.
    """

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text, status)
        self.text = text
        self.status = status


def stage(work: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    """Decorate the main function of a recipe, below ``@hydra.main``.

    The configuration is first compared with its defaults (:func:`cmss.run.overrides.check`).
    Errors are printed, one line for each problem, because hydra would print a traceback. Memory is
    kept for reuse (:mod:`cmss.machine.memory`).

    Raises:
        SystemExit: status 2 if an input is not valid; status 1 if a result is not finite or cannot
            be written.
        JobError: instead of SystemExit in a job of a multirun. Launchers pass exceptions on from
            the process or node of the job, but would wait forever for a job that exits.
    """

    @wraps(work)
    def guarded(config: DictConfig) -> Any:
        keep_freed_memory()
        try:
            # Checked here as well, because old keys may be in the user's own files.
            refuse_renamed(OmegaConf.to_container(config))  # type: ignore[arg-type]
            overrides.check(config)
            return work(config)
        except (MissingMandatoryValue, InterpolationToMissingValueError):
            # The error may name a key that refers to the missing one, such as path.music_dir.
            _end("\n".join(overrides.missing(config)), 2)
        except OmegaConfBaseException as error:
            _end(f"{error.full_key}: {str(error.msg).splitlines()[0]}", 2)
        except ProblemsError as error:
            shown = [one_line(problem) for problem in error.problems[:20]]
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


def run(main: Callable[[], Any]) -> None:
    """Run a recipe with the command line of this process.

    Hydra parses the command line and creates the folder of the run before the stage begins. Errors
    in this part are also printed as single lines.

    Args:
        main: the function that is decorated by ``@hydra.main``.
    """
    # Official keys that are not supported, and old keys of this project.
    keys = [argument.split("=")[0].lstrip("+~") for argument in sys.argv[1:]]
    for key in keys:
        if key in REFUSED:
            sys.exit(_say(f"{key}: not supported here: {REFUSED[key]}; leave it out", 2))
    if lines := [*renamed(keys)]:
        sys.exit(_say("\n".join(lines), 2))
    sys.argv[1:] = [overrides.with_path_as_text(word) for word in sys.argv[1:]]
    # Hydra then raises its exceptions instead of printing them.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    HydraConfig.instance().cfg = None
    try:
        main()
    except JobError as error:
        sys.exit(_say(error.text, error.status))
    except (CompactHydraException, ValueError, TypeError) as error:
        if HydraConfig.initialized() and not isinstance(error, CompactHydraException):
            raise  # After the configuration was composed: a bug of the program.
        lines = [one_line(line) for line in overrides.unreadable(error)]
        sys.exit(_say("\n".join(lines), 2))
    except OSError as error:
        sys.exit(_say(one_line(reason(error)), 1))


def _run_folder(*, _root_: DictConfig) -> str:
    """Return the value of `hydra.run.dir` in each recipe: path.exp_folder with ``~`` expanded.

    Hydra creates this folder before the stage begins, so it is checked separately.
    """
    try:
        return overrides.run_folder(_root_)
    except InputError as error:
        # OmegaConf would wrap any other exception.
        sys.exit(_say("\n".join(map(one_line, error.problems)), 2))


OmegaConf.register_new_resolver("run_folder", _run_folder, replace=True)


def add_networks() -> None:
    """Register each network of :mod:`cmss.models` as a choice of `separator`, without a file."""
    for name, separator in SEPARATORS.items():
        # Other separators have their own settings, and so a file.
        if separator is NetworkSeparator:
            node = {"defaults": ["network", "_self_"], "name": name, "weights_from": "small"}
            ConfigStore.instance().store(group="separator", name=name, node=node)


add_networks()


def _choices(names: Iterable[str], key: str) -> str:
    """Format names for a help text, with all lines aligned to the first name after `key=`."""
    lines = wrap("| ".join(names), 80)
    return f"\n{' ' * len(f'  {key}=')}".join(line.replace("| ", "|") for line in lines)


def _sizes() -> str:
    """Return a line for each network that can be trained, with its sizes."""
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
"""A progress bar with the remaining time; prints nothing if the output is not a terminal."""

warn = partial(tqdm.write, file=sys.stderr)
"""Prints a line to standard error above a progress bar."""
