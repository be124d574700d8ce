"""Measure the time and memory of the default separator, and the time of the official module.

    python -m benchmarks.default [--seconds 15] [--players 4] [--precision float32] [--ours-only]

The program separates synthetic music. Each measurement is made in a separate process. For a minute
of music, the program prints:

- the wall time, the CPU time and the peak memory of the default separator on all cores;
- the CPU time of each part on one core; a part is a separator of the ensemble or a processing step;
- the number of floating-point operations that each part needs for convolutions and matrix products;
- a lower bound of the CPU time of each part: the time that these operations would take if the
  processor ran them as fast as the operations of a large matrix product;
- the CPU time of the official module (a Conv-TasNet of the published size for each player) on one
  core.

With these variables, a processor that has AVX-512 uses only AVX2 instructions:

    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 \\
        python -m benchmarks.default --precision float32
"""

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.official import PUBLISHED, official_enhance, random_network
from benchmarks.quartet import RATE_HZ, quartet
from cmss.machine.memory import keep_freed_memory
from cmss.machine.precision import AUTO, Precision, chosen_precision, data_type
from cmss.machine.processor import cores
from cmss.run.configuration import default_separator
from cmss.separators import Separator, build_separator
from cmss.separators.steps.chain import Stepped


def default(precision: Precision) -> Separator:
    """Build the default separator on the CPU with the given precision."""
    keep_freed_memory()  # enhance.py also calls this function.
    settings = {**default_separator(), "device": "cpu", "precision": precision}
    return build_separator(settings, RATE_HZ)


def total(seconds: float, players: int, precision: Precision = AUTO) -> tuple[float, float, float]:
    """Separate on all cores; return the wall time, the CPU time and the peak memory in MiB."""
    torch.set_num_threads(cores())
    mixture, sources = quartet(seconds, players)
    separator = default(precision)
    separator.prepare(sources.values())
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    separator.separate(mixture, sources)
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    return wall_s, cpu_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@dataclass
class Part:
    """Holds the CPU time and the number of floating-point operations of a separator or step."""

    cpu_s: float = 0.0
    operations: float = 0.0

    def measured(self, work: Callable[..., Any], counting: bool) -> Callable[..., Any]:
        """Wrap a method, so that each call adds its operation count or its CPU time to the totals.

        Args:
            work: method of the separator or the step.
            counting: True to count operations, False to measure CPU time.
        """

        def counted(*arguments: Any) -> Any:
            with FlopCounterMode(display=False) as counter:
                result = work(*arguments)
            self.operations += counter.get_total_flops()
            return result

        def timed(*arguments: Any) -> Any:
            before = time.process_time()
            result = work(*arguments)
            self.cpu_s += time.process_time() - before
            return result

        return counted if counting else timed


def measure_parts(separator: Any, parts: dict[str, Part], counting: bool) -> None:
    """Wrap the methods of the ensemble's separators and steps, so that they are measured.

    Args:
        separator: default separator. The methods of its separators and steps are replaced.
        parts: dict from the name of a separator or a step to its measurement; missing entries are
            added.
        counting: True to count operations, False to measure CPU time.
    """
    stepped = separator
    while not isinstance(stepped, Stepped):
        stepped = stepped.separator
    members = [member.separator for member in stepped.separator.members]
    works: list[tuple[str, Any, tuple[str, ...]]]
    works = [(member.name, member, ("separate",)) for member in members]
    works += [
        (f"{number}. {type(step).__name__}", step, ("learn", "apply"))
        for number, step in enumerate(stepped.steps, 1)
    ]
    for name, owner, methods in works:
        part = parts.setdefault(name, Part())
        for method in methods:
            work = getattr(type(owner), method).__get__(owner)
            # Steps are frozen dataclasses, so a plain assignment is refused.
            object.__setattr__(owner, method, part.measured(work, counting))


