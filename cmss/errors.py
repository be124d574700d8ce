"""Exceptions that end a program with a line for each problem instead of a traceback."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class ProblemsError(Exception):
    """Base of exceptions that report several problems, with a line for each problem.

    Args:
        problems: a line for each problem, which names the file and the key.
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type["ProblemsError"], tuple[tuple[str, ...]]]:
        # Otherwise an exception from a worker process would have one line with all problems.
        return type(self), (self.problems,)


class InputError(ProblemsError):
    """An input cannot be used; the message says which one, and what was expected."""


class IncompleteError(ProblemsError):
    """Some results of a run could not be computed; all others were written."""


@contextmanager
def noting(problems: list[str]) -> Iterator[None]:
    """Add the errors of a block to a list, and continue after the block.

    Args:
        problems: receives the lines of an InputError, or the message of a FloatingPointError, which
            a result that is not finite raises.
    """
    try:
        yield
    except InputError as error:
        problems += error.problems
    except FloatingPointError as error:
        problems.append(str(error))
