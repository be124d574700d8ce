"""Segments of stems as random mixtures play them: at another pitch, coloured, at another level.

A step of training plays thirty of them or, on a GPU, hundreds, and a separator of a few million
parameters would wait for its data. So there are two ways to the same signals: compiled, one segment
after another, on a processor; and all at once where a GPU holds the stems.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmss.machine.compiled import compiled

RINGING = 4096  # samples after which a random equaliser has died away


@dataclass(frozen=True)
class Segment:
    """What is to be played of a stem.

    Args:
        stem: int16 (2, samples), at least start + length x speed + 2 of them.
        start: first sample taken.
        speed: samples of the stem per sample played; above one the pitch is higher.
        sections: (sections, 6), second-order sections as in :func:`scipy.signal.sosfilt`.
        gain: factor of the level; full scale of `stem` is one.
        swap: whether the channels change places.
    """

    stem: NDArray[np.int16]
    start: int
    speed: float
    sections: NDArray[np.float64]
    gain: float
    swap: bool

    def played(self, samples: int) -> Tensor:
        """(2, samples), on the processor."""
        signal = play(self.stem, self.start, self.speed, self.sections, self.gain, samples)
        return torch.from_numpy(np.ascontiguousarray(signal[::-1]) if self.swap else signal)


class StemsOnDevice:
    """Stems held where the network is.

    Args:
        stems: int16 (2, samples) each.
        device: where to hold them.
    """

    def __init__(self, stems: Sequence[NDArray[np.int16]], device: torch.device) -> None:
        lengths = [stem.shape[-1] for stem in stems]
        self._starts = dict(
            zip(map(id, stems), np.cumsum([0, *lengths])[:-1].tolist(), strict=True)
        )
        self._kept = list(stems)  # or another stem might get the identity of one of them
        self._samples = torch.empty(2, sum(lengths), dtype=torch.int16, device=device)
        for stem in stems:
            start = self._starts[id(stem)]
            self._samples[:, start : start + stem.shape[-1]] = torch.from_numpy(stem).to(device)

    def play(self, segments: Sequence[Segment], samples: int) -> Tensor:
        """All segments at once: (segments, 2, samples), as :meth:`Segment.played` but for rounding.

        The equalisers are applied to spectra, where a segment's end may not ring into its start.
        """
        device = self._samples.device

        def column(values: Sequence[float], dtype: torch.dtype) -> Tensor:
            return torch.tensor(values, dtype=dtype).to(device, non_blocking=True)[:, None]

        starts = column([self._starts[id(s.stem)] + s.start for s in segments], torch.int64)
        speed = column([s.speed for s in segments], torch.float64)
        gain = column([s.gain / 32768 for s in segments], torch.float32)
        swap = column([s.swap for s in segments], torch.bool)[..., None]
        position = torch.arange(samples, device=device) * speed
        before = position.long()
        part = (position - before).float()
        index = starts + before
        signal = (1 - part) * self._samples[:, index] + part * self._samples[:, index + 1]
        points = 1 << (samples + RINGING - 1).bit_length()
        sections = torch.tensor(np.stack([s.sections for s in segments]), dtype=torch.float32)
        spectrum = torch.fft.rfft(gain * signal, points) * _response(sections.to(device), points)
        played = torch.fft.irfft(spectrum, points)[..., :samples].transpose(0, 1)
        return torch.where(swap, played.flip(1), played).contiguous()


def _response(sections: Tensor, points: int) -> Tensor:
    """Of second-order sections (N, sections, 6), complex (N, points // 2 + 1)."""
    numerator, denominator = torch.fft.rfft(sections.unflatten(-1, (2, 3)), points).unbind(-2)
    return (numerator / denominator).prod(1)


@compiled(nogil=True)
def play(
    stem: NDArray[np.int16],
    start: int,
    speed: float,
    sections: NDArray[np.float64],
    gain: float,
    samples: int,
) -> NDArray[np.float32]:
    """Resample by linear interpolation, filter, scale.

    Args:
        stem: (channels, at least start + samples x speed + 2).
        start: first sample taken.
        speed: samples of the stem per sample played; above one the pitch is higher.
        sections: (sections, 6), second-order sections as in :func:`scipy.signal.sosfilt`.
        gain: factor of the level; full scale of `stem` is one.
        samples: how many to play.

    Returns:
        (channels, samples).
    """
    channels = stem.shape[0]
    played = np.empty((channels, samples), np.float32)
    state = np.empty((len(sections), 2))
    for channel in range(channels):
        state[:] = 0
        for n in range(samples):
            position = n * speed
            before = int(position)
            part = position - before
            x = (1 - part) * stem[channel, start + before] + part * stem[
                channel, start + before + 1
            ]
            x *= gain / 32768
            for k in range(len(sections)):
                b0, b1, b2, _, a1, a2 = sections[k]
                y = b0 * x + state[k, 0]
                state[k, 0] = b1 * x - a1 * y + state[k, 1]
                state[k, 1] = b2 * x - a2 * y
                x = y
            played[channel, n] = x
    return played
