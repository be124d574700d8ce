"""Work that ends with a kill; this module imports little, because new processes import it."""

import os
import signal
from typing import Any, NoReturn


def kill_this_process(_: int) -> NoReturn:
    """Kill the process, as the system does if memory is exhausted."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


class KilledAt:
    """Scores each pair with its name; kills the process of one pair.

    Args:
        name: name of this pair.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, pair: Any, reference: Any) -> str:  # noqa: ARG002
        if pair.name == self.name:
            kill_this_process(0)
        return str(pair.name)
