"""Weights in eight bits instead of sixteen: half the file, and noise 45 dB below the weights.

python -m cmss.training.compress WEIGHTS.safetensors SMALLER.safetensors
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cmss.command_line import exit_status
from cmss.files.output_file import check_output_file
from cmss.models.checkpoint import load_checkpoint
from cmss.models.weights_file import eight_bits, read_weights, write_weights


def compress(weights: Path, smaller: Path) -> None:
    """Write the weights of a network in eight bits, its header as it is.

    Raises:
        InputError: they cannot be read.
    """
    load_checkpoint(weights)  # refuses what is no network of this project
    tensors, header = read_weights(weights)
    write_weights(smaller, eight_bits(tensors), header)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m cmss.training.compress", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("weights", type=Path, metavar="WEIGHTS.safetensors")
    parser.add_argument("smaller", type=Path, metavar="SMALLER.safetensors", help="a new file")
    options = parser.parse_args(arguments)

    def work() -> str:
        check_output_file(options.smaller, "smaller", inputs=[options.weights])
        compress(options.weights, options.smaller)
        return f"{options.smaller}: {options.smaller.stat().st_size / 1e6:.1f} MB"

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
