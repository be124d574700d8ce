"""Selects the memory layout of the images in two-dimensional convolutions."""

import torch


def image_layout(device: torch.device) -> torch.memory_format:
    """Return the layout in which the convolutions of a network take the least time on a device.

    With channels as the last axis in memory, convolutions without a gradient are up to a fifth
    faster in float32 and several times as fast in bfloat16. But in float32, oneDNN computes the
    gradient of a kernel about twice as fast if channels are the first axis.

    Returns:
        `torch.contiguous_format` (channels first) for a training in float32 on a processor;
        otherwise, `torch.channels_last`.
    """
    float32 = device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    return torch.contiguous_format if float32 and torch.is_grad_enabled() else torch.channels_last
