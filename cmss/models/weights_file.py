"""Weight files: safetensors with a text header, so that nothing is unpickled."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from cmss.errors import InputError
from cmss.files.atomic import atomic_file

SCALE = "/scale"
"""Suffix that is added to the name of an int8 tensor to name the scales of its rows."""

ROW = 16
"""Least number of weights that share a scale, which itself takes four bytes."""


def write_weights(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write tensors and a header; equal inputs give equal bytes.

    Args:
        path: file to write; it appears only once it is complete.
        tensors: by name.
        header: text by key.
    """
    contiguous = {key: value.contiguous() for key, value in tensors.items()}
    with atomic_file(path) as temporary:
        temporary.write_bytes(_in_order(save(contiguous, dict(header))))


def _in_order(content: bytes) -> bytes:
    """Sort the metadata in the header of a safetensors file.

    The library writes metadata in an order that differs between calls, so equal weights would have
    different digests. The header is its length in 8 bytes, followed by JSON that is padded to a
    multiple of 8 bytes.
    """
    data = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:data])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[data:]


def eight_bits(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Quantise matrices and kernels to int8 with a scale per row, and others to half precision.

    A row comprises as many of the last axes as are needed for :data:`ROW` weights. Quantisation
    noise is about 45 dB below the weights of a row, and the file has half the size.
    :func:`read_weights` returns the quantised weights.
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
    """Return the axes of a row, without the first axis; none if rows are shorter than ROW."""
    axes: list[int] = []
    numbers = 1
    for axis in reversed(range(1, tensor.dim())):
        if numbers >= ROW:
            break
        axes.append(axis)
        numbers *= tensor.shape[axis]
    return axes if numbers >= ROW else []


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read tensors by name, converted to float32, and the header.

    Raises:
        InputError: the file is missing, incomplete, or not a safetensors file.
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
