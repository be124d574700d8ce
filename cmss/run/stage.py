"""Runs a recipe: checks the command line, prints errors, and sets the exit status.

This module also defines the progress bar.
"""

import os
import sys
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, NoReturn

import hydra
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
from cmss.renamed import refuse_renamed, renamed
from cmss.run import overrides, refusals
from cmss.run.choices import add_choices
from cmss.run.composing import composed_once
from cmss.run.quoting import with_path_as_text

REFUSED = {
    "separator.separation.number_sources": "the number of outputs is stated in the weights",
    "separator.separation.sample_rate": "the sampling rate of the network is stated in the weights",
    "hydra.job.chdir": "relative paths refer to the folder from which the command was started",
}
"""Dict from each key of the official baseline that is not supported to the reason."""


class JobError(Exception):
    """A job of a multirun has failed.

    Args:
        text: error message that the job has printed.
        status: exit status of the job.
    """

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text, status)
        self.text = text
        self.status = status


def stage(work: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    """Decorate the main function of a stage or of a training program.

    The decorated function is passed to hydra by :func:`run`.

    Before the main function is called, the configuration is compared with the default
    configuration (:func:`cmss.run.overrides.check`). Errors are printed as single lines; hydra
    alone would print a traceback. Freed memory is kept for reuse (:mod:`cmss.machine.memory`).

    Args:
        work: main function of the recipe, which receives the configuration.

    Returns:
        The decorated function. The decorated function raises SystemExit with status 2 if an input
        is not valid, and with status 1 if a result is not finite or cannot be written. In a job of
        a multirun, the decorated function raises :class:`JobError` instead of SystemExit. The
        launchers of hydra pass on an exception of a job. If a job ended by SystemExit, the
        launchers would wait forever for the result of this job.
    """

    @wraps(work)
    def guarded(config: DictConfig) -> Any:
        keep_freed_memory()
        try:
            # `run` has already checked the command line. The user's own configuration files may
            # also contain old keys.
            refuse_renamed(OmegaConf.to_container(config))  # type: ignore[arg-type]
            overrides.check(config)
            return work(config)
        except (MissingMandatoryValue, InterpolationToMissingValueError):
            # The error may name a key that refers to the missing key: path.music_dir instead of
            # path.root. Find the keys that are really missing.
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


def run(main: Callable[[DictConfig], Any], name: str, help_text: Callable[[], str]) -> None:
    """Run a recipe with the command line of this process, ``sys.argv``.

    Hydra parses the command line and creates the folder of the run before it calls the main
    function. Errors in these steps are also printed as single lines.

    Args:
        main: main function of the recipe, decorated by :func:`stage`.
        name: name of the configuration file in cmss/conf.
        help_text: function that returns the text that `--help` prints above the configuration.
    """
    # Refuse official keys that are not supported, and keys that this project has renamed.
    keys = [argument.split("=")[0].lstrip("+~") for argument in sys.argv[1:]]
    for key in keys:
        if key in REFUSED:
            sys.exit(_say(f"{key}: not supported here: {REFUSED[key]}; leave it out", 2))
    if lines := [*renamed(keys)]:
        sys.exit(_say("\n".join(lines), 2))
    if problem := refusals.problem_of_options():
        sys.exit(_say(one_line(problem), 2))
    sys.argv[1:] = [with_path_as_text(word) for word in sys.argv[1:]]
    # With this variable, hydra raises exceptions instead of printing them.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    HydraConfig.instance().cfg = None
    OmegaConf.register_new_resolver("help_text", help_text, replace=True)
    try:
        add_choices(sys.argv[1:])
        with composed_once():
            hydra.main(config_path="pkg://cmss.conf", config_name=name, version_base=None)(main)()
    except JobError as error:
        sys.exit(_say(error.text, error.status))
    except InputError as error:
        sys.exit(_say("\n".join(map(one_line, error.problems)), 2))
    except (CompactHydraException, ValueError, TypeError) as error:
        if HydraConfig.initialized() and not isinstance(error, CompactHydraException):
            raise  # Hydra has composed the configuration, so this error is a bug of the program.
        lines = [one_line(line) for line in refusals.unreadable(error, name)]
        sys.exit(_say("\n".join(lines), 2))
    except OSError as error:
        sys.exit(_say(one_line(reason(error)), 1))


def _run_folder(*, _root_: DictConfig) -> str:
    """Return path.exp_folder with ``~`` expanded; this is `hydra.run.dir` in each recipe.

    Hydra creates this folder before it calls the main function, so the path must be checked here.
    """
    try:
        return overrides.run_folder(_root_)
    except InputError as error:
        # End the process here, because OmegaConf would wrap the InputError in its own exception.
        sys.exit(_say("\n".join(map(one_line, error.problems)), 2))


OmegaConf.register_new_resolver("run_folder", _run_folder, replace=True)


def _network_folder(*, _root_: DictConfig) -> str:
    """Return the default name of the folder in which train.py stores a trained network."""
    model = OmegaConf.select(_root_, "model")
    if not isinstance(model, DictConfig):  # refused later
        return str(model)
    target, name = (OmegaConf.select(model, key) for key in ("target", "name"))
    return target if isinstance(target, str) else f"{name}_{OmegaConf.select(_root_, 'size')}"


OmegaConf.register_new_resolver("network_folder", _network_folder, replace=True)

progress = partial(tqdm, disable=None, dynamic_ncols=True, smoothing=0.05)
"""Shows a progress bar with the remaining time; shows nothing if the output is not a terminal."""

warn = partial(tqdm.write, file=sys.stderr)
"""Prints a line to standard error, above the progress bar if there is one."""
