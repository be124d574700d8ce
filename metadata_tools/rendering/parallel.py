"""Work shared out to processes that end with their parent, whatever ends it."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(work: Callable[[T], R], tasks: Sequence[T], processes: int) -> Iterator[R]:
    """Results of some tasks, in their order.

    Args:
        work: a function of a module.
        processes: with 1 everything is done in this one.

    Raises:
        ChildProcessError: a process was killed, as by the system when memory is exhausted.
    """
    if processes == 1:
        yield from map(work, tasks)
        return
    earlier = set(multiprocessing.active_children())
    # spawn: a child must not inherit the threads of numerical libraries.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_end_when_interrupted) as pool:
        try:
            yield from pool.map(work, tasks)
        except BrokenProcessPool as error:
            raise ChildProcessError(
                "a process was killed, perhaps because memory is exhausted; ask for fewer processes"
            ) from error
        except BaseException:
            # Nothing waits for the tasks in hand: their results are not wanted any more.
            for child in set(multiprocessing.active_children()) - earlier:
                child.terminate()
            raise


def _end_when_interrupted() -> None:
    """Ctrl-C reaches every process of a terminal; the parent alone says something about it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
