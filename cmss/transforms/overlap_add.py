"""A long signal through a function in segments, put together again without a seam."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

# (1, channels, samples) -> (sources, channels, samples)
Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Reach:
    """How far around itself a sample of a function's output depends on the input.

    Args:
        past: samples before it that may count, a multiple of `hop`.
        future: samples after it that may count.
        hop: what a shift of the input has to be a multiple of to shift the output.
    """

    past: int
    future: int
    hop: int


def in_pieces(function: Function, signal: Tensor, segment: int, reach: Reach) -> Tensor:
    """What a function makes of a whole signal, computed piece by piece.

    Each piece is given all that its output depends on, so there is nothing to cross-fade, and an
    output hears of nothing that lies further ahead than `reach.future`, not even of where the
    signal ends.

    Args:
        function: maps (1, channels, samples) to (sources, channels, samples).
        signal: (channels, samples).
        segment: samples of output in a piece, rounded down to a multiple of `reach.hop`.
        reach: of the function.

    Returns:
        (sources, channels, samples).
    """
    segment = max(segment - segment % reach.hop, reach.hop)
    outputs = []
    for start in range(0, signal.shape[-1], segment):
        begin = max(start - reach.past, 0)
        output = function(signal[None, :, begin : start + segment + reach.future])
        outputs.append(output[..., start - begin :][..., :segment])
    return torch.cat(outputs, -1)


def overlap_add(function: Function, signal: Tensor, segment: int, overlap: int) -> Tensor:
    """Apply a function to overlapping segments and cross-fade its outputs.

    Each output is weighted by a window that rises and falls over the overlap, and the sum is
    divided by the sum of the windows: where the function returns its input, so does this,
    whatever the length.

    Args:
        function: maps (1, channels, samples) to (sources, channels, samples).
        signal: (channels, samples).
        segment: samples in a segment.
        overlap: samples that a segment shares with the next, less than `segment`.

    Returns:
        (sources, channels, samples).
    """
    if not 0 <= overlap < segment:
        raise ValueError(f"overlap must be at least 0 and below segment {segment}, not {overlap}")
    samples = signal.shape[-1]
    hop = segment - overlap
    # The last segment ends with the signal, so none is so short that the function sees little.
    starts = [*range(0, max(samples - segment, 0), hop), max(samples - segment, 0)]
    window = _window(min(segment, samples), overlap, signal)
    total = torch.zeros_like(signal[:1])
    outputs = None
    for start in starts:
        output = function(signal[None, :, start : start + segment]) * window
        if outputs is None:
            outputs = output.new_zeros(*output.shape[:-1], samples)
        outputs[..., start : start + segment] += output
        total[..., start : start + segment] += window
    assert outputs is not None
    return outputs / total


def _window(samples: int, overlap: int, like: Tensor) -> Tensor:
    """(samples,) trapezoid that is positive everywhere, so that the sum can be divided by."""
    edge = torch.arange(1, samples + 1, dtype=like.dtype, device=like.device)
    return torch.minimum(edge, edge.flip(0)).clamp(max=overlap + 1) / (overlap + 1)


def official_overlap_add(
    function: Function, signal: Tensor, sample_rate_hz: int, segment_s: float, overlap_s: float
) -> Tensor:
    """Segmenting of the official baseline (`separate_sources`), to the sample.

    Chunks are `segment_s * (1 + overlap_s)` long and cross-fade linearly over `overlap_s` seconds.
    A signal of one chunk or less loses its last `overlap_s` to the fade, since the baseline turns
    the fade off only once a later chunk reaches the end.

    Args:
        function: maps (1, channels, samples) to (sources, channels, samples).
        signal: (channels, samples).
        sample_rate_hz: sampling rate of the signal.
        segment_s: the baseline's `segment`.
        overlap_s: the baseline's `overlap`, both a fraction of the segment and seconds of fade.

    Returns:
        (sources, channels, samples).
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
        raise ValueError(f"{samples} samples are not more than the fade of {faded:g}")
    return outputs


def _fade(samples: int, fade_in: int, fade_out: int, like: Tensor) -> Tensor:
    gain = torch.ones(samples, dtype=like.dtype, device=like.device)
    gain[:fade_in] *= torch.linspace(0, 1, fade_in, dtype=like.dtype, device=like.device)
    gain[samples - fade_out :] *= 1 - torch.linspace(
        0, 1, fade_out, dtype=like.dtype, device=like.device
    )
    return gain
