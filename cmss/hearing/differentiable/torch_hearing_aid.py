"""Implements the hearing aid with its exact gradient, for loss functions of amplified signals.

Example:

    aided = amplified(remix, hearing_aid, [listener.left.compression, listener.right.compression])
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from cmss.hearing.hearing_aid import HearingAid, Signal, split_off
from cmss.machine.compiled import compiled
from cmss.scenes import Compression


def amplified(signal: Tensor, device: HearingAid, compressions: Sequence[Compression]) -> Tensor:
    """Amplify the signals of several ears like `HearingAid.amplify_ear`, but differentiably.

    The computation runs in compiled loops on the CPU in double precision, also for tensors on other
    devices. The computation cannot be parallelised over samples, because attack and release depend
    on the previous sample.

    Args:
        signal: signal of each ear, an array of shape (ears, samples) with full scale 1.
        device: the hearing aid.
        compressions: compression parameters of each ear.

    Returns:
        The amplified signals, an array of shape (ears, samples) with the dtype and device of
        `signal`.
    """
    ears = [
        _Amplified.apply(ear, device, compression)
        for ear, compression in zip(signal, compressions, strict=True)
    ]
    return torch.stack(ears)


class _Amplified(torch.autograd.Function):
    """Amplifies the signal (samples,) of an ear."""

    @staticmethod
    def forward(ctx: Any, signal: Tensor, device: HearingAid, compression: Compression) -> Tensor:
        ctx.save_for_backward(signal)
        ctx.parameters = device.parameters(compression)
        output = device.amplify_ear(signal.detach().cpu().numpy(), compression)
        return torch.as_tensor(output).to(signal)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (signal,) = ctx.saved_tensors
        arrays = (tensor.detach().cpu().double().numpy() for tensor in (signal, gradient))
        return torch.as_tensor(_adjoint(*arrays, *ctx.parameters)).to(signal), None, None


@compiled()
def _adjoint(
    signal: Signal,
    gradient: Signal,
    low_pass: Signal,
    high_pass: Signal,
    all_pass: Signal,
    threshold_db: Signal,
    slope: Signal,
    attack: Signal,
    release: Signal,
    gain_db: Signal,
) -> Signal:
    """Compute the gradient with respect to the signal from the gradient with respect to the output.

    Both gradients have the shape (samples,). The adjoint of a filter with zero initial state is the
    same filter applied backwards in time.
    """
    total = np.zeros(signal.size)
    for i in range(len(low_pass) + 1):
        band = signal.copy()
        split_off(i, low_pass, high_pass, all_pass, band, np.zeros((len(low_pass), 8)))
        inner = _compressor_adjoint(
            band, gradient, threshold_db[i], slope[i], attack[i], release[i], gain_db[i]
        )
        backwards = inner[::-1].copy()
        split_off(i, low_pass, high_pass, all_pass, backwards, np.zeros((len(low_pass), 8)))
        total += backwards[::-1]
    return total


@compiled()
def _compressor_adjoint(
    band: Signal,
    gradient: Signal,
    threshold_db: float,
    slope: float,
    attack: float,
    release: float,
    gain_db: float,
) -> Signal:
    """Compute the gradient of the compressor of a band.

    The output is band * exp(k (gain - r)) with k = log(10) / 20 and the gain reduction r[n] = w[n]
    r[n-1] + (1 - w[n]) wanted[n]. The weight w is either the attack coefficient or the release
    coefficient; the choice between these two coefficients has no gradient.

    Args:
        band: signal of the band, an array of shape (samples,).
        gradient: gradient with respect to the output of the compressor, an array of shape
            (samples,).

    Returns:
        The gradient with respect to `band`, an array of shape (samples,).
    """
    nepers_per_db = np.log(10.0) / 20.0
    threshold = 10.0 ** (threshold_db / 20.0)
    weight, gain = np.empty(band.size), np.empty(band.size)
    reduction_db = 0.0
    # Forwards in time: compute the weights and the gains, see `cmss.hearing.hearing_aid._compress`.
    for n in range(band.size):
        wanted_db = 0.0
        if abs(band[n]) >= threshold:
            wanted_db = slope * (np.log(abs(band[n])) / nepers_per_db - threshold_db)
        weight[n] = attack if wanted_db > reduction_db else release
        reduction_db = weight[n] * reduction_db + (1.0 - weight[n]) * wanted_db
        gain[n] = np.exp(nepers_per_db * (gain_db - reduction_db))
    result = np.empty(band.size)
    of_reduction = 0.0  # gradient with respect to r[n]
    # Backwards in time: later samples contribute to the gradient with respect to r[n].
    for n in range(band.size - 1, -1, -1):
        of_reduction -= nepers_per_db * band[n] * gain[n] * gradient[n]
        result[n] = gain[n] * gradient[n]
        if abs(band[n]) >= threshold:
            of_wanted = (1.0 - weight[n]) * of_reduction
            result[n] += of_wanted * slope / (nepers_per_db * band[n])
        of_reduction *= weight[n]
    return result
