"""Ends of commands: a line that names the file, an exit status, no incomplete files."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest

from cmss.command_line import exit_status
from cmss.training import average, compress, publish
from metadata_tools import demo, samples, scenes, validate
from metadata_tools.rendering.parallel import in_parallel
from tests.support.challenge_set import digest
from tests.support.killed import kill_this_process

ROOT = Path(__file__).parents[1]
TOOLS = sorted(
    path.stem for path in (ROOT / "metadata_tools").glob("*.py") if not path.stem.startswith("_")
)
NEEDED = {"samples": "--samples", "philharmonia": "--samples", "soundfont": "--soundfont"}
NO_SOURCE = {"demo", "synth", "render"}


def command(tool, out):
    """Return the command line of a tool that writes to `out`."""
    if tool in ("validate", "scenes"):
        return [str(out)]
    source = [] if tool in NO_SOURCE else ["here"]
    return [*([NEEDED[tool]] if tool in NEEDED else []), *source, "--out", str(out)]


def one_line(capsys):
    done = capsys.readouterr()
    assert "Traceback" not in done.err
    (line,) = done.err.splitlines()
    return line


def test_all_tools_are_found():
    assert {"demo", "render", "validate", "scenes", "zenodo", "urmp"} <= set(TOOLS)
    assert len(TOOLS) == 16
    assert all(hasattr(import_module(f"metadata_tools.{tool}"), "main") for tool in TOOLS)


def test_the_package_lists_its_commands_without_importing_them():
    program = (
        "import runpy, sys\n"
        "try: runpy.run_module('metadata_tools', run_name='__main__')\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    listed = [line.split(maxsplit=1) for line in done.stdout.splitlines() if line[:1] == " "]
    assert [name for name, _ in listed] == TOOLS
    for name, purpose in listed:
        assert import_module(f"metadata_tools.{name}").__doc__.startswith(purpose + "\n")
        assert purpose.endswith(".")
    loaded = {name.split(".")[0] for name in done.stderr.split()}
    assert not loaded & {"numpy", "torch", "scipy", "pandas", "cmss", "hydra"}


@pytest.mark.parametrize("tool", TOOLS)
def test_an_empty_path_is_refused(tool, capsys):
    with pytest.raises(SystemExit) as ended:
        import_module(f"metadata_tools.{tool}").main(command(tool, ""))
    assert ended.value.code == 2
    assert "expected a path, got an empty text" in capsys.readouterr().err


@pytest.mark.parametrize("tool", ["demo", "synth"])
@pytest.mark.parametrize("place", ["a file", "below a file", "current", "long", "link"])
def test_a_place_that_cannot_be_written(tool, place, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("link")
    monkeypatch.chdir(tmp_path / "folder")
    out = {
        "a file": tmp_path / "file",
        "below a file": tmp_path / "file" / "deep" / "data",
        "current": Path(),
        "long": tmp_path / ("n" * 300),
        "link": tmp_path / "link" / "data",
    }[place]
    before = sorted(tmp_path.rglob("*"))
    assert import_module(f"metadata_tools.{tool}").main(["--out", str(out)]) in (1, 2)
    # For a cycle of links, the system names the link.
    assert str(out.parent if place == "link" else out) in one_line(capsys)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("main", [publish.main, average.main, compress.main])
def test_weights_that_cannot_be_read(main, tmp_path, capsys):
    assert main([str(tmp_path), str(tmp_path / "new")]) in (1, 2)
    assert str(tmp_path) in one_line(capsys)


def test_home_is_expanded_and_an_output_in_the_source_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "Cello").mkdir()
    assert samples.main(["--samples", "~", "--out", "~/Cello/notes"]) == 2
    assert f"lies in the input {tmp_path}; " in one_line(capsys)
    assert list((tmp_path / "Cello").iterdir()) == []


@pytest.mark.parametrize(
    ("tool", "option", "value"),
    [
        ("demo", "--seed", "-1"),
        ("demo", "--scenes-per-track", "0"),
        ("synth", "--spacing", "0"),
        ("synth", "--variety", "nan"),
        ("render", "--duration", "inf"),
        ("render", "--jobs", "-2"),
        ("render", "--doubled", "7"),
        ("urmp", "--seed", "-5"),
        ("scenes", "--listeners-per-scene", "1000000000000"),
    ],
)
def test_numbers_out_of_bounds(tool, option, value, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        import_module(f"metadata_tools.{tool}").main(
            [*command(tool, tmp_path / "x"), option, value]
        )
    assert ended.value.code == 2
    assert f"argument {option}: expected" in capsys.readouterr().err


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("commands") / "data"
    assert demo.main(["--out", str(root)]) == 0
    return root


def test_scenes_and_their_listeners_are_written_both_or_not_at_all(data, tmp_path, capsys):
    root = Path(shutil.copytree(data / "metadata", tmp_path / "data" / "metadata")).parent
    heard_by = root / "metadata" / "scene_listeners.valid.json"
    heard_by.unlink()
    heard_by.mkdir()
    before = digest(root)
    assert scenes.main([str(root), "--split", "valid", "--overwrite"]) == 1
    assert str(heard_by) in one_line(capsys)
    assert digest(root) == before


def test_a_full_device_and_a_reader_that_has_gone(data, monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    tool = [sys.executable, "-m", "metadata_tools.validate", "--quick", str(data)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(tool, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "validate: standard output: No space left on device\n",
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(tool, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_an_interrupted_command_leaves_nothing(tmp_path):
    started = subprocess.Popen(
        [sys.executable, "-m", "metadata_tools.synth", "--out", str(tmp_path / "notes")],
        stderr=subprocess.PIPE, text=True, cwd=ROOT,
        # Shells start background processes with this signal ignored, which children inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    while not list(tmp_path.iterdir()):
        assert started.poll() is None
        time.sleep(0.01)
    started.send_signal(signal.SIGINT)
    assert started.communicate()[1] == "synth: interrupted\n"
    assert started.returncode == 130
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_is_killed_is_one_line(capsys):
    status = exit_status(lambda: print(*in_parallel(kill_this_process, [1, 2], 2)), "render")
    assert status == 1
    assert "a process was killed" in one_line(capsys)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (PermissionError(13, "Permission denied", "/secret"), 1),
        (OSError("a decompressor's"), 1),
        (MemoryError(), 1),
        (FloatingPointError("not finite"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_what_ends_the_work_is_a_status(error, status, capsys):
    def fail():
        raise error

    assert exit_status(fail, "tool") == status
    assert one_line(capsys).startswith("tool: ")


def test_the_name_of_a_temporary_is_not_shown(data, capsys, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device", "/d/.x.json." + "0a" * 16 + ".tmp/a/b.flac")

    monkeypatch.setattr(validate, "validate", refuse)
    assert validate.main([str(data)]) == 1
    assert one_line(capsys) == "validate: /d/x.json/a/b.flac: No space left on device"
