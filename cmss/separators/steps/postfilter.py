"""Implements `name: postfilter`, a small trained network that corrects a separator's estimates."""

from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from cmss.errors import InputError
from cmss.files.digests import file_sha256
from cmss.machine.precision import Precision, chosen_precision, data_type
from cmss.models.postfilter_features import LongTerm
from cmss.models.postfilter_network import Postfilter, load_postfilter

PACKAGED = ("small", "second_small")
"""Values of `weights_from` for the post-filters in the package."""
TRAINED_ON = ("SCORES", "NOTES", "PHILHARMONIA", "VIRTUAL_PLAYING")
"""Data sets on which these post-filters were trained, keys of
:data:`cmss.models.record.DATA_SETS`."""


@dataclass(frozen=True)
class PostfilterStep:
    """Applies a post-filter of :mod:`cmss.models.postfilter_network`.

    A post-filter degrades the estimates of a separator whose masks are sharper or softer than the
    masks in the training of the post-filter.

    Args:
        weights_from: source of the weights: `small`, `second_small`, or a file that
            fit_postfilter.py wrote. The package contains `small`, which was trained on the
            estimates of the default ensemble after the step `directions`, and `second_small`, which
            was trained on the results of `small`.
        precision: precision of the convolutions.
        bins: number of bins whose masks are corrected, from the lowest frequency; fewer bins take
            less time. If `bins` is None, it is the number of bins in the training.

    Raises:
        InputError: the weights do not exist, or `bins` is larger than in the training.
    """

    weights_from: str = "small"
    precision: Precision = "float32"
    bins: Annotated[int, Field(ge=64)] | None = None
    weights: dict[str, str] = field(init=False, compare=False)
    _network: Postfilter = field(init=False, repr=False, compare=False)

    looks_ahead = True
    needs_signals = True

    def __post_init__(self) -> None:
        path = Path(self.weights_from)
        if self.weights_from in PACKAGED:
            name = f"postfilter_{self.weights_from}.safetensors"
            path = Path(str(files("cmss") / "weights")) / name
        # The fields of a frozen dataclass can only be set in this way.
        network = load_postfilter(path)
        if self.bins is not None:
            try:
                network = network.narrowed(self.bins)
            except ValueError as error:
                raise InputError(f"{path}: bins: {error}, got {self.bins}") from error
        object.__setattr__(self, "_network", network)
        object.__setattr__(self, "weights", {str(path): file_sha256(path)})
        object.__setattr__(self, "precision", chosen_precision(self.precision))

    def window_samples(self, sample_rate_hz: int) -> int:
        """See :class:`cmss.separators.steps.step.Step`."""
        # The window lasts as long as in training, so that bins have the same spacing in Hz.
        arguments = self._network.arguments
        rate = sample_rate_hz / arguments.samplerate
        return 4 * round(arguments.window * rate / 4)

    def context_s(self, sample_rate_hz: int) -> float:
        """See :class:`cmss.separators.steps.step.Step`."""
        # The context is a window plus the receptive field of the network's convolutions.
        window = self.window_samples(sample_rate_hz)
        return (window + self._network.context * window // 4) / sample_rate_hz

    def learn(self, mixture: Tensor, estimates: Tensor) -> tuple[Tensor, LongTerm]:
        """Compute statistics over all frames, see :meth:`Postfilter.learn`."""
        return self._network.learn(mixture, estimates)

    def apply(self, mixture: Tensor, estimates: Tensor, learned: tuple[Tensor, LongTerm]) -> Tensor:
        """See :class:`cmss.separators.steps.step.Step`."""
        with torch.inference_mode():
            return self._network(mixture, estimates, learned, data_type(self.precision))
