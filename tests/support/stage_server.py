"""Stages run many times over, without the seconds that importing their libraries takes each time.

A process of its own imports everything once and forks for each run; the fork is what a fresh
`python recipes/cad2/<stage>.py OVERRIDES` would be, and can be killed at any moment.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from tests.support.stages import ROOT, import_recipe, run_in_this_process


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
    """Runs stages, one at a time."""

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
        """Run a stage in a folder.

        Args:
            stage: enhance, evaluate or merge_results.
            overrides: of the configuration.
            cwd: the current folder.
            env: variables of its environment.
            kill_after_s: time after which it is killed.
            kill_at_write: number of the write, from 1, before which it kills itself.
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
        """Run a stage whose exit status must be 0."""
        done = self.run(stage, *overrides, cwd=cwd)
        assert done.status == 0, f"{stage} {overrides}\n{done.stdout}\n{done.stderr}"
        return done


@contextmanager
def stage_server() -> Iterator[StageServer]:
    """A server that ends with the block."""
    with subprocess.Popen(
        [sys.executable, "-m", __name__],
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


def _serve() -> None:
    for stage in ("enhance", "evaluate", "merge_results"):
        import_recipe(stage)
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
    _serve()
