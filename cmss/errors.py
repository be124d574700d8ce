"""The exceptions that end a run with a line for each problem, instead of a traceback."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class ProblemsError(Exception):
    """One line for each of several problems.

    Args:
        problems: one line each, naming the file and the key. They are reported together.
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type["ProblemsError"], tuple[tuple[str, ...]]]:
        # From another process the lines come back as they were.
        return type(self), (self.problems,)


class InputError(ProblemsError):
    """What the user gave cannot be used; the message says what, where, and what was expected."""


class IncompleteError(ProblemsError):
    """Some of a run's results could not be made; all others are there."""


@contextmanager
def noting(problems: list[str]) -> Iterator[None]:
    """Go on behind a block that fails for what its input is or gives; note why.

    Args:
        problems: receives the lines of an InputError, or that of a result which is not finite.
    """
    try:
        yield
    except InputError as error:
        problems += error.problems
    except FloatingPointError as error:
        problems.append(str(error))
