"""Defines the task that the desk sends to the worker process, as a line of JSON."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmss.desk.orders import Order


@dataclass(frozen=True)
class Task:
    """Holds a recording to process, and the settings and the folders for the result.

    Args:
        order: settings for the separation and the hearing aid.
        recording: path of the recording.
        folder: folder of the result. The folder must exist.
        kept_stems: folder of the stored stems. If the stems of a recording are stored, the
            recording is not separated again for another audiogram.
        separator: name of the separator. If `separator` is None, the quality that the user chose,
            `order.quality`, determines the separator.
    """

    order: Order
    recording: Path
    folder: Path
    kept_stems: Path
    separator: str | None

    def to_json(self) -> str:
        """Return the task as a line of JSON."""
        values = {**vars(self), "order": vars(self.order)}
        return json.dumps(values, default=str)

    @classmethod
    def from_json(cls, text: str) -> "Task":
        """Read a task from a line of JSON."""
        values = json.loads(text)
        order: dict[str, Any] = values["order"]
        order |= {key: tuple(order[key]) for key in ("instruments", "left", "right")}
        paths = {name: Path(values[name]) for name in ("recording", "folder", "kept_stems")}
        return cls(order=Order(**order), separator=values["separator"], **paths)
