"""Distributes independent computations over the cores of the processor.

PyTorch distributes each operation over the cores. After each operation, the threads wait for each
other. On two cores, the default separator spends a fifth of its time waiting. If the processor also
runs other programs, the default separator spends most of its time waiting. The threads of this
module wait only rarely, because each thread computes independently for several milliseconds.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], device: str = "cpu"
) -> Iterator[Result]:
    """Apply a function to each item, in parallel threads that use a single core each.

    The function uses as many threads as PyTorch (`torch.set_num_threads`, OMP_NUM_THREADS). Nested
    calls of this function do not start further threads.

    Args:
        function: function whose calls do not depend on each other.
        items: the arguments of the calls.
        device: type of the device that computes, such as "cpu". If `device` is not "cpu", the calls
            run one after another.

    Yields:
        The results, in the order of the items.
    """
    items, threads = list(items), torch.get_num_threads()
    if threads == 1 or len(items) == 1 or device != "cpu":
        yield from map(function, items)
        return
    # PyTorch has separate settings for each thread. The new threads get the settings of the caller.
    inference = torch.is_inference_mode_enabled()
    gradients = torch.is_grad_enabled()
    autocast = torch.is_autocast_enabled("cpu")
    precision = torch.get_autocast_dtype("cpu")

    def run(item: Item) -> Result:
        with (
            torch.inference_mode(inference),
            torch.set_grad_enabled(gradients),
            torch.autocast("cpu", precision, autocast),
        ):
            return function(item)

    yield from _pool(threads).map(run, items)


def for_each(function: Callable[[Item], None], items: Iterable[Item]) -> None:
    """Call a function for each item, in parallel threads; see :func:`in_threads`."""
    for _ in in_threads(function, items):
        pass


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "cmss", torch.set_num_threads, (1,))


# A forked process does not contain the threads of its parent process. Therefore the forked process
# creates a new pool. Windows has no forks.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)
