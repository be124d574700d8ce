"""Reads the challenge's JSON files, and validates their entries by a schema for each type of entry.

The keys in the files are defined by the second Cadenza Challenge, task 2. Keys that this project
does not need, such as `source_dataset`, are ignored.
"""

import json
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from cmss import quantities
from cmss.errors import InputError
from cmss.files.text import read_text
from cmss.quantities import Quantity

COMPRESSOR_BANDS = 6

Number = Annotated[float, Field(allow_inf_nan=False)]
Banded = Field(min_length=COMPRESSOR_BANDS, max_length=COMPRESSOR_BANDS)


def _in_range(quantity: Quantity) -> AfterValidator:
    """Return a validator that refuses a list if any of its values is out of range.

    The validator reports all values that are out of range in a single message.
    """

    def check(values: list[float]) -> list[float]:
        if refusal := quantity.refusal(values):
            raise ValueError(refusal)
        return values

    return AfterValidator(check)


Frequencies = _in_range(quantities.FREQUENCY_HZ)
HearingLevels = Annotated[list[Number], _in_range(quantities.HEARING_LEVEL_DB)]
Ratios = Annotated[list[Number], Banded, _in_range(quantities.RATIO)]
MakeUpGains = Annotated[list[Number], Banded, _in_range(quantities.MAKE_UP_GAIN_DB)]
T = TypeVar("T")


class _Entry(BaseModel):
    # With strict=True, strings such as "1.0" and booleans are not accepted as numbers.
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


def _require_ascending(name: str, frequencies_hz: list[float]) -> None:
    if any(low >= high for low, high in pairwise(frequencies_hz)):
        raise ValueError(f"{name}: frequencies must ascend, got {frequencies_hz}")


class ListenerEntry(_Entry):
    """An entry of the listeners file: the audiograms of both ears of a listener.

    `audiogram_cfs` are frequencies in Hz; `audiogram_levels_l` and `audiogram_levels_r` are hearing
    thresholds of the left and right ear in dB HL.
    """

    name: str | None = None
    audiogram_cfs: Annotated[list[Number], Field(min_length=1), Frequencies]
    audiogram_levels_l: HearingLevels
    audiogram_levels_r: HearingLevels

    @model_validator(mode="after")
    def _one_level_per_frequency(self) -> "ListenerEntry":
        expected = len(self.audiogram_cfs)
        for key in ("audiogram_levels_l", "audiogram_levels_r"):
            if len(getattr(self, key)) != expected:
                raise ValueError(
                    f"{key}: {len(getattr(self, key))} values, expected {expected}, "
                    "one for each of audiogram_cfs"
                )
        _require_ascending("audiogram_cfs", self.audiogram_cfs)
        return self


class CompressorEntry(_Entry):
    """An entry of the compressor file: settings of a listener's six-band compressors.

    `frequencies` are centre frequencies in Hz, `cr_l` and `cr_r` are compression ratios, `gain_l`
    and `gain_r` are make-up gains in dB.
    """

    frequencies: Annotated[list[Number], Banded, Frequencies]
    cr_l: Ratios
    cr_r: Ratios
    gain_l: MakeUpGains
    gain_r: MakeUpGains

    @model_validator(mode="after")
    def _ascending(self) -> "CompressorEntry":
        _require_ascending("frequencies", self.frequencies)
        return self


class ExcerptEntry(_Entry):
    """Describes a source or the mixture of a track, in an entry of the music file.

    `track` is the path of a sound file, relative to the music folder. `start` and `duration`, in
    seconds, define an excerpt of this file.
    """

    instrument: str
    track: str
    # These limits are far above real values, but small enough to avoid overflow in computations.
    start: Annotated[Number, Field(ge=0, le=1e6)]
    duration: Annotated[Number, Field(gt=0, le=3600)]


def _printable(name: str) -> str:
    if not name.isprintable():
        raise ValueError(f"expected printable characters, got {name!r}")
    return name


class SceneEntry(_Entry):
    """An entry of the scenes file; it names the track and the set of gains of a scene."""

    # The name of the track must be printable, because it is written to scores.csv.
    music: Annotated[str, AfterValidator(_printable)]
    gain: str


Parts = dict[str, dict[str, Any]]
"""Entry of the music file: dict from the key of a source, or "mixture", to the fields of an
:class:`ExcerptEntry`."""

