"""Validates the configuration before the program starts to work.

Hydra checks the keys, but not the types of the values. For example, hydra reads
`evaluate.small_test=no` as the string "no", which Python treats as true.
"""

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from cmss.command_line import one_line
from cmss.errors import InputError, did_you_mean, one_of
from cmss.quantities import SAMPLE_RATE_HZ

Built = TypeVar("Built")

Count = Annotated[int, Field(ge=1)]


def _refuse_rates(value: object) -> object:
    """Refuse an impossible sampling rate, such as 44.1, with a message about the likely mistake."""
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if number is not None and (expected := SAMPLE_RATE_HZ.expectation([number])):
        raise ValueError(expected)
    return value


def _refuse_other_than_flac(rate: int) -> int:
    """Refuse a sampling rate that the header of a FLAC file cannot state."""
    if rate > 65535 and rate % 10:
        raise ValueError(
            f"expected a multiple of 10 Hz above 65535 Hz, as in FLAC files, got {rate}"
        )
    return rate


Rate = Annotated[int, BeforeValidator(_refuse_rates)]
"""Type of a sampling rate in Hz."""
FlacRate = Annotated[Rate, AfterValidator(_refuse_other_than_flac)]
"""Type of the sampling rate in Hz of files that a stage writes."""
Name = Annotated[str, Field(min_length=1)]
Steps = Annotated[int, Field(ge=1, le=10**9)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""Type of a seed that the random generators of PyTorch and NumPy accept."""
BatchSize = Annotated[int, Field(ge=1, le=4096)]
NotNegative = Annotated[float, Field(ge=0)]
LearningRate = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class Evaluate:
    """Settings of the section `evaluate`."""

    set_random_seed: bool
    small_test: bool
    pairs: str | None
    batch_size: Count
    batch: Annotated[int, Field(ge=0)]
    jobs: Count | None


@dataclass(frozen=True)
class Submission:
    """Settings of the section `submission`."""

    team: str
    supplement: str
    part_mb: Annotated[float, Field(gt=0)] | None


@dataclass(frozen=True)
class General:
    """Settings that belong to no section."""

    split: Name
    profile: Name
    input_sample_rate: FlacRate
    remix_sample_rate: FlacRate
    HAAQI_sample_rate: Rate
    soft_clip: bool
    on_change: Literal["error", "redo"]
    references: bool
    stems: bool
    report: bool
    compare: list[str]


@dataclass(frozen=True)
class Separated:
    """Settings of the section `separator` that all programs read.

    The other settings of the section `separator` are checked when the separator is built.
    """

    name: Name
    causality: Literal["causal", "noncausal"]
    members: list[dict[str, Any]] = field(default_factory=list)


def check_values(config: Mapping[str, Any]) -> None:
    """Check the types and ranges of those configuration values that are not checked elsewhere.

    Args:
        config: the configuration, with references resolved.

    Raises:
        InputError: values have a wrong type or are out of range; the message has a line for each
            wrong value.
    """
    problems: list[str] = []
    for section, kind in (("", General), ("separator", Separated)):
        settings = config[section] if section else config
        # The other keys of the sections separator and ensemble are checked elsewhere.
        names = {item.name for item in fields(kind)} & settings.keys()
        _values(kind, {name: settings[name] for name in names}, section, problems)
    _values(Evaluate, config["evaluate"], "evaluate", problems)
    _values(Submission, config["submission"], "submission", problems)
    if not problems:
        problems = [
            f"ensemble.members.{number}.name: expected the name of a separator, got {name!r}"
            for number, member in enumerate(config["separator"].get("members", []))
            if not isinstance(name := member.get("name"), str)
        ]
    batch, jobs = config["evaluate"]["batch"], config["evaluate"]["batch_size"]
    if not problems and batch >= jobs:
        problems = [f"evaluate.batch: {batch}, expected 0 to {jobs - 1} (evaluate.batch_size - 1)"]
    if problems:
        raise InputError(problems)


def check_fields(section: str, settings: Mapping[str, Any], type_: type[Any]) -> None:
    """Check that the settings of a section fit the fields of a dataclass.

    Args:
        section: key of the section, for the message.
        settings: values of the section.
        type_: dataclass with a field for each setting.

    Raises:
        InputError: a key is not a field of the dataclass, or the type of a value differs from the
            type of the field.
    """
    problems: list[str] = []
    _values(type_, settings, section, problems)
    if problems:
        raise InputError(problems)


def from_settings(type_: type[Built], settings: Any, section: str = "") -> Built:
    """Build a dataclass and its nested dataclasses from a section of the configuration.

    If the dataclass raises a ValueError because values do not fit together, the message must begin
    with the name of a field. In the message of the InputError, the full key replaces the name of
    the field.

    Args:
        type_: type of the dataclass. The settings must contain every field that has no default.
        settings: values of the section, with references resolved.
        section: key of the section; empty for the entire configuration.

    Returns:
        The dataclass. If a field has the type float, an integer is converted to float.

    Raises:
        InputError: keys are missing or unknown, or values have a wrong type or are out of range.
            The message has a line with the full key for each problem.
    """
    problems: list[str] = []
    built = _build(type_, settings, section, problems)
    if built is None or problems:
        raise InputError(problems)
    return built


def _build(type_: type[Built], settings: Any, section: str, problems: list[str]) -> Built | None:
    """Build the dataclass, or return None and append a line for each error to `problems`."""
    found = len(problems)
    values = _values(type_, settings, section, problems, complete=True)
    if len(problems) > found:
        return None
    try:
        return type_(**values)
    except ValueError as error:
        problems.append(f"{section}.{error}" if section else str(error))
    except InputError as error:
        problems += error.problems
    return None


def _values(
    type_: type[Any], settings: Any, section: str, problems: list[str], complete: bool = False
) -> dict[str, Any]:
    """Check the values of a section, and return the valid values.

    Args:
        type_: dataclass with a field for each key.
        settings: values of the section.
        section: key of the section; empty for the entire configuration.
        problems: list to which a line is added for each error.
        complete: whether the settings must contain every field that has no default.
    """
    items = [item for item in fields(type_) if item.init]
    known = ", ".join(item.name for item in items)
    if not isinstance(settings, Mapping):
        shown = _shorten(settings)
        problems.append(f"{section}: expected a section with the keys {known}, got {shown}")
        return {}
    prefix = f"{section}." if section else ""
    unknown = [key for key in settings if key not in {item.name for item in items}]
    names = [item.name for item in items]
    problems += [f"{prefix}{key}: no such setting, {one_of(names, key)}" for key in unknown]
    types = get_type_hints(type_, include_extras=True)
    values = {}
    for item in items:
        key, field_type = f"{prefix}{item.name}", types[item.name]
        if item.name not in settings:
            if complete and item.default is MISSING and item.default_factory is MISSING:
                problems.append(f"{key}: missing, expected {key}=VALUE")
        elif is_dataclass(field_type):
            nested: type[Any] = types[item.name]
            values[item.name] = _build(nested, settings[item.name], key, problems)
        else:
            try:
                values[item.name] = _checked(key, settings[item.name], field_type)
            except InputError as error:
                problems += error.problems
    return values


def _checked(key: str, value: Any, type_: Any) -> Any:
    """Convert a value to the type of its field, or raise an InputError."""
    strict = ConfigDict(strict=True, allow_inf_nan=False)
    try:
        return TypeAdapter(type_, config=strict).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        # If the value is a list, find the index of the first wrong element.
        place = "".join(f"[{part}]" for part in first["loc"] if isinstance(part, int))
        reason = first["msg"].removeprefix("Value error, ")
        message = f"{key}{place}: {reason}, got {_shorten(first['input'])}"
        if first["type"] == "literal_error":
            choices = re.findall("'([^']*)'", first["ctx"]["expected"])
            message += did_you_mean(first["input"], choices)
        raise InputError(message) from error


def _shorten(value: Any) -> str:
    """Convert a value to a text of at most 80 characters for an error message."""
    # Arrays are shown in several lines.
    text = one_line(repr(value))
    return text if len(text) <= 80 else f"{text[:77]}..."
