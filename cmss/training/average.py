"""The mean of the weights of some networks: of one as it was and as it is after going on.

python -m cmss.training.average WEIGHTS.safetensors... MEAN.safetensors

Networks that went on from the same weights lie in one valley of the loss, and between them it is
often lower than at either (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", CVPR).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cmss.errors import InputError
from cmss.models.checkpoint import load_checkpoint
from cmss.models.weights_file import read_weights, write_weights
from cmss.stage import exit_status


def average(weights: Sequence[Path], mean: Path) -> None:
    """Write the mean of weights in single precision, with the header of the last.

    Args:
        weights: of the same network, at least one.
        mean: a new file.

    Raises:
        InputError: one cannot be read, or is of another network than the first.
    """
    for path in weights:
        load_checkpoint(path)  # refuses what is no network of this project
    (tensors, header), *others = map(read_weights, weights)
    shapes = {key: value.shape for key, value in tensors.items()}
    for path, (more, header_of_it) in zip(weights[1:], others, strict=True):
        same = header_of_it["model"] == header["model"]
        if not same or {key: value.shape for key, value in more.items()} != shapes:
            raise InputError(f"{path}: another network than {weights[0]}")
        tensors = {key: value + more[key] for key, value in tensors.items()}
        header = header_of_it
    write_weights(mean, {key: value / len(weights) for key, value in tensors.items()}, header)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m cmss.training.average", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("weights", type=Path, nargs="+", metavar="WEIGHTS.safetensors")
    parser.add_argument("mean", type=Path, metavar="MEAN.safetensors", help="a new file")
    options = parser.parse_args(arguments)

    def work() -> str:
        average(options.weights, options.mean)
        return f"{options.mean}: the mean of {len(options.weights)} files"

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
