"""The challenge's JSON files, with a schema for each type of entry.

Keys are those of the second Cadenza Challenge, task 2. Keys that are not used here, such as
`source_dataset`, are ignored.
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
    """Return a validator that refuses lists with values out of range, with a single message."""

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
    # strict: strings such as "1.0" and booleans are not accepted as numbers.
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


def _require_ascending(name: str, frequencies_hz: list[float]) -> None:
    if any(low >= high for low, high in pairwise(frequencies_hz)):
        raise ValueError(f"{name}: frequencies must ascend, got {frequencies_hz}")


class ListenerEntry(_Entry):
    """Audiograms of a listener: frequencies in Hz, levels of both ears in dB HL."""

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
    """Six-band compressor of a listener: centre frequencies in Hz, ratios, make-up gains in dB."""

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
    """A source or the mixture of a track: a file in the music folder, and a section in seconds."""

    instrument: str
    track: str
    # The limits are far above real values, and small enough that no arithmetic overflows.
    start: Annotated[Number, Field(ge=0, le=1e6)]
    duration: Annotated[Number, Field(gt=0, le=3600)]


def _printable(name: str) -> str:
    if not name.isprintable():
        raise ValueError(f"expected printable characters, got {name!r}")
    return name


class SceneEntry(_Entry):
    """The track and the set of gains of a scene."""

    # Printable, because it is written to scores.csv.
    music: Annotated[str, AfterValidator(_printable)]
    gain: str


Parts = dict[str, dict[str, Any]]
"""Entry of the music file: sources and mixture by key."""

Gains = dict[
    str,
    Annotated[
        Number, Field(ge=quantities.PLAYER_GAIN_DB.lowest, le=quantities.PLAYER_GAIN_DB.highest)
    ],
]
"""Entry of the gains file: source id -> gain in dB."""


@cache
def _adapter(schema: Any) -> TypeAdapter[Any]:
    """Compile a schema, once."""
    return TypeAdapter(schema)


class MetadataFile:
    """A JSON file that maps names to entries.

    Entries are validated only when they are used: gains.json has thousands of gains, of which a run
    uses a few.

    Args:
        path: the file.
        option: configuration key of the path, for the message if the file is missing.
        problems: list to which a message is appended for each problem.

    Attributes:
        entries: in the order of the file; empty if the file cannot be read.
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
            raise ValueError("expected an object of named entries")
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
        """Append a problem with a key, whose parts are joined by dots."""
        self._note(f"{self.path}: {key}: {problem}")

    def _note(self, line: str) -> None:
        # Names come from the file: line breaks and escape codes are escaped, so that each problem
        # is a single line.
        self._problems.append(
            line if line.isprintable() else line.encode("unicode_escape").decode("ascii")
        )

    def find(self, key: str, schema: type[T], referrer: "MetadataFile", where: str) -> T | None:
        """Return the validated entry of a key.

        Args:
            key: key in this file.
            schema: type that the entry must have.
            referrer: file that refers to the key.
            where: key in `referrer` whose value refers to `key`.

        Returns:
            None if the key does not exist or its entry is not valid; then a problem is reported.
            Also None if this file could not be read, without a further report.
        """
        if not self._readable:
            return None
        if key not in self.entries:
            referrer.report(where, f"{key!r} is not in {self.path}")
            return None
        return self.validate(key, self.entries[key], schema)

    def validate(self, key: str, value: object, schema: type[T]) -> T | None:
        """Validate the value of a key; return None and report the problems if it is not valid."""
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
