"""Values of the configuration, checked before anything runs.

Hydra knows the keys but not what belongs there: `evaluate.small_test=no` is the text "no", which
would count as true.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
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
Name = Annotated[str, Field(min_length=1)]
_STRICT = ConfigDict(strict=True, allow_inf_nan=False)


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
            first = error.errors()[0]
            # Of a list the item that is wrong; of a choice of types pydantic's names would follow.
            item = first["loc"] if isinstance([*first["loc"], ""][0], int) else ()
            inside = "".join(f".{part}" for part in item)
            problems.append(f"{prefix}{key}{inside}: {first['msg']}, got {value!r}")
    return problems
