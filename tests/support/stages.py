"""Calls of the programs under test, as by a user."""

import os
import runpy
import subprocess
import sys
import traceback
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from cmss.models.registry import records

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes" / "cad2"


def run_stage(
    stage: str,
    *overrides: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 300,
) -> subprocess.CompletedProcess[str]:
    """Run `python recipes/cad2/<stage>.py OVERRIDES` in a folder; any exit status is accepted."""
    return run_python(program(stage), *overrides, cwd=cwd, env=env, timeout_s=timeout_s)


def run_python(
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 300,
) -> subprocess.CompletedProcess[str]:
    """Run `python ARGUMENTS` in a folder, with one thread, because tests run in parallel."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


def program(recipe: str) -> str:
    """Return the path of a recipe."""
    return str(RECIPES / f"{recipe}.py")


def import_recipe(recipe: str) -> None:
    """Import the modules of a recipe, so that it starts faster in this process and its forks."""
    import_module(f"cmss.commands.{recipe}")
    records()  # Networks are imported when they are used.


def run_in_this_process(recipe: str, *words: str) -> int | None:
    """Run `python recipes/cad2/<recipe>.py WORDS` in this process.

    Returns:
        The exit status; None after an exception, which is printed.
    """
    sys.argv = [program(recipe), *words]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:
        traceback.print_exc()
        return None
    finally:
        # Hydra keeps the configuration of the recipe; a later test would count as a part of it.
        HydraConfig.instance().cfg = None
    return 0


def succeeded(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    """Return the call if its exit status is 0; otherwise fail with its output."""
    assert done.returncode == 0, f"{done.args}\n{done.stdout}\n{done.stderr}"
    return done
