"""Templates of two instruments, learned from synthetic notes."""

from pathlib import Path

import numpy as np
import torch

from cmss.nmf.dictionaries import (
    Dictionaries,
    learn_templates,
    save_dictionaries,
)
from cmss.nmf.spectrogram import Analysis
from tests.support.separation import RATE_HZ

NOTES_HZ = {"Oboe": (440.0, 587.3), "Cello": (98.0, 130.8)}


def play(instrument: str, seconds: float, seed: int) -> np.ndarray:
    """Return random notes of 0.2 s with twelve partials; mono, RMS about 0.1."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(0.2 * RATE_HZ)) / RATE_HZ
    notes = [
        sum(np.sin(2 * np.pi * k * hz * time + rng.uniform(0, 6)) / k for k in range(1, 13))
        * np.minimum(1, 50 * time)
        * np.exp(-3 * time)
        for hz in rng.choice(NOTES_HZ[instrument], round(seconds / 0.2))
    ]
    return 0.1 * np.concatenate(notes).astype(np.float32)


def write_templates(folder: Path) -> dict[str, Path]:
    """Write static templates of magnitudes and of powers, and templates of four frames."""
    paths = {}
    for kind, divergence, lags in (("kl", "kl", 1), ("is", "is", 1), ("convolutive", "kl", 4)):
        analysis = Analysis(divergence)
        templates = {}
        for instrument in NOTES_HZ:
            signal = torch.from_numpy(play(instrument, 4.0, seed=1))
            V = analysis.spectrogram(analysis.spectra(signal))
            templates[instrument] = learn_templates(V, analysis, 6, lags, 60, seed=0)
        paths[kind] = folder / f"{kind}.safetensors"
        save_dictionaries(paths[kind], Dictionaries(analysis, templates), {"learned": "tests"})
    return paths


def sdr_db(stem: np.ndarray, estimate: np.ndarray) -> float:
    return 10 * np.log10(np.sum(stem**2) / np.sum((stem - estimate) ** 2))
