"""Runs recipes without the seconds that the import of their libraries takes in each new process.

A server process imports all recipes once, and forks for each run. The fork behaves like a new
process `python recipes/cad2/<recipe>.py OVERRIDES`, and can be killed at any moment.
"""

import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import NoReturn

import cmss.models
from tests.support.recipe_calls import call
from tests.support.stages import RECIPES, ROOT, import_recipe, run_in_this_process


@dataclass(frozen=True)
class Done:
    """Result of a call: exit status, or the negative number of the signal that killed it.

    `writes` is how often it opened a file for writing, or renamed, linked or deleted one; 0 if it
    was killed.
    """

    status: int
    stdout: str
    stderr: str
    seconds: float
    writes: int


class StageServer:
    """Runs recipes, one at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(
        self,
        stage: str,
        *overrides: str,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        kill_after_s: float | None = None,
        kill_at_write: int | None = None,
        largest_file: int | None = None,
    ) -> Done:
        """Run a recipe in a folder.

        Args:
            stage: name of a recipe: enhance, evaluate, train, ...
            overrides: words KEY=VALUE of the command line.
            cwd: current folder of the process.
            env: environment variables that are added; libraries that read their variables during
                the import do not see them.
            kill_after_s: time after which the process is killed.
            kill_at_write: number of the write, from 1, before which the process kills itself.
            largest_file: maximum size of a file in bytes.
        """
        assert self._process.stdin
        assert self._process.stdout
        order = {
            "stage": stage,
            "overrides": overrides,
            "cwd": str(cwd),
            "env": dict(env or {}),
            "kill_after_s": kill_after_s,
            "kill_at_write": kill_at_write,
            "largest_file": largest_file,
        }
        print(json.dumps(order), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, "the server of stages has died"
        return Done(**json.loads(answer))

    def succeed(self, stage: str, *overrides: str, cwd: Path) -> Done:
        """Run a recipe whose exit status must be 0."""
        done = self.run(stage, *overrides, cwd=cwd)
        assert done.status == 0, f"{stage} {overrides}\n{done.stdout}\n{done.stderr}"
        return done


@contextmanager
def stage_server(*networks: Path) -> Iterator[StageServer]:
    """Start a server that ends with the block.

    Args:
        networks: folders with further modules of cmss.models.
    """
    with subprocess.Popen(
        [sys.executable, "-m", __name__, *networks],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield StageServer(process)
        assert process.stdin
        process.stdin.close()


# The other side.


def _serve(networks: Sequence[str]) -> None:
    cmss.models.__path__.extend(networks)
    for recipe in RECIPES.glob("*.py"):
        import_recipe(recipe.stem)
    # Recipes import some modules only when they need them.
    for module in walk_packages(cmss.__path__, "cmss."):
        import_module(module.name)
    # The first call in a process fills the caches of the parsers.
    with tempfile.TemporaryDirectory() as folder:
        call("enhance", "path.root=missing", cwd=Path(folder))
    gc.collect()
    gc.freeze()  # Forks share the memory of all objects until now.
    for line in sys.stdin:
        order = json.loads(line)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            start = time.monotonic()
            counted, count = os.pipe()
            if (child := os.fork()) == 0:
                _be_the_stage(order, out.fileno(), err.fileno(), count)
            os.close(count)
            status = _wait(child, order["kill_after_s"])
            seconds = time.monotonic() - start
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode())
            with os.fdopen(counted) as pipe:
                writes = int(pipe.read() or 0)
        answer = Done(status, texts[0], texts[1], seconds, writes)
        print(json.dumps(asdict(answer)), flush=True)


def _wait(child: int, kill_after_s: float | None) -> int:
    deadline = time.monotonic() + (kill_after_s or 300)
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class _Writes:
    """Counts changes to files by Python's audit events; kills the process before one of them."""

    EVENTS = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate")

    def __init__(self, fatal: int | None) -> None:
        self.count = 0
        self._fatal = fatal

    def __call__(self, event: str, arguments: tuple) -> None:
        if event == "open":
            _, mode, flags = arguments
            changes = set(mode or "") & set("wax+") or flags & (os.O_WRONLY | os.O_RDWR)
        else:
            changes = event in self.EVENTS
        if changes:
            self.count += 1
            if self.count == self._fatal:
                os.kill(os.getpid(), signal.SIGKILL)


def _be_the_stage(order: dict, out: int, err: int, count: int) -> NoReturn:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.chdir(order["cwd"])
    os.environ.update(order["env"])
    tempfile.tempdir = None  # Read TMPDIR again.
    if limit := order["largest_file"]:
        import resource

        # Python ignores the signal for this limit, so writing fails as on a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    writes = _Writes(order["kill_at_write"])
    sys.addaudithook(writes)
    status = None
    try:
        status = run_in_this_process(order["stage"], *order["overrides"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(count, str(writes.count).encode())
        os._exit(1 if status is None else status)


if __name__ == "__main__":
    _serve(sys.argv[1:])
