"""Compare our HAAQI with pyclarity's, `python -m benchmarks.haaqi [--seconds 15] [--all]`.

The signal is one ear of a synthetic scene with two instruments, amplified by the hearing aid as in
the challenge. There are five listeners, from no loss to a severe loss, and seven types of
processing. Each type is scored for one listener, or for all five listeners with --all.
"""

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
from clarity.evaluator.haaqi import compute_haaqi as pyclaritys
from clarity.utils.audiogram import Audiogram

from benchmarks.side_by_side import compare, report
from benchmarks.sounds import EARS, HEARING_AID, RATE_HZ, separated, stem
from cmss.audio import resample
from cmss.hearing.haaqi import compute_haaqi

HAAQI_RATE_HZ = 24000


def processed(target: np.ndarray, other: np.ndarray) -> dict[str, np.ndarray]:
    """Return processed versions of a target before amplification; `other` is interference."""
    delay = round(0.1 * RATE_HZ)
    noise = np.random.default_rng(0).standard_normal(len(target))
    return {
        "true stems": target,
        "separated": separated(target, 0) + 0.3 * other,
        "noisy": target + 0.003 * noise,
        "clipped": np.clip(target, -0.012, 0.012),
        "silent ear": np.zeros_like(target),
        "100 ms late": np.concatenate((np.zeros(delay), target[:-delay])),
        "shorter": target[: -RATE_HZ // 2],
    }


def cases(seconds: float, everything: bool) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield each case: its name, and its arguments (processed signal, reference, ear, level)."""
    first, second = stem(seconds, 1), stem(seconds, 2)
    target = first + 0.5 * second
    level1 = 65 - 20 * np.log10(np.sqrt(np.mean(target**2)))
    for number, (processing, signal) in enumerate(processed(target, second).items()):
        ears = list(EARS) if everything else [list(EARS)[number % len(EARS)]]
        for ear in ears:
            aided = HEARING_AID.amplify_ear(signal, EARS[ear].compression)
            # Quantised to 16 bits at 32 kHz, as enhanced files are.
            saved = np.round(np.clip(resample(aided, RATE_HZ, 32000), -1, 1) * 32767) / 32768
            reference = HEARING_AID.amplify_ear(target, EARS[ear].compression)
            yield (
                f"{processing}, {ear}",
                (
                    resample(saved, 32000, HAAQI_RATE_HZ),
                    resample(reference, RATE_HZ, HAAQI_RATE_HZ),
                    ear,
                    level1,
                ),
            )


def ours(processed: np.ndarray, reference: np.ndarray, ear: str, level1: float) -> float:
    """Compute the score with our HAAQI."""
    np.random.seed(1)
    audiogram = EARS[ear].audiogram
    return compute_haaqi(processed, reference, HAAQI_RATE_HZ, HAAQI_RATE_HZ, audiogram, 2, level1)


def peer(processed: np.ndarray, reference: np.ndarray, ear: str, level1: float) -> float:
    """Compute the score with pyclarity's HAAQI."""
    np.random.seed(1)
    loss = EARS[ear].audiogram
    audiogram = Audiogram(
        levels=np.array(loss.levels_db), frequencies=np.array(loss.frequencies_hz)
    )
    return pyclaritys(processed, reference, HAAQI_RATE_HZ, HAAQI_RATE_HZ, audiogram, 2, level1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.haaqi", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="length of the scene")
    parser.add_argument("--all", action="store_true", help="all listeners for each processing")
    arguments = parser.parse_args()
    _, warm_up = next(cases(1.0, everything=False))
    report(compare(ours, peer, warm_up, cases(arguments.seconds, arguments.all)))


if __name__ == "__main__":
    main()
