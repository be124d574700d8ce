"""Returns the settings of the separator that the user chooses for a recording."""

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
    """Return the section `separator` of the configuration.

    Args:
        quality: "best" for the default ensemble, or "fast" for the best single network.
        separator: name of another separator, which is used instead of `quality`.
        stems_for: name of the option that needs stems; the error message contains this name.
            `stems_for` is empty if no option needs stems.

    Raises:
        InputError: the separator is unknown, or an option needs stems that the separator does not
            estimate.
    """
    if separator in (None, "ensemble"):
        if quality == "fast":
            return {"name": FAST}
        # Stored stems depend on the numerical precision. Therefore the settings contain the
        # precision.
        settings = default_separator()
        device = chosen_device(settings.get("device")).type
        return {**settings, "precision": chosen_precision(settings["precision"], device)}
    # The oracle needs the ground truth stems, which do not exist for a recording of the user.
    names = ["ensemble", *(known for known in SEPARATORS if known != "oracle")]
    if separator not in names:
        raise InputError(f"--separator: {separator!r}, {one_of(names, separator)}")
    if separator == "passthrough" and stems_for:
        raise InputError(
            f"{stems_for}: the separator passthrough does not estimate stems; choose another one"
        )
    return {"name": separator}
