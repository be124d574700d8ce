"""How a program ends: messages for what goes wrong, and the exit status."""

import io
import os
import sys
from collections.abc import Callable

from cmss.errors import InputError, ProblemsError
from cmss.files.atomic import final_path

INTERRUPTED, READER_GONE = 130, 141
"""As shells count: 128 and the number of the signal, SIGINT or SIGPIPE."""


def exit_status(work: Callable[[], str | None], program: str = "") -> int:
    """Do the work of a program and print what came of it; no exception of the system gets out.

    Args:
        work: returns the text to print, if any.
        program: name to begin messages with.

    Returns:
        0; 2 if the input cannot be used; 1 if the system refuses to read or write, memory is
        exhausted, or a result is not finite, with a line for each problem; 130 if the user
        interrupts it; 141 if the reader of its output has gone.
    """
    # A file name may hold bytes that the terminal's encoding has no letter for.
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


def one_line(text: str) -> str:
    """Text as it can be printed in one line: names come from files, and may hold anything."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def reason(error: OSError) -> str:
    """The file and what the system said about it."""
    if error.errno is None:
        return str(error)
    name = error.filename2 or error.filename
    return f"{final_path(str(name))}: {error.strerror}" if name else str(error.strerror)


def _print(text: str | None) -> None:
    if text is not None:
        print(text)
    # Here rather than at the interpreter's end, where a failure would be a traceback.
    sys.stdout.flush()


def _output_works() -> bool:
    try:
        sys.stdout.flush()
    except OSError:
        _discard_output()
        return False
    return True


def _discard_output() -> None:
    """Let what is still buffered go nowhere, so that it cannot fail again at the end."""
    descriptor = os.open(os.devnull, os.O_WRONLY)
    os.dup2(descriptor, sys.stdout.fileno())
    os.close(descriptor)


def _say(program: str, problems: list[str] | tuple[str, ...], status: int) -> int:
    for problem in problems:
        print(one_line(f"{program}: {problem}" if program else problem), file=sys.stderr)
    return status
