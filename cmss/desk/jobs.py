"""Runs one job at a time: receives a recording, and starts a process for the separation."""

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
"""Folder of the stored stems, which are used again for the same recording."""
SCRATCH = "scratch"
"""Subfolder of an unfinished result for the recording and all temporary files."""
EARLIEST_ESTIMATE = 0.03
"""Completed fraction of a job above which the remaining time is estimated."""


class BusyError(Exception):
    """Raised if a job is started while another job is running."""


class _UnfinishedError(Exception):
    """Raised to end a job and to delete the unfinished result."""


@dataclass
class Job:
    """Holds the state of a job.

    Args:
        title: name of the recording.
        state: "running", "done", "failed" or "cancelled".
        step: text that names the current step of the job.
        fraction: completed fraction of the job, from 0 to 1.
        problems: error messages of a failed job.
        warnings: warnings of a completed job.
        result: name of the result, or None if there is no complete result.
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
        """Update the state with a message of the worker process.

        Args:
            answer: the message, a decoded line of JSON.
        """
        self.step = answer.get("step", self.step)
        self.fraction = answer.get("fraction", self.fraction)
        self.problems = answer.get("problems", self.problems)
        self.warnings = answer.get("warnings", self.warnings)
        # At this point, the libraries have been imported, and the recording has been decoded. The
        # estimate of the remaining time does not include the time for these steps.
        if self._began is None and self.fraction == 0 and self.step == "Separating":
            self._began = time.monotonic()

    def described(self) -> dict[str, Any]:
        """Return the state for the page. Unknown times are None."""
        now = time.monotonic()
        left = None
        if self.state == "running" and self._began and self.fraction > EARLIEST_ESTIMATE:
            left = (now - self._began) * (1 - self.fraction) / self.fraction
        public = {key: value for key, value in vars(self).items() if not key.startswith("_")}
        seconds = now - self._created if self.state == "running" else None
        return {**public, "seconds": seconds, "seconds_left": left}


async def _until_cancelled(job: Job, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield chunks until the job is cancelled; then raise InterruptedError."""
    async for chunk in chunks:
        if job.state == "cancelled":
            raise InterruptedError
        yield chunk


class Jobs:
    """Runs the jobs of a desk, one job at a time.

    A job writes the result to a folder with a temporary name. When the result is complete, the
    folder is renamed. If the desk is killed, it deletes the temporary folders when it is started
    again.

    Args:
        folder: folder of the results. The folder is created if necessary.
        most_bytes: maximum size of a recording in bytes.
        separator: name of the separator for all jobs. If `separator` is None, the quality that the
            user chose for a job determines the separator.

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
            order: settings of the job.
            chunks: consecutive parts of the recording.

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
        """Process a recording, and rename the folder of the complete result."""
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
            # The next job can start after any error, also after an unexpected error.
            if job.state == "running":
                job.state = "failed"
                job.problems = job.problems or ["the separation ended without a result"]
            self._clear()

    async def _process_task(self, job: Job, task: Task) -> bool:
        """Process a recording in another process, and return whether the result is complete."""
        # Temporary files are written to the folder of the unfinished result, so that they are
        # deleted even if the process is killed. The process imports modules from the same folders
        # as the desk, and not from the current folder.
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
            if job.state == "cancelled":  # The job was cancelled before the process started.
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
        """Kill the worker process and its child processes, such as ffmpeg."""
        if self._process and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _free_name(self) -> str:
        """Return a name for a result: the current time, and a number if the name is in use."""
        now = time.strftime("%Y-%m-%d_%H-%M-%S")
        numbers = iter(range(2, sys.maxsize))
        name = now
        while (self.folder / name).exists():
            name = f"{now}_{next(numbers)}"
        return name

    def _clear(self) -> None:
        """Delete the temporary files of killed processes."""
        for folder in (self.folder, self.folder / KEPT_STEMS):
            if folder.is_dir():
                clear_stale(folder)