def by_part(
    seconds: float, players: int, precision: Precision
) -> tuple[float, dict[str, tuple[float, float]]]:
    """Separate on one core, and measure each separator of the ensemble and each step.

    Returns:
        The total CPU time in seconds, and a dict from the name of each separator or step to its CPU
        time in seconds and its number of floating-point operations.
    """
    torch.set_num_threads(1)
    mixture, sources = quartet(seconds, players)
    separator, parts = default(precision), dict[str, Part]()
    separator.prepare(sources.values())
    measure_parts(separator, parts, counting=True)
    separator.separate(mixture, sources)  # This call also serves as a warm-up.
    measure_parts(separator, parts, counting=False)
    before = time.process_time()
    separator.separate(mixture, sources)
    return time.process_time() - before, {
        name: (part.cpu_s, part.operations) for name, part in parts.items()
    }


def peak_speed(precision: Precision) -> float:
    """Return the number of operations per second of a large matrix product on one core."""
    torch.set_num_threads(1)
    a = torch.randn(1024, 1024, dtype=data_type(precision))
    best_s = np.inf
    for _ in range(10):
        before = time.process_time()
        torch.mm(a, a)
        best_s = min(best_s, time.process_time() - before)
    return 2 * 1024**3 / best_s


def official(seconds: float, players: int) -> float:
    """Separate on one core with an official network for each player, and return the CPU time."""
    torch.set_num_threads(1)
    mixture, _ = quartet(seconds, players)
    torch.manual_seed(1)
    network = random_network(PUBLISHED)
    separate_sources = official_enhance().separate_sources
    separate_sources(network, mixture[:, :RATE_HZ], RATE_HZ, number_sources=2)
    before = time.process_time()
    for _ in range(players):
        separate_sources(network, mixture, RATE_HZ, number_sources=2)
    return time.process_time() - before


def apart(work: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a new process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(work, *arguments).result()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command: measure the separators, and print the results."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.default",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=15.0, help="duration of the music")
    parser.add_argument(
        "--players", type=int, default=4, choices=range(2, 6), help="number of players"
    )
    parser.add_argument(
        "--ours-only", action="store_true", help="do not measure the official module"
    )
    parser.add_argument("--precision", choices=("auto", "bfloat16", "float32"), default="auto",
        help="precision of the default separator; auto selects as enhance.py does")  # fmt: skip
    options = parser.parse_args(arguments)
    precision = chosen_precision(options.precision)
    asked = (options.seconds, options.players)
    per_minute = 60 / options.seconds
    wall_s, cpu_s, peak_mib = apart(total, *asked, precision)
    print(f"{options.players} players, {options.seconds:g} s; per minute of music:")
    print(
        f"default, {cores()} cores: {wall_s * per_minute:.1f} s, "
        f"{cpu_s * per_minute:.1f} CPU seconds; peak memory {peak_mib:.0f} MiB"
    )
    speed = apart(peak_speed, precision)
    total_s, parts = apart(by_part, *asked, precision)
    print(
        f"\none core, {speed / 1e9:.0f} billion operations a second in a product of matrices in "
        f"{precision}"
    )
    print(f"{'':24} {'CPU s':>8} {'10^9 op.':>9} {'floor s':>8}")
    rest_s = total_s - sum(part_s for part_s, _ in parts.values())
    rows = [*parts.items(), ("pool, transforms", (rest_s, 0.0))]
    rows.append(("sum", (total_s, sum(operations for _, operations in parts.values()))))
    for name, (part_s, operations) in rows:
        floor_s = operations / speed
        print(
            f"{name:24} {part_s * per_minute:8.1f} {operations * per_minute / 1e9:9.0f} "
            f"{floor_s * per_minute:8.1f}"
        )
    if not options.ours_only:
        peer_s = apart(official, *asked)
        print(
            f"\nofficial module: {peer_s * per_minute:.0f} CPU seconds, "
            f"ratio {peer_s / total_s:.1f}"
        )


if __name__ == "__main__":
    main()
