"""Simulated failures of a cluster: one line, an exit status, no incomplete files."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from cmss.audio import read_header
from cmss.errors import InputError
from cmss.separators.official_convtasnet import ConvTasNetSeparator
from tests.support.published_networks import write_networks
from tests.support.tiny_challenge import RATE_HZ
from tests.support.tiny_run import (
    STAGES,
    TABLES,
    TinyRun,
    identities,
    new_run,
    results,
)

QUIET = "hydra.output_subdir=null"
"""Keeps hydra from being the first to write."""


@pytest.fixture(scope="module")
def run(server, tmp_path_factory):
    return new_run(server, tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def states(run):
    """The state of an uninterrupted run after each stage."""
    kept = {}
    for stage in STAGES:
        run.succeed(stage)
        kept[stage] = run.folder / f"after_{stage}"
        shutil.copytree(run.exp, kept[stage])
    return kept


@pytest.fixture
def fresh(run):
    """A run without results, which are deleted after the test."""
    shutil.rmtree(run.exp, ignore_errors=True)
    yield run
    shutil.rmtree(run.exp, ignore_errors=True)


def failed(run: TinyRun, stage: str, *overrides: str, status: int = 1, **limits: float) -> str:
    """Return the single line of a stage that fails; check that its files are complete."""
    done = run.call(stage, *overrides, **limits)
    assert (done.status, done.stdout) == (status, ""), done
    assert_nothing_is_half_written(run.exp)
    (line,) = done.stderr.splitlines()
    return line


def assert_nothing_is_half_written(exp: Path) -> None:
    for name in results(exp):
        assert not name.endswith((".tmp", ".lock")), name
        if name.endswith(".flac"):
            read_header(exp / name)
        if name in TABLES:
            assert (exp / name).read_bytes().endswith(b"\n")


def finishes(run: TinyRun, states: dict[str, Path], stage: str) -> None:
    """Check that a second call, without the obstacle, gives the results of an uninterrupted run."""
    before = identities(run.exp)
    run.succeed(stage)
    assert results(run.exp) == results(states[stage])
    assert identities(run.exp).items() >= before.items()


# Folders in which no file can be created.


@pytest.mark.parametrize("place", ["/proc/self/fd", "/proc/self"])
def test_a_folder_that_accepts_no_files_ends_enhancing_with_a_line(fresh, states, place):
    (fresh.exp / "enhanced_signals").mkdir(parents=True)
    (fresh.exp / "enhanced_signals/valid").symlink_to(place)
    line = failed(fresh, "enhance")
    assert re.fullmatch(
        rf"{fresh.exp}/enhanced_signals/valid/S5.*flac: cannot be created: .*", line
    )
    (fresh.exp / "enhanced_signals/valid").unlink()
    finishes(fresh, states, "enhance")


def test_a_run_in_such_a_place_ends_with_a_line(fresh):
    for place in ("/proc/none", "/proc/self/fd/none"):
        assert place in failed(fresh, "enhance", f"path.exp_folder={place}", QUIET)


# Disks.


@pytest.fixture
def small_disk(fresh) -> Iterator[Callable[[str], None]]:
    """Put the folder of the run on its own disk of 80 KiB; options are set by a new mount."""
    fresh.exp.mkdir()

    def mount(options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(fresh.exp)]
        return shutil.which("mount") is not None and not subprocess.run(command).returncode

    if not mount("size=80k"):
        pytest.skip("needs the right to mount a file system")
    yield lambda options: mount(f"remount,{options}")
    subprocess.run(["umount", str(fresh.exp)], check=True)


def test_a_full_disk_stops_enhancing(fresh, states, small_disk):
    line = failed(fresh, "enhance")
    assert line.startswith(f"{fresh.exp}/enhanced_signals/valid/S5")
    assert line.endswith("_remix.flac: No space left on device")
    assert 0 < len(identities(fresh.exp)) < 8
    small_disk("size=10m")
    finishes(fresh, states, "enhance")


def test_a_disk_that_was_full_before_is_a_line_too(fresh, small_disk):  # noqa: ARG001
    with (fresh.exp / "others").open("wb", buffering=0) as file:
        assert file.write(bytes(100_000)) < 100_000
    assert failed(fresh, "enhance").endswith("No space left on device")


def test_a_disk_that_is_only_read(fresh, states, small_disk):
    small_disk("size=10m")
    for stage in STAGES:
        small_disk("ro")
        line = failed(fresh, stage)
        assert line.startswith(str(fresh.exp))
        assert line.endswith("Read-only file system")
        small_disk("rw")
        finishes(fresh, states, stage)


@pytest.mark.parametrize(
    ("stage", "file", "bytes_"),
    [
        ("enhance", "enhanced_signals/valid/S50001_L5999_remix.flac", 10_000),
        ("evaluate", "components.csv", 1_100),
        ("merge_results", "submission_T000_noncausal.zip", 30_000),
    ],
)
def test_a_file_that_may_not_grow(fresh, states, stage, file, bytes_):
    """With a limit on the size of files, a write fails in its middle, as with a quota."""
    earlier = list(STAGES).index(stage) - 1
    if earlier >= 0:
        fresh.restore(states[list(STAGES)[earlier]])
    line = failed(fresh, stage, QUIET, largest_file=bytes_)
    assert line == f"{fresh.exp}/{file}: File too large"
    finishes(fresh, states, stage)


@pytest.mark.parametrize(
    ("folder", "line"),
    [("blocked", "blocked: File exists"), ("blocked/exp", "blocked/exp: Not a directory")],
)
def test_a_file_where_the_folder_should_be(fresh, folder, line):
    (fresh.folder / "blocked").write_text("in the way")
    done = fresh.call("enhance", f"path.exp_folder={folder}")
    assert (done.status, done.stdout, done.stderr) == (1, "", f"{line}\n")


# Damaged files.


def with_a_hole(path: Path) -> None:
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 9000] = bytes(9000)
    path.write_bytes(data)


def test_a_damaged_mixture_stops_before_anything_is_written(fresh, states):
    path = fresh.folder / "data" / "audio" / "trio" / "Mixture.flac"
    whole = path.read_bytes()
    with_a_hole(path)
    line = failed(fresh, "enhance", "separator=passthrough", status=2)
    assert line.startswith(f"{path}: truncated or damaged")
    assert results(fresh.exp) == {}
    path.write_bytes(whole)
    finishes(fresh, states, "enhance")


def test_a_damaged_stem_costs_its_track_alone(fresh, states):
    path = fresh.folder / "data" / "audio" / "duet" / "Oboe.flac"
    whole = path.read_bytes()
    with_a_hole(path)
    assert failed(fresh, "enhance").startswith(f"{path}: truncated or damaged")
    assert {name[:6] for name in identities(fresh.exp)} == {"S50002", "S50004"}
    path.write_bytes(whole)
    finishes(fresh, states, "enhance")


def test_a_damaged_enhanced_file_costs_its_score_alone(fresh, states):
    fresh.restore(states["enhance"])
    path = fresh.exp / "enhanced_signals" / "valid" / "S50002_L5999_remix.flac"
    with_a_hole(path)
    assert failed(fresh, "evaluate").startswith(f"{path}: truncated or damaged")
    rows = (fresh.exp / "scores.csv").read_text()
    assert rows.count("\n") == 8
    assert "S50002,trio,L5999" not in rows
    line = failed(fresh, "merge_results", status=2)
    assert line == "scores: scene S50002, listener L5999: no row"
    path.unlink()
    fresh.succeed("enhance")
    finishes(fresh, states, "evaluate")


def test_weights_that_were_cut_short(fresh):
    from importlib.resources import files

    weights = (files("cmss") / "weights" / "convtasnet_small.safetensors").read_bytes()
    path = fresh.folder / "cut.safetensors"
    for end in (0, 6, 500, len(weights) // 2, len(weights) - 1):
        path.write_bytes(weights[:end])
        line = failed(
            fresh, "enhance", "separator=convtasnet", f"separator.weights_from={path}", status=2
        )
        assert line.startswith(f"{path}: not a readable safetensors file")


# Networks and processes.


def test_a_network_that_gives_nan_costs_its_tracks_alone(fresh):
    folder = fresh.folder / "networks"
    write_networks(folder, ["Cello", "Oboe", "Viola", "Violin"])
    path = folder / "ConvTasNet_Oboe_NonCausal" / "model.safetensors"
    tensors = load_file(path)
    bad = {key: np.full_like(value, np.nan) for key, value in tensors.items()}
    save_file(tensors | {"decoder.basis_signals.weight": bad["decoder.basis_signals.weight"]}, path)
    network = ("separator=convtasnet", "separator.weights_from=networks", "separator.device=cpu")
    assert failed(fresh, "enhance", *network) == "duet: the estimate of source_2 is not finite"
    assert {name[:6] for name in identities(fresh.exp)} == {"S50002", "S50004"}
    # Another network of an instrument: tracks without this instrument do not change.
    save_file(tensors, path)
    before = identities(fresh.exp)
    assert "(4 of them before)" in fresh.call("enhance", *network).stdout
    assert identities(fresh.exp).items() >= before.items()
    assert len(identities(fresh.exp)) == 8


def processes_in(folder: Path) -> list[int]:
    """Return the scoring processes of a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            here = (process / "cwd").readlink() == folder
            if here and b"spawn_main" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:  # Ended, or without permission.
            continue
    return found


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="looks for processes in /proc")
def test_a_scoring_process_that_is_killed(fresh, states):
    fresh.restore(states["enhance"])
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(failed, fresh, "evaluate", "evaluate.jobs=2")
        wait_for(lambda: call.done() or processes_in(fresh.folder))
        os.kill(processes_in(fresh.folder)[0], signal.SIGKILL)
        line = call.result()
    assert line.startswith(
        "evaluate.jobs: a scoring process was killed, perhaps because memory was exhausted"
    )
    assert line.endswith("run the same command again to continue")
    finishes(fresh, states, "evaluate")


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="looks for processes in /proc")
def test_scoring_processes_end_with_the_one_that_started_them(fresh, states):
    fresh.restore(states["enhance"])
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(fresh.call, "evaluate", "evaluate.jobs=2", kill_after_s=2.0)
        wait_for(lambda: call.done() or processes_in(fresh.folder))
        assert call.result().status == -signal.SIGKILL
    wait_for(lambda: not processes_in(fresh.folder), seconds=30)
    finishes(fresh, states, "evaluate")


def test_a_hub_that_does_not_answer_is_given_up(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for name, value in (
            ("ENDPOINT", address),
            ("HF_HUB_CACHE", str(tmp_path)),
            ("HF_HUB_ETAG_TIMEOUT", 0.3),
            ("HF_HUB_OFFLINE", False),
        ):
            monkeypatch.setattr(huggingface_hub.constants, name, value)
        separator = ConvTasNetSeparator(RATE_HZ, weights_from="official", device="cpu")
        start = time.monotonic()
        with pytest.raises(InputError, match=r"ConvTasNet_Oboe_NonCausal is not in the hub's cach"):
            separator._load("Oboe")
        assert time.monotonic() - start < 10
