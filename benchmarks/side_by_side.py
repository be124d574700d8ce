"""Compares two implementations by calling them alternately in two processes."""

import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

# Each process uses a single core, because the CPU time of several threads would be meaningless.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Run:
    """Holds the result of a call, the CPU time of the call, and the peak memory of the process."""

    result: np.ndarray
    cpu_s: float
    peak_mib: float


@dataclass(frozen=True)
class Comparison:
    """Holds the results and the CPU times of both implementations for the same case."""

    case: str
    ours: Run
    peer: Run

    @property
    def ratio(self) -> float:
        """CPU time of the other implementation divided by the CPU time of our implementation."""
        return self.peer.cpu_s / self.ours.cpu_s

    @property
    def difference(self) -> float:
        """Largest absolute difference between the two results; two NaN values count as equal."""
        both_nan = np.isnan(self.ours.result) & np.isnan(self.peer.result)
        difference = np.where(both_nan, 0.0, self.ours.result - self.peer.result)
        return float(np.abs(difference).max())


def compare(
    ours: Callable[..., Any],
    peer: Callable[..., Any],
    warm_up: tuple[Any, ...],
    cases: Iterable[tuple[str, tuple[Any, ...]]],
) -> Iterator[Comparison]:
    """Call both implementations alternately with the arguments of each case.

    Args:
        ours: function of our implementation, which must be defined in a module and return numbers.
        peer: function of the other implementation, with the same requirements.
        warm_up: arguments of a first call. This call includes imports and compilation, and is not
            measured.
        cases: name and arguments of each case.
    """
    os.environ.update(_ONE_THREAD)
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(1, context) as our_process,
        ProcessPoolExecutor(1, context) as peer_process,
    ):
        our_process.submit(_run, ours, warm_up).result()
        peer_process.submit(_run, peer, warm_up).result()
        for name, arguments in cases:
            our_run = our_process.submit(_run, ours, arguments).result()
            peer_run = peer_process.submit(_run, peer, arguments).result()
            yield Comparison(name, our_run, peer_run)


def _run(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Run:
    start_s = time.process_time()
    result = function(*arguments)
    cpu_s = time.process_time() - start_s
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Run(np.atleast_1d(np.asarray(result, dtype=float)), cpu_s, peak_kib / 1024)


def report(comparisons: Iterable[Comparison]) -> None:
    """Print a line for each case when it is finished, then a summary of all cases."""
    print(f"{'case':32} {'ours s':>8} {'peer s':>8} {'ratio':>7} {'difference':>11}")
    done = []
    for case in comparisons:
        done.append(case)
        print(
            f"{case.case:32} {case.ours.cpu_s:8.3f} {case.peer.cpu_s:8.3f} "
            f"{case.ratio:7.1f} {case.difference:11.1e}",
            flush=True,
        )
    ratios = [case.ratio for case in done]
    print(
        f"\nmedian ratio {np.median(ratios):.1f} (CPU time, one core; from {min(ratios):.1f} to "
        f"{max(ratios):.1f}), largest difference {max(case.difference for case in done):.1e}"
    )
    print(
        f"peak memory  {max(case.ours.peak_mib for case in done):.0f} MiB, "
        f"peer {max(case.peer.peak_mib for case in done):.0f} MiB, libraries included"
    )
