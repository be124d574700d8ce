import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cmss.atomic import alone, atomic_file, atomic_folder, clear_stale, is_temporary, write_text
from cmss.errors import InputError

ROOT = Path(__file__).parents[1]

WAITING = """
import sys
from pathlib import Path
from cmss.atomic import alone, atomic_file, atomic_folder

folder = Path(sys.argv[1])
with (
    atomic_file(folder / "a.txt") as file,
    atomic_folder(folder / "b") as inner,
    alone(folder / ".work.lock", "waiting"),
):
    file.write_text("half")
    (inner / "c.txt").write_text("half")
    print("ready", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def another(tmp_path):
    """A process in the middle of writing a file and a folder, at work alone."""
    command = [sys.executable, "-c", WAITING, str(tmp_path)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def write_half_of(result, name_in):
    with result as temporary:
        name_in(temporary).write_text("half")
        raise ZeroDivisionError


def test_a_file_appears_when_the_block_ends_and_not_before(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with atomic_file(path) as temporary:
        temporary.write_text("whole")
        assert is_temporary(temporary)
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]
    assert not is_temporary(path)


def test_a_failed_block_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old\n")
    with pytest.raises(ZeroDivisionError):
        write_half_of(atomic_file(path), lambda temporary: temporary)
    assert path.read_bytes() == b"old\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_replaces_the_old_one_whole(tmp_path):
    path = tmp_path / "folder"
    for name in ("old", "new"):
        with atomic_folder(path) as temporary:
            (temporary / name).write_text(name)
    assert [file.name for file in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_block_leaves_the_old_folder(tmp_path):
    path = tmp_path / "folder"
    with atomic_folder(path) as temporary:
        (temporary / "old").write_text("old")
    with pytest.raises(ZeroDivisionError):
        write_half_of(atomic_folder(path), lambda temporary: temporary / "half")
    assert [file.name for file in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_names_its_file(tmp_path):
    path = tmp_path / "a.txt"

    def fill_the_disk() -> None:
        with atomic_file(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match=f"No space left on device: '{path}'"):
        fill_the_disk()
    assert list(tmp_path.iterdir()) == []


# Other processes.


def test_what_a_living_process_writes_is_left_alone(tmp_path, another):
    before = sorted(tmp_path.iterdir())
    assert len(before) == 3
    clear_stale(tmp_path)
    assert sorted(tmp_path.iterdir()) == before
    another.communicate("go on\n")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.txt", "b", "c.txt"]
    assert (tmp_path / "a.txt").read_text() == "half"


def test_what_a_killed_process_left_is_cleared(tmp_path, another):
    write_text(tmp_path / "kept.txt", "whole")
    another.kill()
    another.wait()
    left = [path for path in tmp_path.iterdir() if is_temporary(path)]
    assert len(left) == 2
    clear_stale(tmp_path)
    with alone(tmp_path / ".work.lock", "a second time"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_two_processes_are_not_at_the_same_work(tmp_path, another):
    with (
        pytest.raises(InputError, match=f"{tmp_path}: another process is at work on it: third"),
        alone(tmp_path / ".work.lock", "third"),
    ):
        pass
    with alone(tmp_path / ".other.lock", "other work"):
        pass
    another.communicate("go on\n")
    with alone(tmp_path / ".work.lock", "after it"):
        assert (tmp_path / ".work.lock").exists()
    assert not (tmp_path / ".work.lock").exists()


def test_a_lock_deleted_by_its_last_holder_is_not_taken_for_the_next(tmp_path, monkeypatch):
    """Another process may let go between the opening of the lock file and the locking."""
    path = tmp_path / ".work.lock"
    real, opened = os.open, []

    def let_go_after_the_first(*args):
        opened.append(real(*args))
        if len(opened) == 1:
            path.unlink()
        return opened[-1]

    monkeypatch.setattr(os, "open", let_go_after_the_first)
    with alone(path, "work"):
        assert len(opened) == 2
        assert os.path.samestat(path.stat(), os.fstat(opened[1]))
