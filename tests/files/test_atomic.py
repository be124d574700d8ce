import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cmss.errors import InputError
from cmss.files import atomic
from cmss.files.atomic import (
    alone,
    atomic_file,
    atomic_folder,
    clear_stale,
    is_temporary,
    write_text,
)

ROOT = Path(__file__).parents[1]

WAITING = """
import sys
from pathlib import Path
from cmss.files import atomic
from cmss.files.atomic import alone, atomic_file, atomic_folder

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
    """A process that is writing a file and a folder, and holds a lock."""
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


def interrupted_at(line: int):
    """Return a trace function that interrupts atomic.py before the line with this number is run.

    The lines are counted in the order in which they run.
    """
    passed = 0

    def trace(frame, event, _):
        nonlocal passed
        if frame.f_code.co_filename != atomic.__file__:
            return None
        passed += event == "line"
        if passed == line:
            raise KeyboardInterrupt
        return trace

    return trace


@pytest.mark.parametrize("kind", [atomic_file, atomic_folder])
def test_an_interruption_at_any_line_leaves_the_result_or_nothing(tmp_path, kind):
    interruptions = 0
    for line in range(1, 1000):
        place = tmp_path / str(line)
        place.mkdir()
        earlier = sys.gettrace()
        sys.settrace(interrupted_at(line))
        try:
            with kind(place / "a"):
                pass
        except KeyboardInterrupt:
            interruptions += 1
            assert [path.name for path in place.iterdir()] in ([], ["a"])
        else:
            break
        finally:
            sys.settrace(earlier)
    # The interruptions include those during and after the creation, which is not the first line.
    assert interruptions > 10


def test_a_write_that_fails_names_its_file(tmp_path):
    path = tmp_path / "a.txt"

    def fill_the_disk() -> None:
        with atomic_file(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match=f"No space left on device: '{path}'"):
        fill_the_disk()
    assert list(tmp_path.iterdir()) == []


# Places and file systems with limitations.


@pytest.mark.parametrize("place", ["/proc", "/proc/self/fd", "/proc/sys"])
def test_where_nothing_can_be_created_an_error_names_the_file(place):
    path = Path(place) / "a"
    for result in (atomic_file(path), atomic_folder(path), alone(path, "work")):
        with pytest.raises(OSError, match=f"'{path}'"), result:
            pass
    with pytest.raises(OSError, match="'/proc/none"):
        write_text(Path("/proc/none/deep/a"), "")


def test_a_file_is_no_folder_to_write_to(tmp_path):
    write_text(tmp_path / "a.txt", "whole")
    with pytest.raises(NotADirectoryError, match="expected a folder, got a file"):
        write_text(tmp_path / "a.txt" / "b.txt", "")
    with (
        pytest.raises(NotADirectoryError, match="expected a folder"),
        atomic_folder(tmp_path / "a.txt"),
    ):
        pass
    assert (tmp_path / "a.txt").read_text() == "whole"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.txt"]


def delete_before_opening(monkeypatch, folder: Path, times: float) -> None:
    """Simulate another process that deletes a folder just before a file in it is opened."""
    real, done = os.open, []

    def delete_and_open(*arguments):
        if len(done) < times:
            done.append(arguments)
            subprocess.check_call(["rm", "-r", folder])  # `shutil.rmtree` also opens folders.
        return real(*arguments)

    monkeypatch.setattr(os, "open", delete_and_open)


@pytest.mark.parametrize("what", [atomic_file, atomic_folder, lambda path: alone(path, "work")])
def test_a_folder_that_is_deleted_meanwhile_is_made_again(tmp_path, monkeypatch, what):
    path = tmp_path / "exp" / "a"
    with monkeypatch.context() as patch:
        delete_before_opening(patch, path.parent, times=2)
        with what(path):
            assert any(path.parent.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "ATTEMPTS", 3)
        delete_before_opening(patch, path.parent, times=float("inf"))
        with (
            pytest.raises(FileNotFoundError, match=f"deleted again and again: '{path}'"),
            what(path),
        ):
            pass


def failing(number: int):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.EINVAL])
def test_without_locks_work_goes_on_and_says_so_once(tmp_path, monkeypatch, capsys, number):
    monkeypatch.setattr("fcntl.flock", failing(number))
    for _ in range(2):
        with alone(tmp_path / ".lock", "work"):
            write_text(tmp_path / "a.txt", "whole")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{tmp_path}: this file system has no locks")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_without_fsync_files_are_written_and_with_a_broken_disk_not(tmp_path, monkeypatch):
    for number in (errno.EINVAL, errno.ENOTSUP):
        monkeypatch.setattr(os, "fsync", failing(number))
        write_text(tmp_path / "a.txt", "whole")
    for number in (errno.EIO, errno.ESTALE, errno.EDQUOT):
        monkeypatch.setattr(os, "fsync", failing(number))
        with pytest.raises(OSError, match=f"{os.strerror(number)}: '{tmp_path / 'b.txt'}'"):
            write_text(tmp_path / "b.txt", "")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.ESTALE])
def test_a_rename_that_fails_loses_nothing_and_names_the_result(tmp_path, monkeypatch, number):
    path = tmp_path / "folder"
    with atomic_folder(path) as temporary:
        (temporary / "old").write_text("old")
    write_text(tmp_path / "a.txt", "old")
    real = os.rename

    def not_onto_the_result(source, target):
        if Path(target) == path and (Path(source) / "new").exists():
            raise OSError(number, os.strerror(number), str(source), None, str(target))
        real(source, target)

    monkeypatch.setattr(os, "rename", not_onto_the_result)
    monkeypatch.setattr(os, "replace", failing(number))
    with (
        pytest.raises(OSError, match=rf"{os.strerror(number)}: '{path}'$"),
        atomic_folder(path) as new,
    ):
        (new / "new").write_text("new")
    with pytest.raises(OSError, match=rf"{os.strerror(number)}: '{tmp_path / 'a.txt'}'$"):
        write_text(tmp_path / "a.txt", "new")
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")) == [
        "a.txt", "folder", "folder/old",
    ]  # fmt: skip
    assert (tmp_path / "a.txt").read_text() == "old"


# Other processes.


def test_a_lock_is_waited_for_with_a_word_and_not_for_ever(tmp_path, another, monkeypatch, capsys):
    monkeypatch.setattr(atomic, "_MESSAGE_AFTER_S", 0.05)
    monkeypatch.setattr(atomic, "WAIT_S", 0.2)
    with (
        pytest.raises(InputError, match="another process is working in this folder: notes"),
        alone(tmp_path / ".work.lock", "notes", wait=True),
    ):
        pass
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"waiting for another process to finish notes: {tmp_path / '.work.lock'}"
    monkeypatch.setattr(atomic, "WAIT_S", 60)
    another.stdin.write("go on\n")
    another.stdin.flush()
    with alone(tmp_path / ".work.lock", "notes", wait=True):
        another.wait()


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
        pytest.raises(
            InputError, match=f"{tmp_path}: another process is working in this folder: third"
        ),
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
    """Another process may release the lock after this one opens the file, before it locks it."""
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
