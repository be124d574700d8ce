"""Each system of the project on a data set: enhanced, scored and measured by the stages."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.errors import CompactHydraException
from omegaconf import DictConfig

from benchmarks.scored_runs import FAILED, Run, read_run
from cmss.configuration import chosen_pairs, kept_configuration, plain
from cmss.errors import InputError
from cmss.models.registry import NAMES
from cmss.results.separation import SEPARATION
from cmss.run_folder import CONFIGURATION, absolute_paths
from cmss.scenes import Pair
from cmss.separators import build_separator
from cmss.separators.preparing import load_networks
from cmss.stage import add_networks
from cmss.stem_files import MADE_FROM, STEMS

RECIPES = Path(__file__).parents[1] / "recipes" / "cad2"
OFFICIAL = "official"


@dataclass(frozen=True)
class System:
    """What is put into the table.

    Args:
        choices: of the configuration.
        official: whether it has a second row, with the baseline's remix.
    """

    choices: tuple[str, ...]
    official: bool = False


SYSTEMS = {
    "passthrough": System(("separator=passthrough",)),
    "nmf": System(("separator=nmf",)),
    "nmf_wiener": System(("separator=nmf", "separator.steps=[{name: wiener, iterations: 1}]")),
    "nmf_is": System(("separator=nmf", "separator.divergence=is")),
    "nmf_convolutive": System(("separator=nmf_convolutive",)),
    "nmf_smooth": System(("separator=nmf_smooth",)),
    "plca": System(("separator=plca",)),
    "casa": System(("separator=casa",)),
    **{name: System((f"separator={name}",), official=True) for name in NAMES},
    "paper": System(("ensemble=paper",), official=True),
    "paper_multichannel": System(("ensemble=paper_multichannel",), official=True),
    "meta": System(("ensemble=meta",), official=True),
    "oracle": System(("separator=oracle",), official=True),
}
"""In the order of the table."""


@dataclass(frozen=True)
class DataSet:
    """What systems are run on.

    Args:
        data: folder in the challenge's layout.
        split: of it.
        out: has a folder for each run.
        official: whether systems that have a second row get it.
    """

    data: Path
    split: str
    out: Path
    official: bool = True

    def configuration(self, choices: Sequence[str]) -> DictConfig:
        """What the stages make of some choices.

        Raises:
            InputError: there are no such choices.
        """
        paths = [f"path.root={self.data}", f"split={self.split}", f"path.exp_folder={self.out}"]
        add_networks()
        try:
            with initialize_config_dir(str(RECIPES / "conf"), version_base=None):
                return absolute_paths(compose("config", [*choices, *paths]))
        except CompactHydraException as error:
            raise InputError(f"{' '.join(choices)}: {str(error).splitlines()[0]}") from error

    def pairs(self) -> list[Pair]:
        """All pairs of the data set.

        Raises:
            InputError: anything wrong with it, or `out` has runs of another.
        """
        config = self.configuration(SYSTEMS["passthrough"].choices)
        for path in self.out.glob(f"*/{CONFIGURATION}"):
            kept = kept_configuration(path.parent)
            if (kept.path.root, kept.split) != (config.path.root, config.split):
                raise InputError(
                    f"{path.parent}: run of {kept.path.root}, split {kept.split}; expected another "
                    "--out for each data set and split"
                )
        return chosen_pairs(config)

    def refusal(self, system: System, pairs: Sequence[Pair]) -> Sequence[str]:
        """Why a system cannot be run: a line for each of its weights that does not exist."""
        try:
            config = self.configuration(system.choices)
            load_networks(build_separator(plain(config.separator), config.input_sample_rate), pairs)
        except InputError as error:
            return error.problems
        return ()

    def runs(self, name: str) -> list[Run]:
        """Run a system with each of its remixes, and say what cannot be done.

        The second remix takes up the first one's estimates, where the separator can keep them.
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
            folder = self.out / f"{name}_{OFFICIAL}"
            if _scored(folder, [*choices, f"remix={OFFICIAL}"]):
                runs.append(read_run(folder, name).measured_as(runs[0]))
            else:
                runs.append(Run(name, OFFICIAL, state=FAILED))
        # Gone once used: another run would measure how quickly estimates are read.
        shutil.rmtree(cache, ignore_errors=True)
        return runs


def _stage(name: str, *overrides: str) -> bool:
    """Run a stage; whether it got to its end. What it has to say goes to the terminal."""
    command = [sys.executable, str(RECIPES / f"{name}.py"), *overrides]
    return subprocess.run(command, check=False, stdout=sys.stderr).returncode == 0


def _scored(folder: Path, choices: Sequence[str]) -> bool:
    common = f"path.exp_folder={folder}", "on_change=redo"
    return _stage("enhance", *choices, *common, "report=false") and _stage("evaluate", *common)


def _measured(folder: Path) -> bool:
    """Measure the stems of a run, unless that was done after the last of them was made."""
    done = folder / SEPARATION
    made = [path.stat().st_mtime for path in (folder / STEMS).glob(f"*/{MADE_FROM}")]
    if done.exists() and done.stat().st_mtime > max(made, default=0):
        return True
    return _stage("merge_results", f"path.exp_folder={folder}")
