"""Examines the caller's arguments, and shows them in messages."""

from typing import Any

from cmss.command_line import one_line


def is_number(value: Any) -> bool:
    """Return whether a value is a real number of Python, NumPy or torch; a bool is not a number."""
    sample_type = str(getattr(value, "dtype", type(value).__name__))
    # float() accepts texts, bools, and arrays with a single element.
    if isinstance(value, str) or "bool" in sample_type or getattr(value, "shape", None):
        return False
    try:
        float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return False
    return True


def as_list(values: Any) -> list[Any] | None:
    """Return the items of an iterable; None if `values` is a text or cannot be iterated."""
    if isinstance(values, str | bytes):
        return None
    try:
        return list(values)
    except TypeError:  # also of an array without dimensions
        return None


def shortened(value: object) -> str:
    """Convert a value to a text of one line that a message can contain.

    For an array, the text gives only the type and the shape.
    """
    shape = getattr(value, "shape", ())
    if isinstance(shape, tuple) and shape:
        return f"{type(value).__name__} of shape {tuple(shape)}"
    text = one_line(repr(value))
    return text if len(text) <= 60 else f"{text[:57]}..."
