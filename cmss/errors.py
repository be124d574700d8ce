"""Defines exceptions that end a program with a line for each problem instead of a traceback."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class ProblemsError(Exception):
    """Base class of the exceptions that report several problems.

    Args:
        problems: the messages, a line for each problem; each line names the file and the key.
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type["ProblemsError"], tuple[tuple[str, ...]]]:
        # Without this method, an exception from a worker process would have all problems in one
        # line.
        return type(self), (self.problems,)


class InputError(ProblemsError):
    """An input cannot be used. The message says which input it is and what was expected."""


class IncompleteError(ProblemsError):
    """Some results of a run could not be computed. All other results were written."""


@contextmanager
def noting(problems: list[str]) -> Iterator[None]:
    """Catch the errors of a block, add their messages to a list, and continue after the block.

    Args:
        problems: list that receives the messages of an InputError, or of a FloatingPointError,
            which reports a result that is not finite.
    """
    try:
        yield
    except InputError as error:
        problems += error.problems
    except FloatingPointError as error:
        problems.append(str(error))
