"""Averages the weights of networks, such as those of a network before and after fine-tuning.

python -m cmss.training.average WEIGHTS.safetensors... MEAN.safetensors

If several networks are fine-tuned from the same weights, a network with the mean of their weights
often has a lower loss than each of the networks (Wortsman et al. 2022, "Robust fine-tuning of
zero-shot models", CVPR). The reason is that the weights of all these networks lie in the same basin
of the loss.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from cmss.command_line import exit_status
from cmss.errors import InputError
from cmss.files.digests import file_sha256
from cmss.files.output_file import check_output_file
from cmss.models.checkpoint import load_checkpoint
from cmss.models.weights_file import read_weights, write_weights


def average(weights: Sequence[Path], mean: Path) -> None:
    """Average the weights of several files, and write the mean to a new file in single precision.

    The new file gets the header of the last file. The entry `mean_of` is added to the header, with
    the name and the digest of each file.

    Args:
        weights: paths of at least one file of weights, all of the same network.
        mean: path of the new file.

    Raises:
        InputError: a file cannot be read, or the network of a file differs from the network of the
            first file.
    """
    networks = [load_checkpoint(path) for path in weights]
    states = [network.state_dict() for network in networks]
    forms = [
        (type(network), {key: value.shape for key, value in state.items()})
        for network, state in zip(networks, states, strict=True)
    ]
    for path, form in zip(weights, forms, strict=True):
        if form != forms[0]:
            raise InputError(f"{path}: expected weights of the same network as in {weights[0]}")
    tensors = {key: torch.stack([s[key].float() for s in states]).mean(0) for key in states[0]}
    names = [f"{path.name} sha256 {file_sha256(path)}" for path in weights]
    header = {**read_weights(weights[-1])[1], "mean_of": "\n".join(names)}
    write_weights(mean, tensors, header)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program with a command line, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cmss.training.average", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("weights", type=Path, nargs="+", metavar="WEIGHTS.safetensors",
        help="paths of the weights files to average")  # fmt: skip
    parser.add_argument("mean", type=Path, metavar="MEAN.safetensors",
        help="path of the new weights file")  # fmt: skip
    options = parser.parse_args(arguments)

    def work() -> str:
        check_output_file(options.mean, "mean", inputs=options.weights)
        average(options.weights, options.mean)
        return f"{options.mean}: the mean of {len(options.weights)} files"

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
