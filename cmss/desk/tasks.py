"""Describes the work on a recording, which the desk passes to a process as a line of JSON."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmss.desk.orders import Order


@dataclass(frozen=True)
class Task:
    """A recording to process.

    Args:
        order: what is to be done.
        recording: path of the recording.
        folder: folder of the result, which exists.
        kept_stems: folder in which stems are kept, so that another audiogram needs no separation.
        separator: name of a separator, instead of that of the quality.
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
        """Return the task in a line of JSON."""
        values = json.loads(text)
        order: dict[str, Any] = values["order"]
        order |= {key: tuple(order[key]) for key in ("instruments", "left", "right")}
        paths = {name: Path(values[name]) for name in ("recording", "folder", "kept_stems")}
        return cls(order=Order(**order), separator=values["separator"], **paths)
