"""Tensors on disk: safetensors, so that nothing is unpickled, with a header of text."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from cmss.atomic import atomic_file
from cmss.errors import InputError

SCALE = "/scale"
"""What is added to the name of a tensor in eight bits for that of its rows' scales."""

ROW = 16
"""Numbers that share a scale, at least; it takes four bytes itself."""


def write_weights(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write tensors and a header; equal ones give equal bytes.

    Args:
        path: file to write, whole or not at all.
        tensors: by name.
        header: text by key.
    """
    contiguous = {key: value.contiguous() for key, value in tensors.items()}
    with atomic_file(path) as temporary:
        temporary.write_bytes(_in_order(save(contiguous, dict(header))))


def _in_order(content: bytes) -> bytes:
    """Sort the notes in the header of a safetensors file.

    The library writes them in an order that differs from call to call; equal weights would have
    different digests. The header is JSON behind its length in 8 bytes, padded to a multiple of 8.
    """
    data = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:data])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[data:]


def eight_bits(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Matrices and kernels as int8, each row with a scale of its own; all else in half precision.

    A row is what the last axes hold, as many of them as it takes for :data:`ROW` numbers. Rounding
    then adds noise some 45 dB below a row's weights, and a file is half as long. What
    :func:`read_weights` reads of it are the rounded weights.
    """
    written = {}
    for key, value in tensors.items():
        axes = _row_axes(value)
        if not axes:
            written[key] = value.half() if value.is_floating_point() else value
            continue
        scale = value.float().abs().amax(axes, keepdim=True) / 127
        written[key] = (value / scale.where(scale > 0, 1)).round().to(torch.int8)
        written[key + SCALE] = scale
    return written


def _row_axes(tensor: Tensor) -> list[int]:
    """The last axes but the first that hold a row; none where rows would be too short to pay."""
    axes: list[int] = []
    numbers = 1
    for axis in reversed(range(1, tensor.dim())):
        if numbers >= ROW:
            break
        axes.append(axis)
        numbers *= tensor.shape[axis]
    return axes if numbers >= ROW else []


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name, as float32 whatever they are stored in, and the header.

    Raises:
        InputError: the file is missing or cut short, or something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            stored = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
            header = file.metadata() or {}
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({error})") from error
    return {
        key: value * stored[key + SCALE] if key + SCALE in stored else value
        for key, value in stored.items()
        if not key.endswith(SCALE)
    }, header
