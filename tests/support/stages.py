"""The programs under test, run as a user runs them."""

import os
import runpy
import subprocess
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes" / "cad2"


def run_stage(
    stage: str,
    *overrides: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 300,
) -> subprocess.CompletedProcess[str]:
    """`python recipes/cad2/<stage>.py OVERRIDES` in a folder, whatever its exit status."""
    return run_python(program(stage), *overrides, cwd=cwd, env=env, timeout_s=timeout_s)


def run_python(
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 300,
) -> subprocess.CompletedProcess[str]:
    """`python ARGUMENTS` in a folder, on one thread: several are run side by side."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


def program(recipe: str) -> str:
    """The file of a recipe."""
    return str(RECIPES / f"{recipe}.py")


def import_recipe(recipe: str) -> None:
    """Import what a recipe does, so that it begins at once in this process and its forks."""
    runpy.run_path(program(recipe), run_name="imported")


def run_in_this_process(recipe: str, *words: str) -> int | None:
    """`python recipes/cad2/<recipe>.py WORDS` without a process of its own.

    Returns:
        The exit status; None if the recipe ended by an exception, which is printed.
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
    return 0


def succeeded(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    """The same, if its exit status is 0; otherwise an assertion that shows what it printed."""
    assert done.returncode == 0, f"{done.args}\n{done.stdout}\n{done.stderr}"
    return done
