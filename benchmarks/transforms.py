"""Figure of STFT and STDCT of an excerpt, `python -m benchmarks.transforms [--out FILE.png]`.

These are the figures of the paper's section 2.1 (3 and 4): both transforms have the Hamming window
and the hop of Attentive MultiResUNet. The signal is the demo's first piece, a duet played by the
synthesiser. Prints the compactness of each transform: the fraction of its real numbers, largest
first, that contain 99 % of the energy.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from cmss.audio import resample
from cmss.command_line import exit_status
from cmss.files.atomic import atomic_file
from cmss.files.output_file import check_output_file
from cmss.models.arunet import ARUNetArguments
from cmss.transforms.stdct import stdct
from cmss.transforms.stft import stft
from metadata_tools.challenge.writer import SAMPLE_RATE_HZ
from metadata_tools.demo import play
from metadata_tools.notes.synthesiser import make_bank
from metadata_tools.rendering.sampler import Sampler
from metadata_tools.scores.arrange import instrument_of
from metadata_tools.scores.pieces import PIECES

SEED = 1
SHOWN_S = 4.0
DETAIL_S, DETAIL_HZ = (0.6, 1.0), (600.0, 800.0)
ENERGY = 0.99

_RANGE_DB = 80
_COLOURS = 40


def excerpt(sample_rate_hz: int) -> torch.Tensor:
    """Return the demo's first piece (samples,), the mean of both channels."""
    piece = PIECES[0]
    bank = make_bank(tuple({instrument_of(label) for label in piece.parts}), SEED)
    stems = play(piece, Sampler(bank), np.random.default_rng([SEED, 20, 0]))
    mixture = resample(np.sum(list(stems.values()), axis=0), SAMPLE_RATE_HZ, sample_rate_hz)
    return torch.from_numpy(mixture.mean(0)).double()


def compactness(coefficients: torch.Tensor) -> float:
    """Return the fraction of real numbers, largest first, with :data:`ENERGY` of the energy."""
    if coefficients.is_complex():
        coefficients = torch.view_as_real(coefficients)
    energy = coefficients.square().flatten().sort(descending=True).values.cumsum(0)
    return (torch.searchsorted(energy, ENERGY * energy[-1]).item() + 1) / len(energy)


def draw(
    spectra: torch.Tensor, coefficients: torch.Tensor, hop_s: float, highest_hz: float
) -> Figure:
    """Draw the levels of both transforms, and details: levels of the STFT, values of the STDCT.

    Args:
        spectra: STFT, complex (bins, frames).
        coefficients: STDCT, (bins, frames).
        hop_s: seconds from frame to frame.
        highest_hz: highest frequency of the bins.
    """
    figure = Figure(figsize=(8, 6), dpi=110, layout="constrained")
    panels = figure.subplots(2, 2, sharex="row", sharey="row")
    extent = (-hop_s / 2, (spectra.shape[1] - 0.5) * hop_s, 0, highest_hz)
    placed = {"extent": extent, "origin": "lower", "aspect": "auto", "interpolation": "nearest"}
    # Few colours make a small file.
    levels = {"cmap": mpl.colormaps["magma"].resampled(_COLOURS), "vmin": -_RANGE_DB, "vmax": 0}
    for column, (name, values) in enumerate((("STFT", spectra), ("STDCT", coefficients))):
        loudness = (20 * torch.log10(values.abs() / values.abs().max() + 1e-12)).numpy()
        image = panels[0, column].imshow(loudness, **levels, **placed)
        panels[0, column].set(title=f"{name}, level", xlim=(0, SHOWN_S))
        if name == "STFT":
            panels[1, column].imshow(loudness, **levels, **placed)
    figure.colorbar(image, ax=panels[0], label="dB")
    largest = coefficients.abs().max() / 2
    signs = {"cmap": mpl.colormaps["RdBu_r"].resampled(_COLOURS), "vmin": -1, "vmax": 1}
    values = panels[1, 1].imshow((coefficients / largest).numpy(), **signs, **placed)
    figure.colorbar(values, ax=panels[1], label="value, relative")
    panels[1, 0].set(title="STFT, level, detail", xlim=DETAIL_S, ylim=DETAIL_HZ)
    panels[1, 1].set(title="STDCT, value, detail")
    for left, right in panels:
        left.set(xlabel="time (s)", ylabel="frequency (Hz)")
        right.set(xlabel="time (s)")
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a PNG with a palette, which has a third of the size of full colours."""
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="png")
        with Image.open(temporary) as image:
            reduced = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        reduced.save(temporary, format="png", optimize=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transforms", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("docs/transforms.png"), metavar="FILE",
        help="default: %(default)s")  # fmt: skip
    options = parser.parse_args(arguments)

    def work() -> str:
        check_output_file(options.out, "--out", ".png")
        a = ARUNetArguments()
        signal, window = excerpt(a.samplerate), torch.hamming_window(a.L, dtype=torch.float64)
        spectra, coefficients = stft(signal, window, a.hop), stdct(signal, window, a.hop)
        save(draw(spectra, coefficients, a.hop / a.samplerate, a.samplerate / 2), options.out)
        of_stft, of_stdct = compactness(spectra), compactness(coefficients)
        return (
            f"{ENERGY:.0%} of the energy is in the largest {of_stft:.2%} of the STFT's real "
            f"numbers,\nand in {of_stdct:.2%} of the STDCT's; ratio {of_stdct / of_stft:.2f}"
        )

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
