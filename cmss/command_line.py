"""Prints the messages of the programs, and computes the exit status of each program."""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

from cmss.errors import InputError, ProblemsError
from cmss.files.atomic import final_path

INTERRUPTED, READER_GONE = 130, 141
"""Exit status after the signal SIGINT or SIGPIPE: 128 plus the number of the signal."""


def exit_status(work: Callable[[], str | None], program: str = "") -> int:
    """Run a program, and print either its result or a line for each problem.

    Args:
        work: function that runs the program and returns the text to print, or None.
        program: name of the program. Each message begins with this name.

    Returns:
        The exit status:
        0 for success;
        1 if a file cannot be read or written, memory is exhausted, or a result is not finite;
        2 if an input is not valid;
        130 if the user interrupts the program;
        141 if the program that reads the output has ended.
    """
    # Names of files may have bytes that the encoding of the terminal cannot represent.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        text = work()
        _print(text)
    except InputError as error:
        return _say(program, error.problems, 2)
    except ProblemsError as error:
        return _say(program, error.problems, 1)
    except BrokenPipeError:
        _discard_output()
        return READER_GONE
    except OSError as error:
        if error.filename is None and not _output_works():
            error.filename = "standard output"
        return _say(program, [reason(error)], 1)
    except FloatingPointError as error:
        return _say(program, [str(error)], 1)
    except MemoryError as error:
        return _say(
            program, [f"memory exhausted: {error}" if str(error) else "memory exhausted"], 1
        )
    except KeyboardInterrupt:
        return _say(program, ["interrupted"], INTERRUPTED)
    return 0


def started_as(module: str, command: str = "") -> str:
    """Return the words with which the user starts this program, as shown in the help text.

    Args:
        module: module of the program, for `python -m MODULE`.
        command: command of the console script `cmss` that runs the program; empty if there is no
            such command.
    """
    is_script = bool(command) and Path(sys.argv[0]).stem == "cmss"
    return f"cmss {command}" if is_script else f"python -m {module}"


def one_line(text: str) -> str:
    """Escape a text that has line breaks or characters that cannot be printed."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def reason(error: OSError) -> str:
    """Return the message of a system error; the file name comes first if the file is known."""
    if error.errno is None:
        return str(error)
    name = error.filename2 or error.filename
    return f"{final_path(str(name))}: {error.strerror}" if name else str(error.strerror)


def _print(text: str | None) -> None:
    if text is not None:
        print(text)
    # The output is flushed here, because Python prints a traceback if its final flush fails.
    sys.stdout.flush()


def _output_works() -> bool:
    try:
        sys.stdout.flush()
    except OSError:
        _discard_output()
        return False
    return True


def _discard_output() -> None:
    """Redirect buffered output to the null device, so that the final flush cannot fail again."""
    descriptor = os.open(os.devnull, os.O_WRONLY)
    os.dup2(descriptor, sys.stdout.fileno())
    os.close(descriptor)


def _say(program: str, problems: list[str] | tuple[str, ...], status: int) -> int:
    for problem in problems:
        print(one_line(f"{program}: {problem}" if program else problem), file=sys.stderr)
    return status
