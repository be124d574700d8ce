"""Starts a desk for tests, with two separators that need no weights.

The separator `split` gives all frequencies below 300 Hz to the first player, and divides the higher
frequencies equally among the other players. The separator `sleeping` writes its process id to a
file and never ends.
"""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import soundfile

RATE_HZ = 44100
SEPARATORS = """
import os, time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass
class Split:
    sample_rate_hz: int
    weights: dict = field(default_factory=dict, init=False)

    def prepare(self, sources):
        pass

    def separate(self, mixture, sources):
        spectrum = np.fft.rfft(mixture)
        hertz = np.fft.rfftfreq(mixture.shape[-1], 1 / self.sample_rate_hz)
        low = np.where(hertz < 300, 1.0, 0.0)
        masks = [low, *[(1 - low) / (len(sources) - 1)] * (len(sources) - 1)]
        stems = [np.fft.irfft(mask * spectrum, mixture.shape[-1]) for mask in masks]
        return dict(zip(sources, np.float32(stems), strict=True))


@dataclass
class Sleeping(Split):
    def separate(self, mixture, sources):
        Path(os.environ["SLEEPING"]).write_text(str(os.getpid()))
        while True:
            time.sleep(0.05)
"""
LEVELS = [20.0, 20, 30, 45, 50, 60, 65, 70]


def order(**changed: Any) -> str:
    """Return the request path that starts a job, with changes to a valid order."""
    valid = {"title": "a.wav", "players": {"Violin": 1, "Cello": 1}, "left": LEVELS}
    return quoted({**valid, "right": LEVELS, "quality": "fast", **changed})


def quoted(value: Any) -> str:
    """Return the request path that starts a job, with any value as the order."""
    return f"/job?order={quote(json.dumps(value))}"


def music(seconds: float = 2.0, rate_hz: int = RATE_HZ) -> np.ndarray:
    """Return decaying notes of two players as an array (samples, 2)."""
    time = np.arange(int(seconds * rate_hz)) / rate_hz
    high, low = (
        sum(np.sin(2 * np.pi * hertz * n * time) / n for n in range(1, 4))
        * (0.1 + np.exp(-5 * (time * notes % 1)))
        for hertz, notes in ((440, 2), (82, 1))
    )
    return 0.1 * np.stack([0.7 * high + 0.3 * low, 0.3 * high + 0.7 * low], axis=1)


def write_music(path: Path, seconds: float = 2.0, rate_hz: int = RATE_HZ) -> Path:
    """Write a recording of two players."""
    soundfile.write(path, music(seconds, rate_hz), rate_hz, "FLOAT")
    return path


PROGRAM = "import sys; from cmss.commands.program import main; sys.exit(main())"
"""The command `cmss`, also where it is not installed."""


class RunningDesk:
    """Runs a desk in a separate process.

    Args:
        root: folder for the test separators. The results are in the subfolder `results`.
        options: command-line options of `cmss desk`.
    """

    def __init__(self, root: Path, *options: str) -> None:
        self.root = root
        self.results = root / "results"
        self.pid_file = root / "sleeping.pid"
        _install_separators(root / "separators")
        paths = [str(root / "separators"), *filter(None, sys.path)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "desk", "--port", "0", "--folder", self.results,
             *options],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1",
                 "SLEEPING": str(self.pid_file)},
        )  # fmt: skip
        assert self.process.stdout
        self.line = self.process.stdout.readline()
        found = re.match(r"http://127\.0\.0\.1:(\d+) ", self.line)
        assert found, self.line
        self.port = int(found[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "RunningDesk":
        return self

    def __exit__(self, *_: object) -> None:
        self.end(signal.SIGINT)

    def end(self, by: signal.Signals) -> int:
        """End the process with a signal, and return the exit status."""
        self.process.send_signal(by)
        assert self.process.stdout
        self.process.stdout.close()
        return self.process.wait(60)

    def ask(
        self, method: str, path: str, body: Any = None, **headers: str | None
    ) -> tuple[int, Any]:
        """Send a request like a page of the desk; return the status and the content.

        The content is decoded JSON if the response is JSON, and bytes otherwise.

        Args:
            method: method of the request.
            path: path and query of the request.
            body: body of the request.
            headers: further headers. The value None removes a default header.
        """
        status, _, content = self.ask_fully(method, path, body, **headers)
        return status, content

    def ask_fully(
        self, method: str, path: str, body: Any = None, **headers: str | None
    ) -> tuple[int, http.client.HTTPMessage, Any]:
        """Send a request, and return the status, the headers and the content of the response."""
        given = {"Host": f"127.0.0.1:{self.port}", "Origin": self.url, **headers}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.putrequest(method, path, skip_host=True)
            for name, value in given.items():
                if value is not None:
                    connection.putheader(name.replace("_", "-"), value)
            if body is not None and "Content_Length" not in given:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.headers.get_content_type() == "application/json":
            return answer.status, answer.headers, json.loads(content)
        return answer.status, answer.headers, content

    def finished(self, timeout_s: float = 240) -> dict[str, Any]:
        """Wait until the job ends, and return the state of the job."""
        return self.job_that(lambda job: job["state"] != "running", timeout_s)

    def job_that(self, condition: Any, timeout_s: float = 240) -> dict[str, Any]:
        """Wait until the state of the job fulfils a condition, and return the state."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            _, job = self.ask("GET", "/job")
            if condition(job):
                return job
            time.sleep(0.1)
        raise TimeoutError(job)

    def sleeping_pid(self, timeout_s: float = 180) -> int:
        """Wait until the separator `sleeping` runs, and return its process id."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if self.pid_file.exists() and (text := self.pid_file.read_text()):
                self.pid_file.unlink()
                return int(text)
            time.sleep(0.05)
        raise TimeoutError("the separator does not work")


def is_alive(pid: int) -> bool:
    """Return whether a process is still running."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _install_separators(folder: Path) -> None:
    """Write a package whose entry points register the test separators."""
    about = folder / "desk_separators-1.dist-info"
    about.mkdir(parents=True, exist_ok=True)
    (folder / "desk_separators.py").write_text(SEPARATORS)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: desk-separators\nVersion: 1\n")
    names = {"split": "Split", "sleeping": "Sleeping"}
    lines = [f"{name} = desk_separators:{cls}" for name, cls in names.items()]
    (about / "entry_points.txt").write_text("\n".join(["[cmss.separators]", *lines, ""]))
