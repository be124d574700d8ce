"""Applies a function to a long signal in segments, without audible transitions between segments."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cmss.machine.threads import in_threads

# The function maps an array of shape (1, channels, samples) to (sources, channels, samples).
Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Reach:
    """Describes the receptive field of a function: the input samples that affect an output sample.

    Args:
        past: number of input samples before the output sample, a multiple of `hop`.
        future: number of input samples after the output sample (look-ahead).
        hop: smallest time shift, in samples, for which the function is shift-invariant. If the
            input is shifted by a multiple of `hop`, the output is shifted by the same number of
            samples.
    """

    past: int
    future: int
    hop: int


def in_pieces(function: Function, signal: Tensor, segment: int, reach: Reach) -> Tensor:
    """Apply a function with a bounded receptive field to a signal in pieces.

    Each piece includes the full receptive field of its output, so no cross-fade is needed. The
    output does not depend on samples that are more than `reach.future` samples later, and does not
    depend on the length of the signal.

    Args:
        function: function that maps an array of shape (1, channels, samples) to an array of shape
            (sources, channels, samples).
        signal: the signal, an array of shape (channels, samples).
        segment: number of output samples in a piece, rounded down to a multiple of `reach.hop`.
        reach: receptive field of the function.

    Returns:
        The output, an array of shape (sources, channels, samples).
    """
    segment = max(segment - segment % reach.hop, reach.hop)

    def piece(start: int) -> Tensor:
        begin = max(start - reach.past, 0)
        output = function(signal[None, :, begin : start + segment + reach.future])
        return output[..., start - begin :][..., :segment]

    starts = range(0, signal.shape[-1], segment)
    return torch.cat([*in_threads(piece, starts, signal.device.type)], -1)


def overlap_add(function: Function, signal: Tensor, segment: int, overlap: int) -> Tensor:
    """Apply a function to overlapping segments of a signal, and cross-fade the outputs.

    The weights of :func:`cross_fade` sum to 1. Therefore, if the function returns its input, the
    result is the signal.

    Args:
        function: function that maps an array of shape (1, channels, samples) to an array of shape
            (sources, channels, samples).
        signal: the signal, an array of shape (channels, samples).
        segment: largest number of samples in a segment.
        overlap: number of samples that consecutive segments share, less than `segment`.

    Returns:
        The output, an array of shape (sources, channels, samples).

    Raises:
        ValueError: `overlap` is negative, or not less than `segment`.
    """
    if not 0 <= overlap < segment:
        raise ValueError(f"overlap: expected at least 0 and less than {segment}, got {overlap}")
    parts = segments(signal.shape[-1], segment, overlap)
    outputs = None
    results = in_threads(lambda part: function(signal[None, :, part]), parts, signal.device.type)
    for number, (part, output) in enumerate(zip(parts, results, strict=True)):
        if outputs is None:
            outputs = output.new_zeros(*output.shape[:-1], signal.shape[-1])
        outputs[..., part] += output * cross_fade(parts, number, overlap).to(output)
    assert outputs is not None
    return outputs


def segments(samples: int, longest: int, overlap: int) -> list[slice]:
    """Divide a signal into as few overlapping segments as possible, all of the same length.

    With equal lengths, all segments have the same amount of context, and only the samples in the
    overlaps are processed twice.

    Args:
        samples: number of samples in the signal.
        longest: largest number of samples in a segment.
        overlap: number of samples that consecutive segments share, less than `longest`.
    """
    count = max(math.ceil((samples - overlap) / (longest - overlap)), 1)
    length = math.ceil((samples + (count - 1) * overlap) / count)
    starts = (min(number * (length - overlap), samples - length) for number in range(count))
    return [slice(start, start + length) for start in starts]


def cross_fade(parts: Sequence[slice], number: int, overlap: int) -> Tensor:
    """Return the weights by which a segment is multiplied before the segments are added.

    At each sample, the weights of all segments sum to 1.

    Args:
        parts: segments of the signal, the result of :func:`segments`.
        number: index of the segment.
        overlap: number of samples over which the weights rise and fall.

    Returns:
        The weights in float64, an array with an entry for each sample of the segment.
    """
    part = parts[number]
    window = _window(part.stop - part.start, overlap)
    total = torch.zeros_like(window)
    for other in parts:
        start, stop = max(part.start, other.start), min(part.stop, other.stop)
        if start < stop:
            inside = window[start - other.start : stop - other.start]
            total[start - part.start : stop - part.start] += inside
    return window / total


def _window(samples: int, overlap: int) -> Tensor:
    """Return a trapezoidal window (samples,), which is positive at all samples."""
    edge = torch.arange(1, samples + 1, dtype=torch.float64)
    return torch.minimum(edge, edge.flip(0)).clamp(max=overlap + 1) / (overlap + 1)


def official_overlap_add(
    function: Function, signal: Tensor, sample_rate_hz: int, segment_s: float, overlap_s: float
) -> Tensor:
    """Apply a function in segments, exactly like `separate_sources` of the official baseline.

    The length of a segment in seconds is `segment_s * (1 + overlap_s)`. Consecutive segments have
    linear cross-fades of `overlap_s` seconds. If the second or a later segment reaches the end of
    the signal, the baseline omits the fade-out of this segment. The baseline never omits the
    fade-out of the first segment. If the signal has only one segment, the output fades out over the
    last `overlap_s` seconds.

    Args:
        function: function that maps an array of shape (1, channels, samples) to an array of shape
            (sources, channels, samples).
        signal: the signal, an array of shape (channels, samples).
        sample_rate_hz: sampling rate of the signal.
        segment_s: value of the baseline's setting `segment`.
        overlap_s: value of the baseline's setting `overlap`. The baseline uses this value both as
            a fraction of the segment and as the length of the fade in seconds.

    Returns:
        The output, an array of shape (sources, channels, samples).

    Raises:
        ValueError: the signal is not longer than the fade.
    """
    samples = signal.shape[-1]
    chunk = int(sample_rate_hz * segment_s * (1 + overlap_s))
    faded = overlap_s * sample_rate_hz
    start, end = 0, chunk
    fade_in, fade_out = 0, int(faded)
    outputs = None
    while start < samples - faded:
        output = function(signal[None, :, start:end])
        output = output * _fade(output.shape[-1], fade_in, fade_out, output)
        if outputs is None:
            outputs = output.new_zeros(*output.shape[:-1], samples)
        outputs[..., start:end] += output
        start += chunk if start else int(chunk - faded)
        end += chunk
        fade_in = int(faded)
        if end >= samples:
            fade_out = 0
    if outputs is None:
        raise ValueError(
            f"signal: {samples} samples, expected more than the {faded:g} samples of the fade"
        )
    return outputs


def _fade(samples: int, fade_in: int, fade_out: int, like: Tensor) -> Tensor:
    gain = torch.ones(samples, dtype=like.dtype, device=like.device)
    gain[:fade_in] *= torch.linspace(0, 1, fade_in, dtype=like.dtype, device=like.device)
    gain[samples - fade_out :] *= 1 - torch.linspace(
        0, 1, fade_out, dtype=like.dtype, device=like.device
    )
    return gain
