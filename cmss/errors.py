"""Defines exceptions that end a program with a line for each problem instead of a traceback."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


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


def one_of(known: Iterable[str], name: object) -> str:
    """Return the end of a message about an unknown name: the known names, and the most similar one.

    Args:
        known: the known names.
        name: the unknown name, as the user gave it.
    """
    names = list(known)
    return f"expected one of {', '.join(names)}{did_you_mean(name, names)}"


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return a question about the most similar known name; empty if no name is similar.

    The question begins with a semicolon, so that it can follow any message.

    Args:
        name: the unknown name.
        known: the known names. For full keys such as `evaluate.jobs`, the last part alone is
            sufficient.
    """
    typed = str(name).lower()
    names = {known.lower(): known for known in known}
    ending = typed.rpartition(".")[2]
    endings = {known: known.rpartition(".")[2] for known in names}
    # A key in the wrong section is more likely than a similar key with another last part.
    same = [known for known in names if endings[known] == ending]
    close = get_close_matches(ending, endings.values(), 1, 0.75)
    found = [
        *get_close_matches(typed, same, 1, 0),
        *get_close_matches(typed, names, 1),
        *(known for known in names if endings[known] in close),
        # Saxophone and Sax have too few letters in common for get_close_matches.
        *(known for known in names if len(known) > 2 and typed.startswith(known)),
    ]
    return f"; did you mean {names[found[0]]}?" if found else ""
