"""Values of the configuration, checked before anything runs.

Hydra knows the keys but not what belongs there: `evaluate.small_test=no` is the text "no", which
would count as true.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from cmss.errors import InputError
from cmss.quantities import SAMPLE_RATE_HZ

Built = TypeVar("Built")

Count = Annotated[int, Field(ge=1)]


def _refuse_rates(value: object) -> object:
    """Name the likely cause of a sampling rate that no sound file has, such as 44.1."""
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if number is not None and (expected := SAMPLE_RATE_HZ.expectation([number])):
        raise ValueError(expected)
    return value


Rate = Annotated[int, BeforeValidator(_refuse_rates)]
"""A sampling rate in Hz."""
Name = Annotated[str, Field(min_length=1)]
Steps = Annotated[int, Field(ge=1, le=10**9)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""What the generators of both PyTorch and NumPy take."""
BatchSize = Annotated[int, Field(ge=1, le=4096)]
NotNegative = Annotated[float, Field(ge=0)]
LearningRate = Annotated[float, Field(ge=0, le=1)]

_STRICT = ConfigDict(strict=True, allow_inf_nan=False)
LONGEST_SHOWN = 80  # characters of a value in a message


@dataclass(frozen=True)
class Evaluate:
    """The section `evaluate`."""

    set_random_seed: bool
    small_test: bool
    pairs: str | None
    batch_size: Count
    batch: Annotated[int, Field(ge=0)]
    jobs: Count | None


@dataclass(frozen=True)
class Submission:
    """The section `submission`."""

    team: str
    supplement: str
    part_mb: Annotated[float, Field(gt=0)] | None


@dataclass(frozen=True)
class General:
    """Keys without a section."""

    split: Name
    profile: Name
    input_sample_rate: Rate
    remix_sample_rate: Rate
    HAAQI_sample_rate: Rate
    soft_clip: bool
    on_change: Literal["error", "redo"]
    references: bool
    stems: bool
    report: bool
    compare: list[str]


@dataclass(frozen=True)
class Separated:
    """What all stages read of the section `separator`; the separator itself checks the others."""

    name: Name
    causality: Literal["causal", "noncausal"]
    members: list[dict[str, Any]] = field(default_factory=list)


def check_values(config: Mapping[str, Any]) -> None:
    """See that every value that no other part of the program checks is of its kind.

    Args:
        config: the resolved configuration.

    Raises:
        InputError: all values that are not, by their keys.
    """
    problems = [
        *_problems("", _those_of(General, config), General),
        *_problems("separator.", _those_of(Separated, config["separator"]), Separated),
        *_problems("evaluate.", config["evaluate"], Evaluate),
        *_problems("submission.", config["submission"], Submission),
    ]
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


def _those_of(kind: type[Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a dataclass has a field for."""
    return {field.name: settings[field.name] for field in fields(kind) if field.name in settings}


def check_fields(section: str, settings: Mapping[str, Any], kind: type[Any]) -> None:
    """See that the settings of a section can be arguments of a dataclass.

    Args:
        section: key of the section, for the message.
        settings: its values.
        kind: the dataclass that will be made of them.

    Raises:
        InputError: keys that it does not have, values of another type than its fields.
    """
    if problems := _problems(f"{section}.", settings, kind):
        raise InputError(problems)


def from_settings(kind: type[Built], settings: Any, section: str = "") -> Built:
    """Build a dataclass from a section of the configuration, and those that are its fields.

    A ValueError that a dataclass raises when it is made, of values that do not go together, names
    the field; the section is put before it.

    Args:
        kind: the dataclass. Fields without a default must be in the settings.
        settings: its values, resolved.
        section: key of the section; empty for the whole configuration.

    Returns:
        the dataclass with the values of the settings, an integer where a float is expected as one.

    Raises:
        InputError: keys that are missing or that it does not have, values of another type than its
            fields or beyond their limits; one line for each, with the full key.
    """
    problems: list[str] = []
    built = _build(kind, settings, section, problems)
    if built is None or problems:
        raise InputError(problems)
    return built


def _build(kind: type[Built], settings: Any, section: str, problems: list[str]) -> Built | None:
    """The dataclass; None if something is wrong with it, which is added to the problems."""
    if not isinstance(settings, Mapping):
        problems.append(_no_section(section, settings, kind))
        return None
    found = len(problems)
    prefix = f"{section}." if section else ""
    types = get_type_hints(kind, include_extras=True)
    values: dict[str, Any] = {}
    problems += _unknown(prefix, settings, kind)
    for item in fields(kind):  # type: ignore[arg-type]
        if not item.init:
            continue
        key = f"{prefix}{item.name}"
        if item.name not in settings:
            if item.default is MISSING and item.default_factory is MISSING:
                problems.append(f"{key}: missing, expected {key}=VALUE")
        elif is_dataclass(types[item.name]):
            nested: type[Any] = types[item.name]
            values[item.name] = _build(nested, settings[item.name], key, problems)
        else:
            try:
                values[item.name] = _checked(key, settings[item.name], types[item.name])
            except InputError as error:
                problems += error.problems
    if len(problems) > found:
        return None
    try:
        return kind(**values)
    except ValueError as error:
        problems.append(f"{prefix}{error}")
    except InputError as error:
        problems += error.problems
    return None


def _problems(prefix: str, settings: Any, kind: type[Any]) -> list[str]:
    if not isinstance(settings, Mapping):
        return [_no_section(prefix.removesuffix("."), settings, kind)]
    types = get_type_hints(kind, include_extras=True)
    problems = _unknown(prefix, settings, kind)
    for item in fields(kind):
        if item.init and item.name in settings:
            try:
                _checked(f"{prefix}{item.name}", settings[item.name], types[item.name])
            except InputError as error:
                problems += error.problems
    return problems


def _no_section(section: str, value: Any, kind: type[Any]) -> str:
    known = ", ".join(item.name for item in fields(kind) if item.init)
    return f"{section}: expected a section with the keys {known}, got {_shown(value)}"


def _unknown(prefix: str, settings: Mapping[str, Any], kind: type[Any]) -> list[str]:
    known = [field.name for field in fields(kind) if field.init]
    expected = f"expected one of {', '.join(known)}"
    return [f"{prefix}{key}: no such setting, {expected}" for key in settings if key not in known]


def _checked(key: str, value: Any, kind: Any) -> Any:
    """The value, as what it is expected to be."""
    try:
        return TypeAdapter(kind, config=_STRICT).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        # Of the elements of a list the first that is wrong.
        place = "".join(f"[{part}]" for part in first["loc"] if isinstance(part, int))
        reason = first["msg"].removeprefix("Value error, ")
        message = f"{key}{place}: {reason}, got {_shown(first['input'])}"
        raise InputError(message) from error


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."
