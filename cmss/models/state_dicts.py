"""State dicts in the files of training programs: finds them and removes prefixes of wrappers.

A state dict may be nested in a file, for example next to the epoch and the state of the optimiser
(PyTorch Lightning). Its names may begin with the attribute of a wrapper: `module.` (DataParallel
and DistributedDataParallel), `_orig_mod.` (torch.compile), or the attribute in which a
LightningModule keeps the network. The set of tensors with the names of the network is chosen.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cmss.errors import InputError
from cmss.models.weights_file import read_weights

COMPILED = "_orig_mod."
"""Prefix that torch.compile adds to each compiled module, also in the middle of a name."""

DEEPEST = 3
"""Deepest level at which a state dict is searched for in a file."""

StateDict = Mapping[str, Tensor]


def read_state_dicts(path: Path) -> tuple[dict[str, StateDict], dict[str, str]]:
    """Read the tensors of a file of weights, and its header if it exists.

    Args:
        path: a .safetensors file, or a file written by torch.save, from which only tensors are
            unpickled.

    Returns:
        State dicts by their key in the file, such as `state_dict`. The key is empty if the file
        itself is a state dict. And the header of a .safetensors file, else an empty dict.

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
    except Exception as error:  # torch.load may raise anything if the file is not a pickle
        raise InputError(
            f"{path}: not a state_dict with only tensors, and nothing else is unpickled; expected "
            "a file of torch.save(network.state_dict(), FILE), or .safetensors"
        ) from error
    found = dict(_state_dicts(content, "", DEEPEST))
    if not found:
        raise InputError(f"{path}: no state_dict, expected named tensors")
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
    """Choose the tensors that have the names of a network's state dict, apart from a prefix.

    Args:
        path: of the file, for messages.
        found: state dicts by their key in the file.
        expected: state dict of the network.
        network: description of the network, for messages.

    Returns:
        Tensors by the network's names.

    Raises:
        InputError: no set of tensors has these names, several different sets do, or shapes differ.
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
            f"{path}: several weights fit {network}, those of {places}; expected a file with only "
            "one of these state_dicts"
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
    """Remove the prefixes of torch.compile from names, unless names then coincide."""
    plain = {key.replace(COMPILED, ""): value for key, value in tensors.items()}
    return plain if len(plain) == len(tensors) else tensors


def _below_prefixes(
    tensors: StateDict, expected: StateDict
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield each prefix after which the names are exactly those of the network."""
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
    """Describe missing and unexpected names for the prefix with most of the network's names."""
    best = (-1, "", set[str](), "")
    for place, tensors in found.items():
        names = set(_uncompiled(tensors))
        for prefix in sorted(_prefixes(names)):
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


def _prefixes(names: set[str]) -> set[str]:
    """Return all beginnings of names that end with a dot, and the empty string."""
    return {""} | {
        name[: place + 1] for name in names for place, sign in enumerate(name) if sign == "."
    }
