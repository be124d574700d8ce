"""Compare our HAAQI with pyclarity: `python -m benchmarks.haaqi [--seconds 15] [--all]`.

The signal is one channel of a synthetic scene with two instruments. Seven types of processing are
applied to the signal. Then the hearing aid of the challenge amplifies the result. The hearing loss
of the five listeners ranges from none to severe. By default, each type of processing is scored for
a single listener. With --all, each type of processing is scored for all five listeners.
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
    """Process a target in several ways before amplification; `other` is the interference."""
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
    """Yield the name of each case, and the arguments of :func:`ours` and :func:`peer`."""
    first, second = stem(seconds, 1), stem(seconds, 2)
    target = first + 0.5 * second
    level1 = 65 - 20 * np.log10(np.sqrt(np.mean(target**2)))
    for number, (processing, signal) in enumerate(processed(target, second).items()):
        ears = list(EARS) if everything else [list(EARS)[number % len(EARS)]]
        for ear in ears:
            aided = HEARING_AID.amplify_ear(signal, EARS[ear].compression)
            # Quantise the signal to 16 bits at 32 kHz, as in enhanced files.
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
    """Run the command: compare both implementations, and print the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.haaqi", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="duration of the scene")
    parser.add_argument(
        "--all", action="store_true", help="score each type of processing for all listeners"
    )
    arguments = parser.parse_args()
    _, warm_up = next(cases(1.0, everything=False))
    report(compare(ours, peer, warm_up, cases(arguments.seconds, arguments.all)))


if __name__ == "__main__":
    main()
