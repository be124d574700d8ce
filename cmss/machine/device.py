"""Lists and selects the devices on which a network can run."""

from typing import Annotated

import torch
from pydantic import AfterValidator

from cmss.errors import one_of


def devices() -> list[str]:
    """Return the names of the devices of this machine; the CPU is the first."""
    names = ["cpu"]
    if torch.accelerator.is_available():
        current = torch.accelerator.current_accelerator()
        assert current is not None
        numbers = range(torch.accelerator.device_count())
        names += [current.type, *(f"{current.type}:{number}" for number in numbers)]
    return names


def device_named(name: str | None) -> torch.device:
    """Return the device that has a given name.

    Args:
        name: a name from :func:`devices`. If `name` is None and the machine has a GPU (CUDA, or mps
            on a Mac), the GPU is selected. If `name` is None and there is no GPU, the CPU is
            selected.

    Raises:
        ValueError: the device does not exist or does not work.
    """
    names = devices()
    if name is None:
        name = next((gpu for gpu in ("cuda", "mps") if gpu in names), "cpu")
    if name not in names:
        expected = one_of(names, name).removeprefix("expected ")
        raise ValueError(f"is not a device of this machine, expected null or {expected}")
    device = torch.device(name)
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # for example, the driver has the wrong version
        raise ValueError(f"does not work: {str(error).strip().splitlines()[0]}") from error
    return device


def _usable(name: str | None) -> str | None:
    """Check that the device with this name works, and return the name unchanged."""
    device_named(name)
    return name


DeviceName = Annotated[str | None, AfterValidator(_usable)]
"""Type of a setting whose value is the name of a device; see :func:`device_named`."""
