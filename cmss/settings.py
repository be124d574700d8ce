"""Values of the configuration, checked before anything runs.

Hydra knows the keys but not what belongs there: `evaluate.small_test=no` is the text "no", which
would count as true.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from cmss.errors import InputError
from cmss.quantities import SAMPLE_RATE_HZ

Count = Annotated[int, Field(ge=1)]


def _refuse_rates(value: object) -> object:
    """Name the likely cause of a sampling rate that no sound file has, such as 44.1."""
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if number is not None and (expected := SAMPLE_RATE_HZ.expectation([number])):
        raise PydanticCustomError("sampling_rate", "{expected}", {"expected": expected})
    return value


Rate = Annotated[int, BeforeValidator(_refuse_rates)]
"""A sampling rate in Hz."""
_STRICT = ConfigDict(strict=True)


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


def _problems(prefix: str, settings: Mapping[str, Any], kind: type[Any]) -> list[str]:
    known = [field.name for field in fields(kind) if field.init]
    types = get_type_hints(kind, include_extras=True)
    problems = []
    for key, value in settings.items():
        if key not in known:
            problems.append(f"{prefix}{key}: no such setting, expected one of {', '.join(known)}")
            continue
        try:
            TypeAdapter(types[key], config=_STRICT).validate_python(value)
        except ValidationError as error:
            problems.append(f"{prefix}{key}: {error.errors()[0]['msg']}, got {value!r}")
    return problems
