"""Runs systems on a data set: enhances signals, scores them, and measures the separation."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra import compose, initialize_config_module
from hydra.errors import CompactHydraException
from omegaconf import DictConfig

from benchmarks import RECIPES
from benchmarks.scored_runs import FAILED, Run, read_run
from cmss.errors import InputError
from cmss.models.registry import names
from cmss.results.separation import SEPARATION
from cmss.run.choices import add_choices
from cmss.run.configuration import chosen_pairs, plain
from cmss.run.folder import CONFIGURATION, absolute_paths, read_configuration
from cmss.run.kept_files import FINGERPRINT_FILE, STEMS
from cmss.scenes import Pair
from cmss.separators import SEPARATORS, build_separator
from cmss.separators.preparing import load_networks


@dataclass(frozen=True)
class System:
    """Defines a system that is compared with other systems.

    Args:
        choices: configuration choices that select the system, such as `separator=nmf`.
        official: whether the system is also run with the remix of the official baseline.
    """

    choices: tuple[str, ...]
    official: bool = False


SYSTEMS = {
    "passthrough": System(("separator=passthrough",)),
    "nmf": System(("separator=nmf",)),
    # The paper compares these variants of nmf.
    "nmf_wiener": System(("separator=nmf", "separator.steps=[{name: wiener, iterations: 1}]")),
    "nmf_is": System(("separator=nmf", "separator.divergence=is")),
    **{
        name: System((f"separator={name}",), official=name in names())
        # The networks come after the other separators.
        for name in sorted(SEPARATORS, key=names().__contains__)
        # The separator `module` needs weights from the user. The oracle comes last, because it is
        # the upper bound.
        if name not in ("module", "oracle")
    },
    "paper": System(("ensemble=paper",), official=True),
    "paper_multichannel": System(("ensemble=paper_multichannel",), official=True),
    "meta": System(("ensemble=meta",), official=True),
    "oracle": System(("separator=oracle",), official=True),
}
"""Dict from the name of a system to the system, in the order of the table."""


@dataclass(frozen=True)
class DataSet:
    """Defines a data set on which systems are run.

    Args:
        data: data folder in the challenge's layout.
        split: split of the data set to use.
        out: output folder, which gets a subfolder for each run.
        official: whether systems are also run with the remix of the official baseline.
    """

    data: Path
    split: str
    out: Path
    official: bool = True

    def configuration(self, choices: Sequence[str]) -> DictConfig:
        """Compose the configuration of the programs from configuration choices.

        Raises:
            InputError: a choice does not exist.
        """
        paths = [f"path.root={self.data}", f"split={self.split}", f"path.exp_folder={self.out}"]
        add_choices()
        try:
            with initialize_config_module("cmss.conf", version_base=None):
                return absolute_paths(compose("config", [*choices, *paths]))
        except CompactHydraException as error:
            raise InputError(f"{' '.join(choices)}: {str(error).splitlines()[0]}") from error

    def pairs(self) -> list[Pair]:
        """Load all pairs of scene and listener of the data set.

        Raises:
            InputError: the data set has problems, or `out` contains runs of another data set.
        """
        config = self.configuration(SYSTEMS["passthrough"].choices)
        for path in self.out.glob(f"*/{CONFIGURATION}"):
            kept = read_configuration(path.parent)
            if (kept.path.root, kept.split) != (config.path.root, config.split):
                raise InputError(
                    f"{path.parent}: contains a run of {kept.path.root}, split {kept.split}; use a "
                    "different --out for each data set and split"
                )
        return chosen_pairs(config)

    def refusal(self, system: System, pairs: Sequence[Pair]) -> Sequence[str]:
        """Return a list of the reasons why a system cannot be run, such as missing weights."""
        try:
            config = self.configuration(system.choices)
            load_networks(build_separator(plain(config.separator), config.input_sample_rate), pairs)
        except InputError as error:
            return error.problems
        return ()

    def runs(self, name: str) -> list[Run]:
        """Run a system with each of its remixes, and return the runs.

        If a run has no result, the attribute `state` of the run states the reason. If the separator
        has a cache, the run with the second remix reads the estimates of the first run.
        """
        system, folder, cache = SYSTEMS[name], self.out / name, self.out / "cache" / name
        official = system.official and self.official
        choices = [*system.choices, f"path.root={self.data}", f"split={self.split}"]
        if official and "cache" in self.configuration(system.choices).separator:
            choices.append(f"separator.cache={cache}")
        if not _scored(folder, [*choices, "stems=true"]) or not _measured(folder):
            return [Run(name, state=FAILED)]
        runs = [read_run(folder, name)]
        if official:
            folder = self.out / f"{name}_official"
            if _scored(folder, [*choices, "remix=official"]):
                runs.append(read_run(folder, name).measured_as(runs[0]))
            else:
                runs.append(Run(name, "official", state=FAILED))
        # The cache is deleted. Otherwise a later run would measure the time to read estimates
        # instead of the time to compute them.
        shutil.rmtree(cache, ignore_errors=True)
        return runs


def _stage(name: str, *overrides: str) -> bool:
    """Run a program, print its output to standard error, and return whether it succeeded."""
    command = [sys.executable, str(RECIPES / f"{name}.py"), *overrides]
    return subprocess.run(command, check=False, stdout=sys.stderr).returncode == 0


def _scored(folder: Path, choices: Sequence[str]) -> bool:
    common = f"path.exp_folder={folder}", "on_change=redo"
    return _stage("enhance", *choices, *common, "report=false") and _stage("evaluate", *common)


def _measured(folder: Path) -> bool:
    """Measure the separation of a run, unless the results are newer than all stems of the run."""
    done = folder / SEPARATION
    made = [path.stat().st_mtime for path in (folder / STEMS).glob(f"*/{FINGERPRINT_FILE}")]
    if done.exists() and done.stat().st_mtime > max(made, default=0):
        return True
    return _stage("merge_results", f"path.exp_folder={folder}")
