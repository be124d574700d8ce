"""Draw templates and activations of NMF: `python -m benchmarks.factors [--out FILE.png]`.

The figure corresponds to Figure 7 of the report on the University of Thessaly's entry to the
challenge. The figure shows the templates W and the activations H of non-negative matrix
factorisation for the first piece of the demo, a duet of flute and bassoon. W contains the templates
of the package, and H is fitted as in `separator=nmf`.
"""

import sys
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks import ROOT
from benchmarks.figures import SHOWN_S, excerpt, run
from cmss.nmf.dictionaries import load_dictionaries
from cmss.nmf.factors import initial_activations, update_activations

HIGHEST_HZ = 4000.0
"""Highest frequency in Hz that the figure shows."""

_RANGE_DB = 50
_COLOURS = 40


def fit(V: Tensor, templates: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Fit the activations H to the spectrogram V, and return the templates W and H.

    Shape: W has the shape (bands, components), and H has the shape (components, frames). The
    components are sorted by instrument and then by spectral centroid.
    """
    band = torch.arange(len(V), dtype=V.dtype)
    W = torch.cat([W[:, :, (band @ W[0]).argsort()] for W in templates.values()], -1)
    H = initial_activations(V, W)
    for _ in range(60):
        H = update_activations(V, W, H, "kl")
    return W[0], H


def draw(
    V: Tensor, W: Tensor, H: Tensor, centres_hz: Tensor, hop_s: float, sizes: Mapping[str, int]
) -> Figure:
    """Draw the spectrogram V, the templates W and the activations H.

    Args:
        V: spectrogram (bands, frames).
        W: templates (bands, components).
        H: activations (components, frames).
        centres_hz: centre frequencies (bands,) of the bands.
        hop_s: time from one frame to the next in seconds.
        sizes: number of components of each instrument, in the order of the columns of W.
    """
    figure = Figure(figsize=(8, 6), dpi=110, layout="constrained")
    panels = figure.subplot_mosaic([["V", "V"], ["W", "H"]], width_ratios=(1, 1.4))
    shown = int((centres_hz <= HIGHEST_HZ).sum())
    times = np.arange(V.shape[1]) * hop_s
    components, hz = np.arange(W.shape[1]), centres_hz[:shown].numpy()
    styles: dict[str, Any] = {
        "cmap": mpl.colormaps["magma"].resampled(_COLOURS),
        "vmin": -_RANGE_DB,
        "vmax": 0,
    }
    for name, x, y, values in (
        ("V", times, hz, V[:shown]),
        ("W", components, hz, W[:shown]),
        ("H", times, components, H),
    ):
        levels = 20 * torch.log10(values / values.max() + 1e-12)
        image = panels[name].pcolormesh(x, y, levels.numpy(), shading="nearest", **styles)
    figure.colorbar(image, ax=list(panels.values()), label="dB")
    ends = list(accumulate(sizes.values()))
    for start, end, instrument in zip([0, *ends], ends, sizes, strict=False):
        panels["W"].text((start + end - 1) / 2, HIGHEST_HZ, instrument, ha="center", va="bottom")
        panels["W"].axvline(end - 0.5, color="white", linewidth=0.5)
        panels["H"].axhline(end - 0.5, color="white", linewidth=0.5)
        panels["H"].text(0, end - 1, f" {instrument}", color="white", va="top")
    panels["V"].set(title="V, the mixture", xlabel="time (s)", ylabel="frequency (Hz)")
    panels["W"].set(title="W, templates\n", xlabel="component", ylabel="frequency (Hz)")
    panels["H"].set(title="H, activations", xlabel="time (s)", ylabel="component")
    for name in ("V", "H"):
        panels[name].set(xlim=(0, min(SHOWN_S, times[-1])))
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status."""

    def make() -> tuple[Figure, str]:
        dictionaries = load_dictionaries(ROOT / "cmss" / "weights" / "nmf_kl_small.safetensors")
        analysis = dictionaries.analysis
        signal = excerpt(analysis.sample_rate_hz).float()
        V = analysis.scaled(analysis.spectrogram(analysis.spectra(signal)))
        # The first frames cover the padding before the signal.
        V = V[:, analysis.window // analysis.hop :]
        templates = {name: dictionaries.templates[name] for name in ("Flute", "Bassoon")}
        W, H = fit(V, templates)
        sizes = {instrument: part.shape[-1] for instrument, part in templates.items()}
        hop_s = analysis.hop / analysis.sample_rate_hz
        fractions = [float(part.sum() / H.sum()) for part in H.split(list(sizes.values()))]
        text = "\n".join(
            f"{instrument}: {fraction:.0%} of the activations"
            for instrument, fraction in zip(sizes, fractions, strict=True)
        )
        return draw(V, W, H, analysis.band_centres_hz(), hop_s, sizes), text

    return run("factors", __doc__, "nmf.png", make, arguments)


if __name__ == "__main__":
    sys.exit(main())
