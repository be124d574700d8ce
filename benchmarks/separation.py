"""Compare our Conv-TasNet with the official module; both have the same random weights.

    python -m benchmarks.separation [--seconds 15] [--bfloat16]

The network has the published size and processes one excerpt at a time. Our network is also measured
with matrix products in bfloat16, if the processor supports bfloat16 or --bfloat16 is given; the
official module always uses float32.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recipes.cad2.task2.ConvTasNet.local.tasnet import ConvTasNetStereo

from benchmarks.official import PUBLISHED, random_network
from benchmarks.side_by_side import compare, report
from benchmarks.sounds import stem
from cmss.machine.memory import keep_freed_memory
from cmss.machine.processor import has_bfloat16
from cmss.models.convtasnet import ConvTasNet


def cases(weights: Path, seconds: float, bfloat16: bool) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the name of each case, and the arguments of :func:`ours` and :func:`peer`."""
    ears = [stem(seconds, 1) + stem(seconds, ear) for ear in (2, 3)]
    mixture = np.stack(ears).astype(np.float32)
    yield f"float32, {seconds:g} s", (weights, mixture, "float32")
    if bfloat16:
        yield f"bfloat16, {seconds:g} s", (weights, mixture, "bfloat16")


@cache
def _ours(weights: Path) -> ConvTasNet:
    keep_freed_memory()  # enhance.py also calls this function.
    return ConvTasNet.from_pretrained(weights)


@cache
def _official(weights: Path) -> ConvTasNetStereo:
    return ConvTasNetStereo.from_pretrained(weights).eval()


@torch.inference_mode()
def ours(weights: Path, mixture: np.ndarray, precision: str) -> np.ndarray:
    """Separate with our network, and divide the estimates by the peak of the mixture."""
    with torch.autocast("cpu", torch.bfloat16, precision == "bfloat16"):
        estimates = _ours(weights)(torch.from_numpy(mixture)[None])
    return estimates.numpy() / np.abs(mixture).max()


@torch.inference_mode()
def peer(weights: Path, mixture: np.ndarray, precision: str) -> np.ndarray:  # noqa: ARG001
    """Separate with the official module, and divide the estimates by the peak of the mixture."""
    estimates: np.ndarray = _official(weights)(torch.from_numpy(mixture)[None]).numpy()
    return estimates / np.abs(mixture).max()


def main(arguments: Sequence[str] | None = None, size: dict[str, int] = PUBLISHED) -> None:
    """Run the command: compare both implementations, and print the results.

    Args:
        arguments: command-line arguments. If `arguments` is None, the arguments of the process are
            used.
        size: arguments that set the size of the network.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.separation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=15.0, help="duration of the excerpt")
    parser.add_argument("--bfloat16", action="store_true", default=has_bfloat16(),
        help="measure bfloat16 even if the processor does not support it")  # fmt: skip
    options = parser.parse_args(arguments)
    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as name:
        weights = Path(name, "network")
        random_network(size).save_pretrained(weights)
        _, warm_up = next(cases(weights, 0.5, bfloat16=False))
        report(compare(ours, peer, warm_up, cases(weights, options.seconds, options.bfloat16)))


if __name__ == "__main__":
    main()
