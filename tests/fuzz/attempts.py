"""Run one input in a forked process and judge how it ended.

A fork keeps the imported libraries, takes milliseconds, and contains everything that an input may
do: endless loops (also in C code), crashes, changed global state, memory without bound.
"""

import faulthandler
import os
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

CPU_LIMIT_S, WALL_LIMIT_S = 10, 30
"""A hang: ten seconds of computing, or thirty of waiting, since other programs may compute too."""
MEMORY_BYTES, FILE_BYTES = 4 << 30, 64 << 20
"""What an input may take beyond what the process has already, and write into one file."""

_FRAME = re.compile(r'File ".*?/((?:cmss|metadata_tools|recipes)/[^"]*)", line (\d+), in (\S+)')
_FRAME_OF_HANDLER = re.compile(r'File ".*?/((?:cmss|metadata_tools|recipes)/[^"]*)", line (\d+)')


@dataclass(frozen=True)
class Ended:
    """How an attempt ended.

    `fault` is empty if it ended as a program should: with status 0, or with status 1 or 2 and a
    message that is no traceback. Otherwise it is the type of the exception, "hang", "crash", ...
    """

    status: int
    text: str
    seconds: float
    fault: str = ""
    frame: str = ""

    @property
    def is_accepted(self) -> bool:
        return not self.fault and self.status == 0


def attempt(
    work: Callable[[], int | str | None],
    folder: Path,
    cpu_limit_s: int = CPU_LIMIT_S,
    wall_limit_s: float = WALL_LIMIT_S,
) -> Ended:
    """Do the work in a fork, in a folder which is also its home; judge its end.

    Args:
        work: returns the exit status, or raises SystemExit, as a program does.
        folder: the current folder and the home folder of the fork.
        cpu_limit_s: of computing.
        wall_limit_s: of computing and waiting.
    """
    start = time.monotonic()
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            _be_the_program(work, folder, output, cpu_limit_s)
        status, hangs = _wait(child, start + wall_limit_s)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)  # what the program has started
        seconds = time.monotonic() - start
        output.seek(0)
        text = output.read().decode(errors="replace")
    fault, frame = _judged(status, hangs, text)
    return Ended(status, text, seconds, fault, frame)


def _be_the_program(
    work: Callable[[], int | str | None], folder: Path, output: IO[bytes], cpu_limit_s: int
) -> NoReturn:
    status: int | str | None = 1
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False, errors="backslashreplace")  # noqa: SIM115
        os.chdir(folder)
        os.environ |= {"HOME": str(folder), "HF_HUB_OFFLINE": "1"}
        # The stack is printed at the soft limit, also where C code never returns to Python.
        faulthandler.enable(sys.stderr)
        for number in (signal.SIGXCPU, signal.SIGUSR1):
            faulthandler.register(number, sys.stderr, all_threads=False, chain=False)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        memory = pages * resource.getpagesize() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_limit_s, cpu_limit_s + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        status = work()
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        if isinstance(status, str):
            print(status, file=sys.stderr)
            status = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit((status or 0) & 0xFF)


def _wait(child: int, deadline: float) -> tuple[int, bool]:
    """Exit status, or minus the signal; and whether it had to be ended."""
    pause = 0.001
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            # The limit on computing ends a process by one of these.
            return code, code in (-signal.SIGXCPU, -signal.SIGKILL)
        time.sleep(pause)
        pause = min(pause * 1.2, 0.02)
    os.kill(child, signal.SIGUSR1)
    time.sleep(0.3)
    os.killpg(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), True


def _judged(status: int, hangs: bool, text: str) -> tuple[str, str]:
    if hangs:
        return "hang", _first(_FRAME_OF_HANDLER, text)
    if status < 0:
        return f"crash ({signal.Signals(-status).name})", _first(_FRAME_OF_HANDLER, text)
    if "Traceback (most recent call last)" in text:
        last = text.rpartition("Traceback (most recent call last)")[2].splitlines()[1:]
        raised = next((line for line in last if line[:1].strip()), "unknown")
        frames = _FRAME.findall("\n".join(last))
        return raised.partition(":")[0], "{}:{} {}".format(*frames[-1]) if frames else ""
    if status > 2:
        return f"status {status}", ""
    if status and not text.strip():
        return "no message", ""
    return "", ""


def _first(pattern: re.Pattern[str], text: str) -> str:
    """Where a stack that begins with the innermost call enters this project."""
    found = pattern.search(text)
    return "{}:{}".format(*found.groups()) if found else ""
