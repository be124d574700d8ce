"""The mean of the weights of some networks: of one as it was and as it is after going on.

python -m cmss.training.average WEIGHTS.safetensors... MEAN.safetensors

Networks that went on from the same weights lie in one valley of the loss, and between them it is
often lower than at either (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", CVPR).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from cmss.command_line import exit_status
from cmss.errors import InputError
from cmss.files.output_file import check_output_file
from cmss.models.checkpoint import Network, load_checkpoint
from cmss.models.weights_file import read_weights, write_weights


def average(weights: Sequence[Path], mean: Path) -> None:
    """Write the mean of weights in single precision, with the header of the last.

    Args:
        weights: of the same network, at least one.
        mean: a new file.

    Raises:
        InputError: one cannot be read, or is of another network than the first.
    """
    networks = [load_checkpoint(path) for path in weights]
    kinds = [(type(network), _shapes(network)) for network in networks]
    for path, kind in zip(weights, kinds, strict=True):
        if kind != kinds[0]:
            raise InputError(f"{path}: another network than {weights[0]}")
    states = [network.state_dict() for network in networks]
    tensors = {key: torch.stack([s[key].float() for s in states]).mean(0) for key in states[0]}
    write_weights(mean, tensors, read_weights(weights[-1])[1])


def _shapes(network: Network) -> dict[str, torch.Size]:
    return {key: value.shape for key, value in network.state_dict().items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m cmss.training.average", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("weights", type=Path, nargs="+", metavar="WEIGHTS.safetensors")
    parser.add_argument("mean", type=Path, metavar="MEAN.safetensors", help="a new file")
    options = parser.parse_args(arguments)

    def work() -> str:
        check_output_file(options.mean, "mean", inputs=options.weights)
        average(options.weights, options.mean)
        return f"{options.mean}: the mean of {len(options.weights)} files"

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
