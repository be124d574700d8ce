"""Runs one job at a time: receives a recording, and has it separated by another process."""

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cmss.command_line import reason
from cmss.desk.orders import Order
from cmss.desk.tasks import Task
from cmss.desk.uploads import check, named, receive
from cmss.errors import InputError
from cmss.files.atomic import atomic_folder, clear_stale

KEPT_STEMS = "kept_stems"
"""Folder of the stems that another audiogram of the same recording needs."""
SCRATCH = "scratch"
"""Folder within an unfinished result, with the recording and all temporary files."""
EARLIEST_ESTIMATE = 0.03
"""Fraction of a job after which the remaining time is estimated."""


class BusyError(Exception):
    """Another job is running."""


class _UnfinishedError(Exception):
    """Ends a job, so that its unfinished result is deleted."""


@dataclass
class Job:
    """State of a job.

    Args:
        title: name of the recording.
        state: what has become of the job.
        step: what the job is doing.
        fraction: fraction that is done.
        problems: messages about a job that has failed.
        warnings: messages about a job that is done.
        result: name of the result.
    """

    title: str
    state: Literal["running", "done", "failed", "cancelled"] = "running"
    step: str = "Receiving the recording"
    fraction: float = 0.0
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    result: str | None = None
    _created: float = field(default_factory=time.monotonic, repr=False)
    _began: float | None = field(default=None, repr=False)

    def update(self, answer: dict[str, Any]) -> None:
        """Apply a line of the process."""
        self.step = answer.get("step", self.step)
        self.fraction = answer.get("fraction", self.fraction)
        self.problems = answer.get("problems", self.problems)
        self.warnings = answer.get("warnings", self.warnings)
        # The libraries have been imported, and the recording has been decoded.
        if self._began is None and self.fraction == 0 and self.step == "Separating":
            self._began = time.monotonic()

    def described(self) -> dict[str, Any]:
        """Return the state for the page; times that are not known are None."""
        now = time.monotonic()
        left = None
        if self.state == "running" and self._began and self.fraction > EARLIEST_ESTIMATE:
            left = (now - self._began) * (1 - self.fraction) / self.fraction
        public = {key: value for key, value in vars(self).items() if not key.startswith("_")}
        seconds = now - self._created if self.state == "running" else None
        return {**public, "seconds": seconds, "seconds_left": left}


async def _until_cancelled(job: Job, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield chunks, and raise InterruptedError when the job is cancelled."""
    async for chunk in chunks:
        if job.state == "cancelled":
            raise InterruptedError
        yield chunk


class Jobs:
    """The jobs of a desk, of which one at a time is running.

    A result is written as a folder with a temporary name, which is renamed when the result is
    complete. If the desk is killed, temporary folders are deleted when the next desk is started.

    Args:
        folder: folder of the results, which is created if necessary.
        most_bytes: greatest size of a recording.
        separator: name of a separator, instead of those of the qualities.

    Raises:
        OSError: the folder cannot be created.
    """

    def __init__(self, folder: Path, most_bytes: int, separator: str | None = None) -> None:
        self.folder = folder
        self.most_bytes = most_bytes
        self.separator = separator
        self.job: Job | None = None
        self._running: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._clear()

    @property
    def is_busy(self) -> bool:
        """Whether a job is running."""
        return self.job is not None and self.job.state == "running"

    async def start(self, order: Order, chunks: AsyncIterator[bytes]) -> Job:
        """Receive a recording, and start its job.

        Args:
            order: what is to be done.
            chunks: parts of the recording.

        Raises:
            BusyError: another job is running.
            InputError: the recording is too large, or cannot be used.
            InterruptedError: the user has cancelled the job.
            OSError: the recording cannot be written.
        """
        if self.is_busy:
            raise BusyError
        job = self.job = Job(order.title)
        try:
            with ExitStack() as stack:
                name = self._free_name()
                folder = stack.enter_context(atomic_folder(self.folder / name))
                scratch = folder / SCRATCH
                scratch.mkdir()
                recording = scratch / f"recording{order.suffix}"
                await receive(
                    _until_cancelled(job, chunks), recording, order.title, self.most_bytes
                )
                job.step = "Checking the recording"
                try:
                    await asyncio.to_thread(check, recording)
                except InputError as error:
                    raise InputError(named(error.problems, recording, order.title)) from error
                if job.state == "cancelled":
                    raise InterruptedError
                kept = self.folder / KEPT_STEMS
                task = Task(order, recording, folder, kept, self.separator)
                unfinished = stack.pop_all()
        except BaseException as error:
            if job.state == "running":
                job.state = "failed"
                job.problems = [str(error)] if isinstance(error, InputError) else job.problems
            raise
        self._running = asyncio.create_task(self._run(job, task, unfinished, name))
        return job

    async def cancel(self) -> None:
        """Cancel the running job, and wait until its files are deleted."""
        if self.job and self.job.state == "running":
            self.job.state = "cancelled"
            self._kill()
        if self._running:
            await self._running

    async def _run(self, job: Job, task: Task, unfinished: ExitStack, name: str) -> None:
        """Have a recording processed, and give the result its name."""
        try:
            with unfinished:
                job.step = "Starting"
                is_complete = await self._process_task(job, task)
                if job.state == "cancelled" or not is_complete:
                    raise _UnfinishedError
                shutil.rmtree(task.folder / SCRATCH)
            job.state, job.result = "done", name
        except _UnfinishedError:
            pass  # The result has been deleted.
        except OSError as error:
            job.problems = [reason(error)]
        finally:
            # After any other error, too, the next job may start.
            if job.state == "running":
                job.state = "failed"
                job.problems = job.problems or ["the separation ended without a result"]
            self._clear()

    async def _process_task(self, job: Job, task: Task) -> bool:
        """Process a recording in another process, and return whether the result is complete."""
        # Temporary files are deleted with the unfinished result, even if the process is killed.
        # The modules are those of this process, and not those in the current folder.
        path = os.pathsep.join(filter(None, sys.path))
        environment = {**os.environ, "TMPDIR": str(task.folder / SCRATCH), "PYTHONPATH": path}
        process = self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "cmss.desk.worker"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        try:
            assert process.stdin
            assert process.stdout
            if job.state == "cancelled":  # before there was a process to kill
                return False
            with suppress(ConnectionError):
                process.stdin.write(f"{task.to_json()}\n".encode())
                await process.stdin.drain()
            async for line in process.stdout:
                job.update(json.loads(line))
            return await process.wait() == 0
        finally:
            self._kill()
            await process.wait()
            self._process = None

    def _kill(self) -> None:
        """End the process and its own processes, such as ffmpeg."""
        if self._process and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _free_name(self) -> str:
        """Return a name for a result: the present time, with a number if the name is in use."""
        now = time.strftime("%Y-%m-%d_%H-%M-%S")
        numbers = iter(range(2, sys.maxsize))
        name = now
        while (self.folder / name).exists():
            name = f"{now}_{next(numbers)}"
        return name

    def _clear(self) -> None:
        """Delete what killed processes have left in the folder."""
        for folder in (self.folder, self.folder / KEPT_STEMS):
            if folder.is_dir():
                clear_stale(folder)
