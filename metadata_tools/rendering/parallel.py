"""Tasks in several processes, which end if their parent ends."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(work: Callable[[T], R], tasks: Sequence[T], processes: int) -> Iterator[R]:
    """Yield the results of some tasks, in their order.

    Args:
        work: a function of a module, which can be pickled.
        tasks: its arguments.
        processes: number of processes; with 1, all tasks are done in this process.

    Raises:
        ChildProcessError: a process was killed, as by the system when memory is exhausted.
    """
    if processes == 1:
        yield from map(work, tasks)
        return
    earlier = set(multiprocessing.active_children())
    # spawn, because a forked child inherits the state of the threads of numerical libraries.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_end_when_interrupted) as pool:
        try:
            yield from pool.map(work, tasks)
        except BrokenProcessPool as error:
            raise ChildProcessError(
                "a process was killed, perhaps because memory is exhausted; ask for fewer processes"
            ) from error
        except BaseException:
            # Do not wait for the running tasks, whose results are no longer needed.
            for child in set(multiprocessing.active_children()) - earlier:
                child.terminate()
            raise


def _end_when_interrupted() -> None:
    """End without a message at Ctrl-C, which reaches all processes; the parent reports it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
