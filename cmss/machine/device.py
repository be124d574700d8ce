"""The device that a network runs on: which there are, and the choice of one of them."""

from typing import Annotated

import torch
from pydantic import AfterValidator


def devices() -> list[str]:
    """Names of the devices of this machine, the processor first."""
    names = ["cpu"]
    if torch.accelerator.is_available():
        kind = torch.accelerator.current_accelerator()
        assert kind is not None
        names += [kind.type, *(f"{kind.type}:{n}" for n in range(torch.accelerator.device_count()))]
    return names


def device_named(name: str | None) -> torch.device:
    """The device of this name.

    Args:
        name: one of :func:`devices`; None takes a GPU if there is one.

    Raises:
        ValueError: there is no such device, or it does not work.
    """
    found = devices()
    if name is None:
        name = "cuda" if "cuda" in found else "cpu"
    if name not in found:
        raise ValueError(f"no device of this machine, expected null or one of {', '.join(found)}")
    device = torch.device(name)
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # a driver that does not fit, for one
        raise ValueError(f"does not work: {str(error).strip().splitlines()[0]}") from error
    return device


def _usable(name: str | None) -> str | None:
    device_named(name)
    return name


DeviceName = Annotated[str | None, AfterValidator(_usable)]
"""The type of a setting that names a device; see :func:`device_named`."""
