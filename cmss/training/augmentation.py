"""Augments stems for random mixtures: changes pitch, spectrum and level, and swaps channels.

A batch consists of about thirty segments in a training on a CPU, and of hundreds of segments in a
training on a GPU. The computation of a batch must not take longer than the training step of a small
network. For this reason, this module has different implementations for CPU and GPU, which give the
same result. On a CPU, compiled code computes the segments one after the other. On a GPU, which
holds the stems in its memory, tensor operations compute all segments together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmss.machine.compiled import compiled


@dataclass(frozen=True)
class Segment:
    """Defines a segment of a stem and its augmentation.

    Args:
        stem: stem (2, T) in int16, where T is at least start + length x speed + 2.
        start: index of the first sample of the segment in the stem.
        speed: ratio of the playback speed to the original speed. If the ratio is above 1, the pitch
            is raised.
        sections: second-order sections of the equaliser, an array (sections, 6) as in
            :func:`scipy.signal.sosfilt`.
        gain: factor by which the stem is multiplied, after the conversion from int16 to the range
            from -1 to 1.
        swap: whether to swap both channels.
    """

    stem: NDArray[np.int16]
    start: int
    speed: float
    sections: NDArray[np.float64]
    gain: float
    swap: bool

    def augmented(self, samples: int) -> Tensor:
        """Compute the augmented segment (2, samples) on the CPU."""
        signal = augment(self.stem, self.start, self.speed, self.sections, self.gain, samples)
        return torch.from_numpy(np.ascontiguousarray(signal[::-1]) if self.swap else signal)


class StemsOnDevice:
    """Holds all stems in the memory of the network's device.

    Args:
        stems: list of stems (2, T) in int16.
        device: device of the network.
    """

    def __init__(self, stems: Sequence[NDArray[np.int16]], device: torch.device) -> None:
        lengths = [stem.shape[-1] for stem in stems]
        self._starts = dict(
            zip(map(id, stems), np.cumsum([0, *lengths])[:-1].tolist(), strict=True)
        )
        # Keep references to the stems, so that no other array gets the id of one of these arrays.
        self._stems = list(stems)
        self._samples = torch.empty(2, sum(lengths), dtype=torch.int16, device=device)
        for stem in stems:
            start = self._starts[id(stem)]
            self._samples[:, start : start + stem.shape[-1]] = torch.from_numpy(stem).to(device)

    def augment(self, segments: Sequence[Segment], samples: int) -> Tensor:
        """Compute all augmented segments, an array (segments, 2, samples).

        The result equals the result of :meth:`Segment.augmented` except for rounding errors.
        The equalisers are applied to the spectra of the segments. The segments are padded with
        zeros before the Fourier transform. Without the zeros, the end of a segment would ring into
        the beginning of the same segment.
        """
        device = self._samples.device

        def column(values: Sequence[float], dtype: torch.dtype) -> Tensor:
            return torch.tensor(values, dtype=dtype).to(device, non_blocking=True)[:, None]

        starts = column([self._starts[id(s.stem)] + s.start for s in segments], torch.int64)
        speed = column([s.speed for s in segments], torch.float64)
        gain = column([s.gain / 32768 for s in segments], torch.float32)
        swap = column([s.swap for s in segments], torch.bool)[..., None]
        # Interpolate linearly between the samples before and after each position.
        position = torch.arange(samples, device=device) * speed  # (segments, samples)
        before = position.long()
        part = (position - before).float()
        index = starts + before
        # (2, segments, samples)
        signal = (1 - part) * self._samples[:, index] + part * self._samples[:, index + 1]
        # The impulse responses of the random equalisers decay within 4096 samples.
        points = 1 << (samples + 4096 - 1).bit_length()
        sections = torch.tensor(np.stack([s.sections for s in segments]), dtype=torch.float32)
        # Numerator and denominator of the filters: (segments, sections, points // 2 + 1).
        coefficients = sections.to(device).unflatten(-1, (2, 3))
        numerator, denominator = torch.fft.rfft(coefficients, points).unbind(-2)
        response = (numerator / denominator).prod(1)  # (segments, points // 2 + 1)
        spectrum = torch.fft.rfft(gain * signal, points) * response
        filtered = torch.fft.irfft(spectrum, points)[..., :samples].transpose(0, 1)
        return torch.where(swap, filtered.flip(1), filtered).contiguous()


@compiled(nogil=True)
def augment(
    stem: NDArray[np.int16],
    start: int,
    speed: float,
    sections: NDArray[np.float64],
    gain: float,
    samples: int,
) -> NDArray[np.float32]:
    """Resample a segment by linear interpolation, filter it and scale it.

    Args:
        stem: stem (channels, T), where T is at least start + samples x speed + 2.
        start, speed, sections, gain: see :class:`Segment`.
        samples: number of samples of the augmented segment.

    Returns:
        The augmented segment (channels, samples).
    """
    channels = stem.shape[0]
    augmented = np.empty((channels, samples), np.float32)
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
            # Apply the second-order sections in transposed direct form II.
            for k in range(len(sections)):
                b0, b1, b2, _, a1, a2 = sections[k]
                y = b0 * x + state[k, 0]
                state[k, 0] = b1 * x - a1 * y + state[k, 1]
                state[k, 1] = b2 * x - a2 * y
                x = y
            augmented[channel, n] = x
    return augmented
