"""The programs under test, run as a user runs them."""

import os
import subprocess
import sys
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
    return run_python(
        str(RECIPES / f"{stage}.py"), *overrides, cwd=cwd, env=env, timeout_s=timeout_s
    )


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


def succeeded(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    """The same, if its exit status is 0; otherwise an assertion that shows what it printed."""
    assert done.returncode == 0, f"{done.args}\n{done.stdout}\n{done.stderr}"
    return done
