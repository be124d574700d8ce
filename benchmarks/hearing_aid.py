"""Compare our hearing aid with pyclarity's compressor: `python -m benchmarks.hearing_aid`."""

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
from clarity.enhancer.multiband_compressor import MultibandCompressor

from benchmarks.side_by_side import compare, report
from benchmarks.sounds import EARS, HEARING_AID, RATE_HZ, stem


def cases(seconds: float) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the name of each case, and the arguments of :func:`ours` and :func:`peer`."""
    music = stem(seconds, 1) + stem(seconds, 2)
    for ear in EARS:
        yield ear, (music, ear)
        yield f"{ear}, 20 dB louder", (10 * music, ear)


def ours(signal: np.ndarray, ear: str) -> np.ndarray:
    """Amplify a signal with our hearing aid."""
    return HEARING_AID.amplify_ear(signal, EARS[ear].compression)


def peer(signal: np.ndarray, ear: str) -> np.ndarray:
    """Amplify a signal with pyclarity's hearing aid."""
    compression = EARS[ear].compression
    device = MultibandCompressor(list(HEARING_AID.crossover_frequencies), RATE_HZ)
    device.set_compressors(
        attack=np.array(HEARING_AID.attack),
        release=np.array(HEARING_AID.release),
        threshold=np.array(HEARING_AID.threshold),
        ratio=np.array(compression.ratios),
        makeup_gain=np.array(compression.gains_db),
    )
    output: np.ndarray = device(signal)[0]
    return output


def main() -> None:
    """Run the command: compare both implementations, and print the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hearing_aid", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="duration of the signal")
    seconds = parser.parse_args().seconds
    _, warm_up = next(cases(1.0))
    report(compare(ours, peer, warm_up, cases(seconds)))


if __name__ == "__main__":
    main()
