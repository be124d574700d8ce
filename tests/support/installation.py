"""Installs this package and the example package of the documentation, as users do."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.source_tree import ROOT

SOURCES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "NOTICE")
FOLDERS = ("cmss", "metadata_tools", "recipes", "benchmarks", "tests", "docs")


@dataclass(frozen=True)
class Installation:
    """A folder with installed packages.

    Args:
        folder: the folder, for PYTHONPATH.
    """

    folder: Path

    def run(self, *command: str, cwd: Path, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command, such as `cmss`, or `python` with its arguments; any status is accepted."""
        name, *words = command
        program = [] if name == "python" else [str(self.folder / "bin" / name)]
        return subprocess.run(
            [sys.executable, *program, *words],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": "1"},
            input=given,
            capture_output=True,
            text=True,
            timeout=300,
        )


def install(folder: Path) -> Installation:
    """Build wheels from a copy of the sources and of docs/example_package, and install them.

    Dependencies are taken from the environment of the tests; the network is not used.
    """
    sources, target = folder / "sources", folder / "installed"
    sources.mkdir()
    for name in SOURCES:
        shutil.copy(ROOT / name, sources)
    for name in FOLDERS:
        shutil.copytree(
            ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
    offline = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--no-compile")
    packages = (str(sources), str(sources / "docs/example_package"))
    pip = [sys.executable, "-m", "pip", "install", *offline, "--target", str(target), *packages]
    done = subprocess.run(pip, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    _copy_machine_code(target)
    return Installation(target)


def _copy_machine_code(target: Path) -> None:
    """Copy numba's caches, without which HAAQI would be compiled for a minute."""
    for cache in (ROOT / "cmss").rglob("__pycache__/*.nb[ic]"):
        source = cache.parents[1] / f"{cache.name.split('.')[0]}.py"
        if not source.is_file():  # the module was renamed after this cache was written
            continue
        folder = cache.relative_to(ROOT).parent
        (target / folder).mkdir(exist_ok=True)
        shutil.copy(cache, target / folder)
        # A cache is valid for a source with the same size and time.
        shutil.copystat(source, target / source.relative_to(ROOT))
