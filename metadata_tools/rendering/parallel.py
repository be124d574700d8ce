"""Runs tasks in several processes, which end when their parent process ends."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(work: Callable[[T], R], tasks: Sequence[T], processes: int) -> Iterator[R]:
    """Call a function for each task, and yield the results in the order of the tasks.

    Args:
        work: function to call, which must be defined in a module, because it is pickled.
        tasks: list of the arguments; each task is the argument of one call.
        processes: number of processes. If the number of processes is 1, all calls are made in this
            process.

    Raises:
        ChildProcessError: a process was killed, for example because memory was exhausted.
    """
    if processes == 1:
        yield from map(work, tasks)
        return
    earlier = set(multiprocessing.active_children())
    # Use spawn, because a forked child inherits the state of the threads of numerical libraries.
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
    """Make this process end silently after Ctrl-C; the parent process reports the interruption."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
