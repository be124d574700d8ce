"""Selects the precision in which networks are computed."""

from typing import TYPE_CHECKING, Literal

from cmss.machine.processor import has_bfloat16

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "float32", "bfloat16"]
"""Type of a setting for the precision: `auto` is bfloat16 on processors with instructions for
bfloat16, and float32 elsewhere."""

AUTO: Precision = "auto"


def chosen_precision(precision: Precision, device: str = "cpu") -> Precision:
    """Return the precision that a setting selects: float32 or bfloat16.

    Args:
        precision: value of the setting.
        device: type of the device that computes the network, such as "cpu" or "cuda".
    """
    if precision != AUTO:
        return precision
    return "bfloat16" if device == "cpu" and has_bfloat16() else "float32"


def autocast(precision: Precision, device: str) -> "torch.autocast":
    """Return a context in which a training computes products and convolutions in a precision.

    A training tolerates more rounding than a separator. Therefore, `auto` is bfloat16 on GPUs that
    support bfloat16 as well. A processor that only emulates bfloat16 would need up to six times as
    long for a training step as with float32.

    Args:
        precision: value of the setting.
        device: type of the device that computes the network, such as "cpu" or "cuda".
    """
    import torch

    if precision == AUTO and device == "cuda" and torch.cuda.is_bf16_supported():
        precision = "bfloat16"
    chosen = chosen_precision(precision, device)
    return torch.autocast(device, torch.bfloat16, enabled=chosen == "bfloat16")


def data_type(precision: Precision) -> "torch.dtype":
    """Return the data type of tensors for a precision that is not `auto`."""
    import torch  # late, because the other functions of this module do not need it

    return torch.bfloat16 if precision == "bfloat16" else torch.float32
