"""Builds a separator and the steps after the separator from a section of the configuration."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from cmss.errors import InputError, noting
from cmss.machine.precision import Precision
from cmss.renamed import refuse_renamed
from cmss.separators.blocks import InBlocks
from cmss.separators.cache import NOT_SHAPING, Cached
from cmss.separators.catalogue import BOUNDS, CAUSAL, OF_FULL_RECORDINGS, SEPARATORS
from cmss.separators.ensemble import Ensemble, Member
from cmss.separators.protocol import Separator
from cmss.separators.steps import STEPS
from cmss.separators.steps.chain import Stepped
from cmss.separators.steps.step import Step
from cmss.separators.trained import NetworkSeparator
from cmss.settings import check_fields, from_settings

CAUSAL_KEY = "separator.causality=causal"


def build_separator(settings: Mapping[str, Any], sample_rate_hz: int) -> Separator:
    """Build a separator and the steps after the separator.

    Args:
        settings: section of the configuration. The value of `name` is a key of :data:`SEPARATORS`
            or `ensemble`. The value of `cache` is a folder for estimates. The value of `steps` is a
            list for :func:`build_steps`. All other keys are settings of the separator. An ensemble
            has a list `members`, whose items consist of a `weight` and the settings of a separator.
        sample_rate_hz: sampling rate of the mixtures.

    Raises:
        InputError: the separator does not exist, a setting is unknown or has the wrong type, or a
            setting of a causal separator requires look-ahead.
    """
    refuse_renamed(settings, "separator")
    settings = dict(settings)
    steps = build_steps(settings.pop("steps", ()), precision=settings.get("precision"))
    if settings.get("causality") == "causal" and (problems := [*_ahead(settings, steps)]):
        raise InputError(problems)
    names = {settings.get("name"), *(m.get("name") for m in settings.get("members", ()))}
    separator = _first(settings, sample_rate_hz)
    pooled = isinstance(separator, Ensemble) and separator.pool == "logarithmic"
    if steps:
        separator = Stepped(separator, [*steps.values()])
    # Steps and the log-opinion pool need the spectra of all sources, which are large. Without them,
    # a separator segments a long recording itself.
    in_blocks = (steps or pooled) and names.isdisjoint(OF_FULL_RECORDINGS)
    return InBlocks(separator) if in_blocks else separator


def build_steps(
    section: Sequence[Mapping[str, Any]],
    key: str = "separator.steps",
    precision: Precision | None = None,
) -> dict[str, Step]:
    """Build the steps after a separator.

    Args:
        section: list of mappings, one mapping for each step, in the order in which the steps are
            applied. The key `name` of a mapping is a key of :data:`STEPS`; the other keys are the
            settings of the step.
        key: key of this section in the configuration, for error messages.
        precision: precision of all steps that have this setting and do not set it themselves. None
            keeps the default of each step.

    Returns:
        Dict from the key of each step, such as `separator.steps.0`, to the step.

    Raises:
        InputError: a step is not valid; all problems are reported together.
    """
    if not isinstance(section, Sequence) or isinstance(section, str):
        raise InputError(f"{key}: {section!r}, expected a list such as [{{name: wiener}}]")
    steps: dict[str, Step] = {}
    problems: list[str] = []
    for number, settings in enumerate(section):
        with noting(problems):
            steps[f"{key}.{number}"] = _step(f"{key}.{number}", settings, precision)
    if problems:
        raise InputError(problems)
    return steps


def described_steps(
    section: Sequence[Mapping[str, Any]], precision: Precision | None = None
) -> list[dict[str, Any]]:
    """Return the name, the settings and the weights of each step, as far as they affect results.

    A weight file is identified by the digest of its content instead of its path.

    Args:
        section, precision: see :func:`build_steps`.
    """
    steps = build_steps(section, precision=precision).values()
    return [
        {
            "name": settings["name"],
            **{
                field.name: getattr(step, field.name)
                for field in fields(STEPS[settings["name"]])
                if field.init and field.name not in NOT_SHAPING
            },
            "weights": [*step.weights.values()],
        }
        for settings, step in zip(section, steps, strict=True)
    ]


def _step(key: str, settings: Mapping[str, Any], precision: Precision | None) -> Step:
    name = str(settings.get("name")) if isinstance(settings, Mapping) else ""
    if name not in STEPS:
        names = ", ".join(STEPS)
        raise InputError(f"{key}: {settings!r}, expected a mapping whose name is one of {names}")
    own = {field: value for field, value in settings.items() if field != "name"}
    if precision is not None and "precision" in {field.name for field in fields(STEPS[name])}:
        own = {"precision": precision, **own}
    return from_settings(STEPS[name], own, key)


def _ahead(settings: Mapping[str, Any], steps: Mapping[str, Step]) -> Iterator[str]:
    """Yield an error message for each setting with which a causal separator would look ahead."""
    name = settings.get("name")
    if name in SEPARATORS and name not in CAUSAL:
        expected = ", ".join(("ensemble", *CAUSAL))
        yield f"separator: {name} looks ahead, expected one of {expected} for {CAUSAL_KEY}"
    for key, step in steps.items():
        if step.looks_ahead:
            yield f"{key}: this step looks ahead, expected only causal steps for {CAUSAL_KEY}"
    if name != "ensemble":
        return
    if settings.get("edges_hz"):
        yield f"ensemble.edges_hz: splitting into bands looks ahead, expected [] for {CAUSAL_KEY}"
    if settings.get("pool") == "logarithmic":
        yield f"ensemble.pool: logarithmic looks ahead, expected linear for {CAUSAL_KEY}"
    for member in settings["members"]:
        if member.get("causality") == "noncausal":
            yield f"ensemble.members: {member.get('name')} is noncausal, expected {CAUSAL_KEY}"


def _first(settings: dict[str, Any], sample_rate_hz: int) -> Separator:
    """Build the separator without the steps after the separator."""
    name = settings.pop("name", None)
    if name == "ensemble":
        members = settings.pop("members")
        own: dict[str, Any] = {
            key: settings.pop(key) for key in ("normalise", "edges_hz", "pool") if key in settings
        }
        check_fields("ensemble", own, Ensemble)
        return Ensemble([_member(m, settings, sample_rate_hz) for m in members], **own)
    if name not in SEPARATORS:
        names = ", ".join(("ensemble", *SEPARATORS))
        raise InputError(f"separator: {name!r}, expected one of {names}")
    folder = None if name in BOUNDS else settings.pop("cache", None)
    if folder is not None and not (isinstance(folder, str) and folder):
        raise InputError(f"separator.cache: {folder!r}, expected a folder, or null for none")
    cls = SEPARATORS[name]
    check_fields("separator", settings, cls)
    # All networks share a class; the name selects the network.
    named = {"name": name} if issubclass(cls, NetworkSeparator) else {}
    separator = cls(sample_rate_hz=sample_rate_hz, **named, **settings)
    return Cached(separator, Path(folder)) if folder else separator


def _member(settings: Mapping[str, Any], common: Mapping[str, Any], sample_rate_hz: int) -> Member:
    own = dict(settings)
    if "weight" not in own:
        raise InputError(
            f"ensemble.members: {own.get('name')} has no weight, expected a number, or a number "
            "for each instrument"
        )
    weight = own.pop("weight")
    check_fields("ensemble.members", {"weight": weight}, Member)
    cls = SEPARATORS.get(own.get("name", ""))
    known = {field.name for field in fields(cls)} if cls else set()
    known |= set() if own.get("name") in BOUNDS else {"cache"}
    # Not every separator has all settings of the ensemble: the oracle has no device.
    shared = {key: value for key, value in common.items() if key in known}
    return Member(build_separator({**shared, **own}, sample_rate_hz), weight)
