"""Overlap-adds frames for the inverse transforms."""

import torch.nn.functional as F
from torch import Tensor


def sum_frames(frames: Tensor, hop: int) -> Tensor:
    """Overlap-add frames.

    Each frame is cut into blocks of `hop` samples. The function first adds the first blocks of all
    frames to the sum, then the second blocks of all frames, and so on. The number of vectorised
    additions is therefore the number of blocks in a frame, and does not depend on the number of
    frames.

    Args:
        frames: the frames, an array of shape (..., frames, length).
        hop: number of samples between the starts of consecutive frames.

    Returns:
        The signal, an array of shape (..., (frames - 1) * hop + length).
    """
    count, length = frames.shape[-2:]
    blocks = F.pad(frames, (0, -length % hop)).unflatten(-1, (-1, hop))  # (..., frames, parts, hop)
    parts = blocks.shape[-2]
    sums = frames.new_zeros(*frames.shape[:-2], count + parts - 1, hop)
    for part in range(parts):
        sums[..., part : part + count, :] += blocks[..., part, :]
    return sums.flatten(-2)[..., : (count - 1) * hop + length]
