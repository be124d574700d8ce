"""Provides functions for the commands that draw the plots of the documentation."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from cmss.audio import resample
from cmss.command_line import exit_status
from cmss.files.atomic import atomic_file
from cmss.files.output_file import check_output_file
from cmss.rendering.arrange import instrument_of
from metadata_tools.challenge.writer import SAMPLE_RATE_HZ
from metadata_tools.demo import play
from metadata_tools.notes.synthesiser import make_bank
from metadata_tools.rendering.sampler import Sampler
from metadata_tools.scores.pieces import PIECES

SHOWN_S = 4.0
"""Duration in seconds of the excerpt that the plots show."""


def excerpt(sample_rate_hz: int) -> torch.Tensor:
    """Return the first piece of the demo, averaged over both channels, as a tensor (samples,)."""
    piece = PIECES[0]
    # These are the seeds that `metadata_tools.demo --seed 1` uses.
    bank = make_bank(tuple({instrument_of(label) for label in piece.parts}), 1)
    stems = play(piece, Sampler(bank), np.random.default_rng([1, 20, 0]))
    mixture = resample(np.sum(list(stems.values()), axis=0), SAMPLE_RATE_HZ, sample_rate_hz)
    return torch.from_numpy(mixture.mean(0)).double()


def save(figure: Figure, path: Path) -> None:
    """Write a PNG file with a colour palette.

    The size of the file is a third of the size of a full-colour PNG file.
    """
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="png")
        with Image.open(temporary) as image:
            reduced = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        reduced.save(temporary, format="png", optimize=True)


def run(
    name: str,
    description: str,
    default: str,
    make: Callable[[], tuple[Figure, str]],
    arguments: Sequence[str] | None,
) -> int:
    """Run a command that draws a plot, and return the exit status.

    Args:
        name: name of the module in benchmarks that draws the plot.
        description: docstring of the module, which becomes the help text of the command.
        default: default name of the PNG file in docs/.
        make: function that draws the plot, and returns the plot with a text to print.
        arguments: command-line arguments. If `arguments` is None, the arguments of the process are
            used.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("docs", default), metavar="FILE",
        help="path of the PNG file; default: %(default)s")  # fmt: skip
    out = parser.parse_args(arguments).out

    def work() -> str:
        check_output_file(out, "--out", ".png")
        figure, text = make()
        save(figure, out)
        return text

    return exit_status(work)
