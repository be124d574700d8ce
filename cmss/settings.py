"""Values of the configuration, checked before anything runs.

Hydra knows the keys but not what belongs there: `evaluate.small_test=no` is the text "no", which
would count as true.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from cmss.errors import InputError

Built = TypeVar("Built")

Count = Annotated[int, Field(ge=1)]
Rate = Annotated[int, Field(ge=1, le=192000)]
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

    input_sample_rate: Rate
    remix_sample_rate: Rate
    HAAQI_sample_rate: Rate
    soft_clip: bool
    on_change: Literal["error", "redo"]
    references: bool
    stems: bool
    report: bool
    compare: list[str]


def check_values(config: Mapping[str, Any]) -> None:
    """See that every value that no other part of the program checks is of its kind.

    Args:
        config: the resolved configuration.

    Raises:
        InputError: all values that are not, by their keys.
    """
    general = {field.name: config[field.name] for field in fields(General)}
    problems = [
        *_problems("", general, General),
        *_problems("evaluate.", config["evaluate"], Evaluate),
        *_problems("submission.", config["submission"], Submission),
    ]
    if problems:
        raise InputError(problems)


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
    for field in fields(kind):  # type: ignore[arg-type]
        if not field.init:
            continue
        key = f"{prefix}{field.name}"
        if field.name not in settings:
            if field.default is MISSING and field.default_factory is MISSING:
                problems.append(f"{key}: missing, expected {key}=VALUE")
        elif is_dataclass(types[field.name]):
            nested: type[Any] = types[field.name]
            values[field.name] = _build(nested, settings[field.name], key, problems)
        else:
            try:
                values[field.name] = _checked(key, settings[field.name], types[field.name])
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
    for field in fields(kind):
        if field.init and field.name in settings:
            try:
                _checked(f"{prefix}{field.name}", settings[field.name], types[field.name])
            except InputError as error:
                problems += error.problems
    return problems


def _no_section(section: str, value: Any, kind: type[Any]) -> str:
    known = ", ".join(field.name for field in fields(kind) if field.init)
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
