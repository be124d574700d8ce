"""A minimal network of each type that a checkpoint can contain."""

import pytest
import torch

from cmss.models.checkpoint import build

SMALL = {
    "arunet": {
        "sources": ["Cello", "Violin"], "L": 64, "hop": 16, "filters": [6, 8], "bottleneck": 10,
    },
    "convtasnet": {"N": 12, "B": 8, "H": 10, "X": 2, "R": 1, "causal": True, "norm_type": "cLN"},
    "demucs": {"sources": ["Cello", "Violin"], "depth": 2, "channels": 4},
    "fourier_convtasnet": {
        "sources": ["Cello", "Violin"], "L": 64, "hop": 16, "Q": 8, "B": 8, "H": 10, "X": 2, "R": 1,
    },
    "hdemucs": {
        "sources": ["Cello", "Violin"], "nfft": 256, "depth": 3, "channels": 4, "conditioned": True,
    },
    "htdemucs": {
        "sources": ["Cello", "Violin"], "nfft": 256, "depth": 2, "channels": 8,
        "bottom_channels": 8, "masks": True,
    },
    "multichannel_unet": {
        "sources": ["Cello", "Violin"], "n_fft": 64, "hop": 16, "bands": 8, "dims": [4, 6],
        "masks": "softmax",
    },
    "waveunet": {"sources": ["Cello", "Violin"], "levels": 2, "filters": 3, "down_kernel": 3},
}  # fmt: skip
EACH = pytest.mark.parametrize("name", list(SMALL))


def network(name="convtasnet"):
    torch.manual_seed(0)
    return build(name, SMALL[name]).eval()
