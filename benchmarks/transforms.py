"""Draw the STFT and the STDCT of an excerpt: `python -m benchmarks.transforms [--out FILE.png]`.

The figure corresponds to Figures 3 and 4 of the report on the University of Thessaly's entry to the
challenge. The STFT and the STDCT use the Hamming window and the hop of Attentive MultiResUNet. The
signal is the first piece of the demo, a duet that the synthesiser plays. The command also prints
the compactness of each transform, which is the smallest fraction of the coefficients that contains
99 % of the energy.
"""

import sys
from collections.abc import Sequence

import matplotlib as mpl
import torch
from matplotlib.figure import Figure

from benchmarks.figures import SHOWN_S, excerpt, run
from cmss.models.arunet import ARUNetArguments
from cmss.transforms.stdct import stdct
from cmss.transforms.stft import stft

_RANGE_DB = 80
_COLOURS = 40


def compactness(coefficients: torch.Tensor) -> float:
    """Return the smallest fraction of the coefficients that contains 99 % of the energy."""
    # Each complex number counts as two real numbers.
    if coefficients.is_complex():
        coefficients = torch.view_as_real(coefficients)
    energy = coefficients.square().flatten().sort(descending=True).values.cumsum(0)
    return (torch.searchsorted(energy, 0.99 * energy[-1]).item() + 1) / len(energy)


def draw(
    spectra: torch.Tensor, coefficients: torch.Tensor, hop_s: float, highest_hz: float
) -> Figure:
    """Draw the levels of both transforms, and enlarge a part of each plot.

    The enlarged parts show levels of the STFT and signed values of the STDCT.

    Args:
        spectra: complex STFT (bins, frames).
        coefficients: real STDCT (bins, frames).
        hop_s: time from one frame to the next in seconds.
        highest_hz: highest frequency of the bins.
    """
    figure = Figure(figsize=(8, 6), dpi=110, layout="constrained")
    panels = figure.subplots(2, 2, sharex="row", sharey="row")
    extent = (-hop_s / 2, (spectra.shape[1] - 0.5) * hop_s, 0, highest_hz)
    placed = {"extent": extent, "origin": "lower", "aspect": "auto", "interpolation": "nearest"}
    # The plot has few colours, so that the PNG file is small.
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
    panels[1, 0].set(title="STFT, level, detail", xlim=(0.6, 1.0),
        ylim=(600, 800))  # fmt: skip
    panels[1, 1].set(title="STDCT, value, detail")
    for left, right in panels:
        left.set(xlabel="time (s)", ylabel="frequency (Hz)")
        right.set(xlabel="time (s)")
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status."""

    def make() -> tuple[Figure, str]:
        a = ARUNetArguments()
        signal, window = excerpt(a.samplerate), torch.hamming_window(a.L, dtype=torch.float64)
        spectra, coefficients = stft(signal, window, a.hop), stdct(signal, window, a.hop)
        of_stft, of_stdct = compactness(spectra), compactness(coefficients)
        text = (
            f"99% of the energy is in the largest {of_stft:.2%} of the STFT's real "
            f"numbers,\nand in {of_stdct:.2%} of the STDCT's; ratio {of_stdct / of_stft:.2f}"
        )
        return draw(spectra, coefficients, a.hop / a.samplerate, a.samplerate / 2), text

    return run("transforms", __doc__, "transforms.png", make, arguments)


if __name__ == "__main__":
    sys.exit(main())
