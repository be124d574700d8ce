"""Print the time of each part of our HAAQI: `python -m benchmarks.haaqi_parts [--seconds 15]`.

The signals are those of the second case of `benchmarks.haaqi`, a separated scene. For each part,
the table has the CPU time, the number of operations and the floor. The floor is the time that the
operations would take at the speed of a large matrix product on this processor. The operations were
counted in the source code. Each addition, multiplication, division, square root and integer
operation is one operation; an FFT of n samples is 2.5 n log2 n operations.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.haaqi import HAAQI_RATE_HZ, cases, ours
from cmss.hearing.haaqi import alignment, ear_model, index, kernels
from cmss.hearing.haaqi.filterbank import BANDS
from cmss.hearing.haaqi.noise import NormalDeviates
from cmss.hearing.haaqi.synchrony import MAX_LAG

REPETITIONS = 5


def parts(samples: int) -> dict[str, tuple[list[tuple[Any, str]], float, str]]:
    """Return the functions, the number of operations, and the data type of each part.

    Args:
        samples: length of the signals at 24 kHz.
    """
    values = 2 * BANDS * samples  # of both signals in all bands
    # Four signals are transformed in each band: envelope and motion of both signals.
    aligner = alignment.Aligner
    block = 32768
    blocks = -(-samples // (block - 2 * alignment.LAGS))
    transforms = BANDS * 4 * blocks * 2.5 * block * np.log2(block)
    # Segments overlap by half.
    covariances = BANDS * 2 * samples * 2 * (2 * MAX_LAG + 1)
    return {
        "carriers": ([(kernels, "demodulate")], 6 * values / 2, "float64"),
        "control filters": ([(kernels, "control_power")], 30 * values, "float64"),
        "gain of compression": ([(kernels, "compression_gain")], 45 * values, "float64"),
        "auditory filters": ([(kernels, "compressed_band")], 43 * values, "float64"),
        "alignment of bands": (
            [(aligner, "set_reference"), (aligner, "delay")],
            transforms + 8 * values,
            "float32",
        ),
        "noise": ([(NormalDeviates, "fill")], 40 * values, "float64"),
        "inner hair cells": ([(kernels, "inner_hair_cell")], 42 * values, "float64"),
        "synchrony": (
            [(ear_model, "covariances"), (ear_model, "motion_level_db")],
            covariances + 20 * values,
            "float64",
        ),
        "envelopes in dB": ([(ear_model, "smoothed")], 4 * values, "float64"),
        "delay of the signal": (
            [(index, "bulk_delay")],
            3 * 2.5 * 2 * samples * np.log2(2 * samples),
            "float64",
        ),
    }


def operations_per_s(precision: str) -> float:
    """Return the number of operations per second of a matrix product."""
    size = 1024
    matrix: NDArray[np.floating] = np.random.default_rng(0).standard_normal((size, size))
    matrix = matrix.astype(precision)
    times_s = []
    for _ in range(REPETITIONS):
        start_s = time.process_time()
        matrix @ matrix
        times_s.append(time.process_time() - start_s)
    return 2 * size**3 / min(times_s)


def timed(function: Callable[..., Any], name: str, seconds: dict[str, float]) -> Callable[..., Any]:
    """Wrap a function, and add the CPU time of each call to `seconds[name]`."""

    def call(*arguments: Any) -> Any:
        start_s = time.process_time()
        result = function(*arguments)
        seconds[name] += time.process_time() - start_s
        return result

    return call


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.haaqi_parts", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="length of the scene")
    arguments = parser.parse_args()
    _, case = next(islice(cases(arguments.seconds, everything=False), 1, None))
    ours(*case)  # compiles
    table = parts(round(arguments.seconds * HAAQI_RATE_HZ))
    seconds: dict[str, float] = defaultdict(float)
    for name, (functions, _, _) in table.items():
        for owner, attribute in functions:
            setattr(owner, attribute, timed(getattr(owner, attribute), name, seconds))
    fastest: dict[str, float] = defaultdict(lambda: np.inf)
    for _ in range(REPETITIONS):
        seconds.clear()
        start_s = time.process_time()
        ours(*case)
        total_s = time.process_time() - start_s
        seconds["others"] = total_s - sum(seconds.values())
        seconds["sum"] = total_s
        for name, value in seconds.items():
            fastest[name] = min(fastest[name], value)

    speed = {precision: operations_per_s(precision) for precision in ("float32", "float64")}
    print(f"{'':20} {'CPU ms':>7} {'10^9 operations':>16} {'floor, CPU ms':>14}")
    floors_ms = []
    for name, (_, operations, precision) in table.items():
        floors_ms.append(1e3 * operations / speed[precision])
        print(
            f"{name:20} {1e3 * fastest[name]:7.0f} {operations / 1e9:16.2f} {floors_ms[-1]:14.0f}"
        )
    print(f"{'others':20} {1e3 * fastest['others']:7.0f}")
    print(f"{'sum':20} {1e3 * fastest['sum']:7.0f} {'':16} {sum(floors_ms):14.0f}")


if __name__ == "__main__":
    main()
