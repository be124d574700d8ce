"""Players, mixtures of noise, and simple separators, for tests of separators."""

from pathlib import Path

import numpy as np
import torch

from cmss.audio import Excerpt
from cmss.models.checkpoint import save_checkpoint
from cmss.models.fourier_convtasnet import FourierConvTasNet, FourierConvTasNetArguments
from cmss.models.outputs import OUTPUTS
from cmss.scenes import Source
from cmss.separators import build_separator
from cmss.separators.official_convtasnet import ConvTasNetSeparator
from cmss.separators.steps.chain import Stepped
from cmss.separators.steps.directions import Directions

RATE_HZ = 44100
SMALL = FourierConvTasNetArguments(OUTPUTS, B=8, H=8, X=1, R=1)


def sources(*labels: str, excerpt: Excerpt | None = None) -> dict[str, Source]:
    """Return sources with labels such as `Violin_2`; their excerpt does not exist by default."""
    nowhere = Excerpt(Path("none.flac"), 0.0, 1.0)
    made = {}
    for number, label in enumerate(labels, 1):
        instrument, _, voice = label.partition("_")
        key = f"source_{number}"
        made[key] = Source(key, instrument, int(voice) if voice else None, excerpt or nowhere)
    return made


def noise(samples: int = 3000, seed: int = 0) -> np.ndarray:
    """White noise of unit variance, (2, samples)."""
    return np.random.default_rng(seed).standard_normal((2, samples)).astype(np.float32)


def write_small(folder: Path) -> Path:
    path = folder / "all.safetensors"
    save_checkpoint(path, "fourier_convtasnet", FourierConvTasNet(SMALL))
    return path


def convtasnet(weights_from: Path | str, **settings) -> ConvTasNetSeparator:
    return build_separator(
        {"name": "convtasnet", "weights_from": str(weights_from), "device": "cpu", **settings},
        RATE_HZ,
    )


class Fixed:
    """A separator that returns fixed estimates."""

    sample_rate_hz = RATE_HZ

    def __init__(self, *estimates: np.ndarray) -> None:
        self.estimates = estimates
        self.weights = {"fixed": "digest"}
        self.prepared: list[str] = []

    def prepare(self, sources):
        self.prepared = [source.instrument for source in sources]

    def separate(self, mixture, sources):  # noqa: ARG002
        return dict(zip(sources, self.estimates, strict=True))


def spectra(*shape: int, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.complex128, generator=generator)


def sorting(separator, iterations: int = 4, weight: float = 1.0) -> Stepped:
    return Stepped(separator, [Directions(iterations, weight)])
