"""Reads and writes safetensors files with weights and a header; also reads files of torch.save.

When a file of torch.save is loaded, only tensors are unpickled.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from cmss.errors import InputError
from cmss.files.atomic import write_bytes

SCALE = "/scale"
"""Suffix that is appended to the name of an int8 tensor to name the tensor of its scales."""

StateDict = Mapping[str, Tensor]


def write_weights(path: Path, tensors: StateDict, header: Mapping[str, str]) -> None:
    """Write tensors and a header to a file; equal inputs give files with equal bytes.

    Args:
        path: file to write. The file is created only when the complete content has been written.
        tensors: dict from the name of each tensor to the tensor.
        header: dict from the key of each header entry to its text.
    """
    content = save({key: value.contiguous() for key, value in tensors.items()}, dict(header))
    # The library writes the metadata in an order that differs between calls, so files of equal
    # weights would have different digests. Therefore, the metadata are sorted here. A file consists
    # of the length of the header in 8 bytes, the header, and the tensors. The header is JSON,
    # padded to a multiple of 8 bytes.
    start = 8 + int.from_bytes(content[:8], "little")
    parsed = json.loads(content[8:start])
    parsed["__metadata__"] = dict(sorted(parsed["__metadata__"].items()))
    text = json.dumps(parsed, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    write_bytes(path, len(text).to_bytes(8, "little") + text + content[start:])


def eight_bits(tensors: StateDict) -> dict[str, Tensor]:
    """Quantise matrices and kernels to int8, and convert other tensors to half precision.

    A matrix or kernel is divided into groups of weights, and each group has a scale. A group
    extends along one or several of the last axes, and contains all weights that have the same
    indices on the other axes. A group has at least 16 weights, because a scale needs as much space
    as four weights. The quantisation noise is about 45 dB below the weights. A quantised file has
    half the size of a file in half precision. The function :func:`read_weights` converts quantised
    weights to float32.
    """
    written = {}
    for key, value in tensors.items():
        axes: list[int] = []
        row = 1  # number of weights in a row
        for axis in reversed(range(1, value.dim())):
            if row < 16:
                axes.append(axis)
                row *= value.shape[axis]
        if row < 16:
            written[key] = value.half() if value.is_floating_point() else value
            continue
        scale = value.float().abs().amax(axes, keepdim=True) / 127
        written[key] = (value / scale.where(scale > 0, 1)).round().to(torch.int8)
        written[key + SCALE] = scale
    return written


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors and the header of a file.

    The tensors are converted to float32.

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


def read_state_dicts(path: Path) -> tuple[dict[str, StateDict], dict[str, str]]:
    """Read the state dicts and the header of a file of weights.

    A state dict may be nested in a file. For example, PyTorch Lightning stores the state dict, the
    epoch and the state of the optimiser together.

    Args:
        path: path of a .safetensors file or of a file that torch.save wrote. Only tensors are
            unpickled.

    Returns:
        A dict and the header. The dict maps the key of each state dict in the file, such as
        `state_dict`, to the state dict. The key is empty if the file itself is a state dict. The
        header is empty if the file is not a .safetensors file.

    Raises:
        InputError: the file is missing, unreadable, or has no named tensors.
    """
    if path.suffix == ".safetensors":
        tensors, header = read_weights(path)
        return {"": tensors}, header
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except Exception as error:  # torch.load may raise any exception if the file is not a pickle
        raise InputError(
            f"{path}: the file is damaged, or contains objects other than tensors, which are "
            "refused for safety; expected a file written by "
            "torch.save(network.state_dict(), FILE), or a .safetensors file"
        ) from error
    found = dict(_state_dicts(content))
    if not found:
        raise InputError(f"{path}: no state_dict, expected named tensors")
    return found, {}


def _state_dicts(content: Any, key: str = "", depth: int = 3) -> Iterator[tuple[str, StateDict]]:
    """Find the state dicts in nested mappings, and yield each state dict with its key.

    Mappings are searched to a depth of `depth` levels.
    """
    if not isinstance(content, Mapping) or not content:
        return
    if all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items()):
        yield key, content
    elif depth:
        for name, value in content.items():
            yield from _state_dicts(value, f"{key}.{name}" if key else str(name), depth - 1)


def matching(
    path: Path, found: Mapping[str, StateDict], expected: StateDict, network: str
) -> dict[str, Tensor]:
    """Find tensors with the same names as a network's tensors, after removal of a common prefix.

    The prefix may be the attribute of a wrapper: `module.` (DataParallel and
    DistributedDataParallel), `_orig_mod.` (torch.compile), or the attribute in which a
    LightningModule stores the network. The prefix may also be empty.

    Args:
        path: path of the file, for error messages.
        found: dict from the key of a state dict in the file to the state dict.
        expected: state dict of the network.
        network: description of the network, for error messages.

    Returns:
        Dict from the names in the network to the tensors of the file.

    Raises:
        InputError: no set of tensors has the names of the network's tensors; or several different
            sets have these names; or the shapes of these tensors differ from the shapes of the
            network's tensors.
    """
    fitting = {
        f"{key}: {prefix}" if key and prefix else key or prefix: chosen
        for key, tensors in found.items()
        for prefix, chosen in _below_prefixes(_uncompiled(tensors), expected)
    }
    if not fitting:
        raise InputError(f"{path}: weights do not fit {network} ({_misfit(found, expected)})")
    if len(fitting) > 1:
        same_shapes = {
            place: chosen
            for place, chosen in fitting.items()
            if all(chosen[key].shape == tensor.shape for key, tensor in expected.items())
        }
        fitting = same_shapes or fitting
    first, *others = fitting.values()
    if not all(torch.equal(first[key], other[key]) for other in others for key in expected):
        places = " and ".join(repr(place) for place in fitting)
        raise InputError(
            f"{path}: several sets of weights fit {network}: {places}; expected a file with only "
            "one of these state_dicts"
        )
    for key, tensor in expected.items():
        if first[key].shape != tensor.shape:
            raise InputError(
                f"{path}: weights do not fit {network} (size mismatch for {key}: "
                f"{tuple(first[key].shape)}, expected {tuple(tensor.shape)})"
            )
    return first


def _uncompiled(tensors: StateDict) -> StateDict:
    """Remove the prefixes of torch.compile from names, unless two names would become equal."""
    # Each compiled module has this prefix, so the prefix may be in the middle of a name.
    plain = {key.replace("_orig_mod.", ""): value for key, value in tensors.items()}
    return plain if len(plain) == len(tensors) else tensors


def _below_prefixes(
    tensors: StateDict, expected: StateDict
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield each prefix that fits, and a dict from each name without this prefix to its tensor.

    A prefix fits if the names without the prefix are the names of the network's tensors.
    """
    if not expected:
        if not tensors:
            yield "", {}
        return
    some = next(iter(expected))
    for key in tensors:
        if key != some and not key.endswith(f".{some}"):
            continue
        prefix = key.removesuffix(some)
        below = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        if below.keys() == expected.keys():
            yield prefix, below


def _misfit(found: Mapping[str, StateDict], expected: StateDict) -> str:
    """Find the prefix for which most names match; describe missing and unexpected names."""
    best = (-1, "", set[str](), "")
    for place, tensors in found.items():
        names = set(_uncompiled(tensors))
        # The prefixes are the empty string and all starts of names up to a dot.
        dots = {name[: at + 1] for name in names for at, sign in enumerate(name) if sign == "."}
        for prefix in sorted({"", *dots}):
            below = {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
            if (count := len(below & expected.keys())) > best[0]:
                best = (count, prefix, below, place)
    count, prefix, below, place = best
    within = f"of {place!r} " if place else ""
    under = f"with the prefix {prefix!r} " if prefix else ""
    reason = f"{within}{under}{count} of {len(expected)} names"
    if missing := sorted(expected.keys() - below):
        reason += f", {missing[0]!r} is missing"
    if unexpected := sorted(below - expected.keys()):
        reason += f", {unexpected[0]!r} is not among them"
    return reason
