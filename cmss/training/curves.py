"""Shows the progress of a training in TensorBoard or, if TensorBoard is missing, as a picture.

The extra `tensorboard` of this package installs TensorBoard. The command
`tensorboard --logdir exp/train` serves a local web page that compares all trainings in the folder.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from cmss.files.atomic import atomic_file
from cmss.files.text import parse_csv, read_text
from cmss.transforms.stft import stft

PICTURE = "curves.png"
EVENTS = "tensorboard"
"""Names of the picture file and of TensorBoard's folder in the folder of the training."""

SPECTROGRAM_DB = 80.0
"""Range of levels in dB that a spectrogram shows."""


class Curves(Protocol):
    """Shows the progress of a training.

    In all methods, the argument `step` is the number of completed steps.

    Attributes:
        has_sounds: whether :meth:`sounds` shows the signals.
    """

    has_sounds: bool

    def trained(self, step: int, loss: float, learning_rate: float) -> None:
        """Show the training loss of a step."""
        ...

    def validated(self, step: int, values: Mapping[str, float]) -> None:
        """Show the results of a validation. `values` is a dict from the name to the value."""
        ...

    def sounds(self, step: int, signals: Mapping[str, Tensor], rate_hz: int) -> None:
        """Show signals. `signals` is a dict from the name to a tensor (2, T)."""
        ...


class TensorBoard:
    """Writes curves, sounds and spectrograms for TensorBoard.

    Args:
        folder: folder of the training.
        step: number of completed steps. If an interrupted training has logged later steps, these
            steps are removed.

    Raises:
        ImportError: TensorBoard or Pillow is not installed.
    """

    has_sounds = True

    def __init__(self, folder: Path, step: int) -> None:
        import PIL.Image  # noqa: F401  (TensorBoard needs Pillow only when it writes an image)
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder / EVENTS), purge_step=step + 1)

    def trained(self, step: int, loss: float, learning_rate: float) -> None:
        """See :class:`Curves`."""
        self._writer.add_scalar("loss/training", loss, step)
        self._writer.add_scalar("learning rate", learning_rate, step)

    def validated(self, step: int, values: Mapping[str, float]) -> None:
        """See :class:`Curves`."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def sounds(self, step: int, signals: Mapping[str, Tensor], rate_hz: int) -> None:
        """See :class:`Curves`."""
        peak = max(float(signal.abs().max()) for signal in signals.values())
        for name, signal in signals.items():
            mono = signal.mean(0, keepdim=True) / max(peak, 1e-9)  # (1, T)
            self._writer.add_audio(name, mono, step, rate_hz)
            self._writer.add_image(name, spectrogram(signal), step, dataformats="HW")
        self._writer.flush()


class Picture:
    """Plots the columns of the log after each validation, and writes the file :data:`PICTURE`.

    Args:
        folder: folder of the training. The folder contains log.csv.
        learning_rate: function that returns the learning rate of a step.
    """

    has_sounds = False

    def __init__(self, folder: Path, learning_rate: Callable[[int], float]) -> None:
        self._folder = folder
        self._learning_rate = learning_rate

    def trained(self, step: int, loss: float, learning_rate: float) -> None:
        """Do nothing, because log.csv contains the training loss."""

    def validated(self, step: int, values: Mapping[str, float]) -> None:  # noqa: ARG002
        """Draw the picture from log.csv, which already contains the values."""
        try:
            from matplotlib.figure import Figure
        except ImportError:  # for example on a machine with only PyTorch and NumPy
            return

        header, *rows = parse_csv(read_text(self._folder / "log.csv"))
        log = {
            name: np.array([float(cell or "nan") for cell in column])
            for name, column in zip(header, zip(*rows, strict=True), strict=True)
        }
        steps = log["step"]
        panels = {
            "loss": ("training_loss", "validation_loss"),
            "SDR improvement in dB": ("sdr_improvement_db",),
            "HAAQI": ("haaqi",),
        }
        shown = {
            label: names
            for label, names in panels.items()
            if not all(np.isnan(log[name]).all() for name in names)
        }
        figure = Figure(figsize=(6.4, 2.2 * (len(shown) + 1)), dpi=120, layout="constrained")
        axes = figure.subplots(len(shown) + 1, sharex=True)
        for axis, (label, names) in zip(axes, shown.items(), strict=False):
            for name in names:
                known = ~np.isnan(log[name])
                text = name.replace("_", " ")
                axis.plot(steps[known], log[name][known], marker="o", ms=3, label=text)
            axis.set(ylabel=label)
            if len(names) > 1:
                axis.legend(frameon=False)
        every = np.unique(np.linspace(1, steps[-1], 200).round())
        axes[-1].plot(every, [self._learning_rate(int(n)) for n in every])
        axes[-1].set(ylabel="learning rate", xlabel="step")
        for axis in axes:
            axis.grid(alpha=0.3)
        with atomic_file(self._folder / PICTURE) as temporary:
            figure.savefig(temporary, format="png")

    def sounds(self, step: int, signals: Mapping[str, Tensor], rate_hz: int) -> None:
        """Do nothing, because a picture cannot show sounds."""


def curves_in(folder: Path, step: int, learning_rate: Callable[[int], float]) -> Curves:
    """Return an object that shows the progress of a training.

    If TensorBoard is installed, the object is a :class:`TensorBoard`. Otherwise, the object is a
    :class:`Picture`.

    Args:
        folder: folder of the training.
        step: number of completed steps.
        learning_rate: function that returns the learning rate of a step.
    """
    try:
        return TensorBoard(folder, step)
    except ImportError:
        return Picture(folder, learning_rate)


def spectrogram(signal: Tensor) -> Tensor:
    """Return the level of a signal (2, T) over frequency and time, as an image.

    Returns:
        A tensor (bins, frames) of values from 0 to 1. The highest frequency is in the first row.
        The value 1 is the highest level, and 0 is :data:`SPECTROGRAM_DB` below this level.
    """
    spectrum = stft(signal, torch.hann_window(2048, device=signal.device), 512)  # (2, bins, frames)
    power = spectrum.abs().square().mean(0)
    level_db = 10 * torch.log10(power / power.max().clamp_min(1e-20) + 1e-20)
    return (1 + level_db / SPECTROGRAM_DB).clamp(0, 1).flip(0)
