"""Chooses the separator of a recording."""

from typing import Any

from cmss.api.separating import FAST
from cmss.errors import InputError, one_of
from cmss.machine.precision import chosen_precision
from cmss.run.configuration import default_separator
from cmss.separators import SEPARATORS
from cmss.separators.estimators import chosen_device


def separator_settings(
    quality: str, separator: str | None = None, stems_for: str = ""
) -> dict[str, Any]:
    """Return the section of the configuration for a separator.

    Args:
        quality: "best" for the default ensemble, or "fast" for the best single network.
        separator: name of another separator, which is used instead of `quality`.
        stems_for: option that needs stems, for the message; empty if no option needs stems.

    Raises:
        InputError: there is no such separator, or stems are needed and the separator has none.
    """
    if separator in (None, "ensemble"):
        if quality == "fast":
            return {"name": FAST}
        # Kept stems belong to the precision in which they were computed.
        settings = default_separator()
        device = chosen_device(settings.get("device")).type
        return {**settings, "precision": chosen_precision(settings["precision"], device)}
    # The oracle needs the true stems.
    names = ["ensemble", *(known for known in SEPARATORS if known != "oracle")]
    if separator not in names:
        raise InputError(f"--separator: {separator!r}, {one_of(names, separator)}")
    if separator == "passthrough" and stems_for:
        raise InputError(
            f"{stems_for}: the separator passthrough estimates no stems; choose another separator"
        )
    return {"name": separator}
