"""Defines exceptions that end a program with a line for each problem instead of a traceback."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import SequenceMatcher


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
    """An input cannot be used. The message names the input and states what was expected."""


class IncompleteError(ProblemsError):
    """Some results of a run could not be computed. All other results were written."""


@contextmanager
def noting(problems: list[str], key: str = "") -> Iterator[None]:
    """Catch the errors of a block, add their messages to a list, and continue after the block.

    Args:
        problems: list that receives the messages of an InputError, or of a FloatingPointError,
            which reports a result that is not finite.
        key: key that is put before each message; empty for none.
    """
    before = f"{key}: " if key else ""
    try:
        yield
    except InputError as error:
        problems += [before + line for line in error.problems]
    except FloatingPointError as error:
        problems.append(before + str(error))


def one_of(known: Iterable[str], name: object) -> str:
    """Return the end of a message about an unknown name: the known names and the most similar name.

    Args:
        known: the known names.
        name: the unknown name.
    """
    names = list(known)
    return f"expected one of {', '.join(names)}{did_you_mean(name, names)}"


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return a question that suggests the most similar known name; empty if no name is similar.

    The question, such as "; did you mean Cello?", begins with a semicolon, so that it can follow
    any message.

    Args:
        name: the unknown name.
        known: the known names. For a full key such as `evaluate.jobs`, it is enough that the last
            part is similar to the last part of `name`. In `name`, the section may be missing or
            wrong.
    """
    typed = str(name).lower()
    names = {known.lower(): known for known in known}
    ending = typed.rpartition(".")[2]
    endings = {known: known.rpartition(".")[2] for known in names}
    # The last part of a key is the most informative part; the section may be missing or wrong.
    close = _closest(ending, endings.values(), 0.7)
    found = _closest(typed, [key for key in names if endings[key] in close], 0.0)
    # Keys of the same section are similar, even if their last parts are not.
    if ending == typed:
        found += _closest(typed, names, 0.6)
        # Saxophone and Sax have too few letters in common.
        found += [known for known in names if len(known) > 2 and typed.startswith(known)]
    return f"; did you mean {names[found[0]]}?" if found else ""


def _closest(text: str, names: Iterable[str], least: float) -> list[str]:
    """Return a list with the most similar name; empty if the similarity is below `least`.

    If several names are equally similar, the first of these names is returned.

    Args:
        text: text that is compared with the names.
        names: the names.
        least: smallest similarity, from 0 (nothing in common) to 1 (equal).
    """
    ratios = {name: SequenceMatcher(None, name, text).ratio() for name in names}
    best = max(ratios, key=ratios.__getitem__, default=None)
    return [] if best is None or ratios[best] < least else [best]
