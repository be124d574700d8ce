import errno
import pickle

import pytest
from omegaconf import OmegaConf

from cmss.errors import IncompleteError, InputError
from cmss.run.stage import JobError, stage

CONFIG = OmegaConf.create(
    {
        "path": {"root": "???", "metadata": "${path.root}/metadata", "team": "???"},
        "given": 1,
        "dangling": "${nowhere}",
    }
)


def run(work, capsys) -> tuple[int, list[str]]:
    """Return the exit status and the lines on standard error."""
    with pytest.raises(SystemExit) as caught:
        stage(work)(CONFIG)
    printed = capsys.readouterr()
    assert printed.out == ""
    return caught.value.code, printed.err.splitlines()


def fail(error: Exception):
    def work(config):  # noqa: ARG001
        raise error

    return work


def test_what_works_is_left_alone(capsys):
    assert stage(lambda config: config.given + 1)(CONFIG) == 2
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("key", ["root", "metadata"])
def test_keys_without_a_value_are_named_and_not_what_is_made_from_them(key, capsys):
    assert run(lambda config: config.path[key], capsys) == (
        2,
        [
            "path.root: missing, expected path.root=VALUE on the command line",
            "path.team: missing, expected path.team=VALUE on the command line",
        ],
    )


def test_a_reference_to_nothing_is_a_line(capsys):
    status, (line,) = run(lambda config: config.dangling, capsys)
    assert status == 2
    assert line.startswith("dangling: ")
    assert "nowhere" in line


def test_each_problem_is_a_line(capsys):
    assert run(fail(InputError(["a: wrong", "b: missing"])), capsys) == (
        2,
        ["a: wrong", "b: missing"],
    )


@pytest.mark.parametrize("more", [0, 1, 30])
def test_the_first_of_many_problems_are_shown(more, capsys):
    problems = [f"{number}: wrong" for number in range(20 + more)]
    status, lines = run(fail(InputError(problems)), capsys)
    assert status == 2
    assert lines[:20] == problems[:20]
    assert lines[20:] == ([f"... and {more} more"] if more else [])


def test_a_result_that_is_no_number_is_status_1(capsys):
    assert run(fail(FloatingPointError("step 3: loss is nan")), capsys) == (
        1,
        ["step 3: loss is nan"],
    )


def test_results_that_could_not_be_made_are_status_1(capsys):
    error = IncompleteError(["a.flac: truncated", "b.flac: truncated"])
    assert run(fail(error), capsys) == (1, ["a.flac: truncated", "b.flac: truncated"])


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a.csv"), "a.csv: No space left on"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (ChildProcessError("a process was killed"), "a process was killed"),
    ],
)
def test_what_the_system_refuses_is_a_line_and_status_1(error, line, capsys):
    status, (told,) = run(fail(error), capsys)
    assert status == 1
    assert told.startswith(line)


def test_a_problem_is_one_line_whatever_its_names_hold(capsys):
    error = InputError(["a\nb.flac: \x1b[2J", "é.flac: ja"])
    assert run(fail(error), capsys) == (2, [r"a\nb.flac: \x1b[2J", "é.flac: ja"])


def test_problems_come_back_from_another_process_as_they_were():
    for error in (InputError(["a", "b"]), IncompleteError("c")):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert again.problems == error.problems


def test_what_ended_a_job_comes_back_as_it_was():
    again = pickle.loads(pickle.dumps(JobError("a: wrong", 2)))
    assert (again.text, again.status) == ("a: wrong", 2)


def test_a_mistake_of_the_program_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        stage(lambda config: config.given / 0)(CONFIG)