Gains = dict[
    str,
    Annotated[
        Number, Field(ge=quantities.PLAYER_GAIN_DB.lowest, le=quantities.PLAYER_GAIN_DB.highest)
    ],
]
"""Entry of the gains file: dict from the id of a source to its gain in dB."""


@cache
def _adapter(schema: Any) -> TypeAdapter[Any]:
    """Compile a schema; each schema is compiled only once."""
    return TypeAdapter(schema)


class MetadataFile:
    """Reads a JSON file that maps names to entries, and validates entries on request.

    Only the entries that a run uses are validated, because a run uses only a few of the thousands
    of gains in gains.json.

    Args:
        path: path of the file.
        option: configuration key of the path, such as "music_file", for error messages.
        problems: list to which a message is appended for each problem.

    Attributes:
        entries: dict from a name to its entry, in the order of the file; empty if the file cannot
            be read.
    """

    def __init__(self, path: Path, option: str, problems: list[str]) -> None:
        self.path = path
        self._problems = problems
        self._doubled: dict[str, None] = {}
        self._readable = True
        self.entries: dict[str, Any] = {}
        try:
            self.entries = self._parse(read_text(path))
        except OSError as error:
            self._refuse(f"path.{option}: {error.strerror or error}")
        except InputError as error:
            self._refuse(str(error).removeprefix(f"{path}: "))
        except json.JSONDecodeError as error:
            self._refuse(f"malformed JSON, line {error.lineno} column {error.colno}: {error.msg}")
        except (ValueError, RecursionError) as error:
            self._refuse(f"malformed JSON: {error}")
        for key in self._doubled:
            self.report(key, "key appears twice in one object, expected once")

    def _parse(self, text: str) -> dict[str, Any]:
        entries = json.loads(text, object_pairs_hook=self._object)
        if not isinstance(entries, dict):
            raise ValueError("expected an object that maps names to entries")
        return entries

    def _object(self, items: list[tuple[str, Any]]) -> dict[str, Any]:
        read = dict(items)
        if len(read) < len(items):
            counts = Counter(key for key, _ in items)
            self._doubled |= dict.fromkeys(key for key, times in counts.items() if times > 1)
        return read

    def _refuse(self, problem: str) -> None:
        self._readable = False
        self._note(f"{self.path}: {problem}")

    def report(self, key: str, problem: str) -> None:
        """Append a message about a key to the list of problems.

        Args:
            key: full key with dots, such as "S50001.music".
            problem: description of the problem.
        """
        self._note(f"{self.path}: {key}: {problem}")

    def _note(self, line: str) -> None:
        # A message may contain names from the file, and these may contain line breaks or control
        # characters. Escape them, so that each message is a single line.
        self._problems.append(
            line if line.isprintable() else line.encode("unicode_escape").decode("ascii")
        )

    def find(self, key: str, schema: type[T], referrer: "MetadataFile", where: str) -> T | None:
        """Return the entry of a key after validation.

        Args:
            key: key of the entry.
            schema: type that the entry must have.
            referrer: file that refers to the entry.
            where: place in `referrer` that refers to the entry, for error messages.

        Returns:
            The entry; None if there is no valid entry. A missing or invalid entry is reported as a
            problem. If this file could not be read, nothing is reported, because this problem has
            already been reported.
        """
        if not self._readable:
            return None
        if key not in self.entries:
            referrer.report(where, f"{key!r} is not in {self.path}")
            return None
        return self.validate(key, self.entries[key], schema)

    def validate(self, key: str, value: object, schema: type[T]) -> T | None:
        """Validate and return a value; if the value is not valid, report problems and return None.

        Args:
            key: key of the value in this file, for messages.
            value: value to validate.
            schema: type that the value must have.
        """
        try:
            return cast(T, _adapter(cast(Any, schema)).validate_python(value, strict=True))
        except ValidationError as error:
            for detail in error.errors():
                where = ".".join([key, *map(str, detail["loc"])])
                self.report(where, _describe(detail["type"], detail["msg"], detail["input"]))
            return None


def _describe(error: str, message: str, value: object) -> str:
    if error == "value_error":
        return message.removeprefix("Value error, ")
    if error == "missing":
        return "key missing"
    shown = repr(value)
    return f"{message}, got {shown if len(shown) <= 60 else shown[:57] + '...'}"
