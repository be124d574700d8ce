"""A short fuzzing of every target, always with the same inputs; and that faults are found."""

import ctypes
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.attempts import attempt

ROOT = Path(__file__).parents[2]


def test_some_inputs_of_each_target_end_as_they_should(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--examples", "3", "--seed", "1", "--out", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) > 10
    assert not list(tmp_path.iterdir())


def refuse(status: int | str | None, text: str = ""):
    def work():
        print(text, end="", file=sys.stderr)
        raise SystemExit(status)

    return work


def wait_in_c():
    ctypes.CDLL(None).sleep(60)


def loop():
    while True:
        pass


def crash():
    os.abort()


def fill_memory():
    return np.ones(1 << 40).sum()


@pytest.mark.parametrize(
    ("work", "fault"),
    [
        (lambda: 0, ""),
        (lambda: None, ""),
        (refuse(2, "a.wav: truncated"), ""),
        (refuse("a.wav: truncated"), ""),
        (refuse(0, "a warning"), ""),
        (refuse(1), "no message"),
        (refuse(3, "a message"), "status 3"),
        (lambda: warnings.resetwarnings() or {}["key"], "KeyError"),
        (loop, "hang"),
        (wait_in_c, "hang"),
        (crash, "crash (SIGABRT)"),
        (fill_memory, "numpy._core._exceptions._ArrayMemoryError"),
    ],
)
def test_what_is_a_fault(tmp_path, work, fault):
    begin = time.monotonic()
    ended = attempt(work, tmp_path, cpu_limit_s=1, wall_limit_s=5)
    assert ended.fault == fault, ended.text
    assert ended.seconds <= time.monotonic() - begin
    assert ended.is_accepted == (not fault and ended.status == 0)
