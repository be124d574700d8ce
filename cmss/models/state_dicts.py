"""State dicts as training programs leave them: found in their file, freed of wrappers' prefixes.

A state dict may lie deeper in a file, beside an epoch and an optimiser's state (PyTorch Lightning).
Its names may begin with the attribute of a wrapper: `module.` (DataParallel and
DistributedDataParallel), `_orig_mod.` (torch.compile), or the attribute in which a LightningModule
keeps the network. The set of tensors is taken whose names are those of the network.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cmss.errors import InputError
from cmss.models.weights_file import read_weights

COMPILED = "_orig_mod."
"""What torch.compile puts before the names of each module that it compiles, in the middle too."""

DEEPEST = 3
"""How deep in a file a state dict may lie."""

StateDict = Mapping[str, Tensor]


def read_state_dicts(path: Path) -> tuple[dict[str, StateDict], dict[str, str]]:
    """Read the tensors of a file of weights, and its header if it has one.

    Args:
        path: .safetensors, or what torch.save wrote; of that nothing is unpickled but tensors.

    Returns:
        state dicts by their key in the file, such as `state_dict`; empty for one that is the file.

    Raises:
        InputError: the file is missing, unreadable, or holds no tensors by name.
    """
    if path.suffix == ".safetensors":
        tensors, header = read_weights(path)
        return {"": tensors}, header
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except Exception as error:  # of bytes that are no pickle torch.load may raise anything
        raise InputError(
            f"{path}: not a state_dict of tensors alone, and nothing else is unpickled; expected "
            "one, saved by torch.save(network.state_dict(), FILE), or .safetensors"
        ) from error
    found = dict(_state_dicts(content, "", DEEPEST))
    if not found:
        raise InputError(f"{path}: no state_dict, expected tensors by name")
    return found, {}


def _state_dicts(content: Any, key: str, depth: int) -> Iterator[tuple[str, StateDict]]:
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
    """Choose the tensors that have the names of a network's, a prefix aside.

    Args:
        path: of their file, for messages.
        found: state dicts by their key in the file.
        expected: the network's own state dict.
        network: what they are for, for messages.

    Returns:
        tensors by the network's names.

    Raises:
        InputError: none or several have these names, or they have other shapes.
    """
    fitting = {
        f"{key}: {prefix}" if key and prefix else key or prefix: chosen
        for key, tensors in found.items()
        for prefix, chosen in _below_prefixes(_uncompiled(tensors), expected)
    }
    if not fitting:
        raise InputError(f"{path}: weights do not fit {network} ({_misfit(found, expected)})")
    if len(fitting) > 1:
        same_shape = {place: chosen for place, chosen in fitting.items() if _fits(chosen, expected)}
        fitting = same_shape or fitting
    first, *others = fitting.values()
    if not all(torch.equal(first[key], other[key]) for other in others for key in expected):
        places = " and ".join(repr(place) for place in fitting)
        raise InputError(
            f"{path}: several weights fit {network}, those of {places}; expected a file of the "
            "state_dict of one of them"
        )
    for key, tensor in expected.items():
        if first[key].shape != tensor.shape:
            raise InputError(
                f"{path}: weights do not fit {network} (size mismatch for {key}: "
                f"{tuple(first[key].shape)}, expected {tuple(tensor.shape)})"
            )
    return first


def _fits(tensors: StateDict, expected: StateDict) -> bool:
    return all(tensors[key].shape == tensor.shape for key, tensor in expected.items())


def _uncompiled(tensors: StateDict) -> StateDict:
    """The same without what torch.compile adds to their names."""
    plain = {key.replace(COMPILED, ""): value for key, value in tensors.items()}
    return plain if len(plain) == len(tensors) else tensors


def _below_prefixes(
    tensors: StateDict, expected: StateDict
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Each prefix below which there are all names of the network and no others."""
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
    """What is missing or too much below the prefix that has most of the network's names."""
    best = (-1, "", set[str](), "")
    for place, tensors in found.items():
        names = set(_uncompiled(tensors))
        for prefix in sorted(_prefixes(names)):
            below = {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
            if (count := len(below & expected.keys())) > best[0]:
                best = (count, prefix, below, place)
    count, prefix, below, place = best
    within = f"of {place!r} " if place else ""
    under = f"below the prefix {prefix!r} " if prefix else ""
    reason = f"{within}{under}{count} of {len(expected)} names"
    if missing := sorted(expected.keys() - below):
        reason += f", {missing[0]!r} is missing"
    if unexpected := sorted(below - expected.keys()):
        reason += f", {unexpected[0]!r} is not one of them"
    return reason


def _prefixes(names: set[str]) -> set[str]:
    """All beginnings of names that end with a dot, and the empty one."""
    return {""} | {
        name[: place + 1] for name in names for place, sign in enumerate(name) if sign == "."
    }
