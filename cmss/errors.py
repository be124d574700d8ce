"""The one exception for bad input: what a user gave cannot be used."""

from collections.abc import Iterable


class InputError(Exception):
    """Something that the user gave is wrong; the message says what, where, and what was expected.

    Args:
        problems: one line each, naming the file and the key. They are reported together.
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))
