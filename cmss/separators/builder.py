"""Builds a separator and its processing steps from a section of the configuration.

Classes that need PyTorch are imported only where they are used: importing PyTorch takes seconds,
and `separator=passthrough` does not need PyTorch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmss.errors import InputError, noting, one_of
from cmss.machine.precision import Precision
from cmss.models import registry
from cmss.renamed import refuse_renamed
from cmss.separators.catalogue import BOUNDS, OF_FULL_RECORDINGS, SEPARATORS, can_be_causal
from cmss.separators.protocol import NOT_SHAPING, Separator
from cmss.settings import check_fields, from_settings

if TYPE_CHECKING:
    from cmss.separators.ensemble import Member
    from cmss.separators.steps.step import Step

CAUSAL_KEY = "separator.causality=causal"


def build_separator(settings: Mapping[str, Any], sample_rate_hz: int) -> Separator:
    """Build a separator and its processing steps.

    Args:
        settings: section of the configuration. The value of `name` is either a key of
            :data:`SEPARATORS` or the word `ensemble`. The value of `cache` is a folder for
            estimates. The value of `steps` is a list for :func:`build_steps`. If `shrink_doubled`
            is true, :class:`cmss.separators.shrink_doubled.ShrinkDoubled` follows the separator.
            All other keys are settings of the separator. An ensemble has a list `members`, whose
            items consist of a `weight` and the settings of a separator.
        sample_rate_hz: sampling rate of the mixtures.

    Raises:
        InputError: the separator does not exist, a setting is unknown or has the wrong type, or a
            setting of a causal separator requires look-ahead.
    """
    refuse_renamed(settings, "separator")
    settings = dict(settings)
    steps = build_steps(settings.pop("steps", ()), precision=settings.get("precision"))
    shrink_doubled = settings.pop("shrink_doubled", False)
    if not isinstance(shrink_doubled, bool):
        raise InputError(f"separator.shrink_doubled: {shrink_doubled!r}, expected true or false")
    if settings.get("causality") == "causal" and (
        problems := [*_ahead(settings, steps, shrink_doubled)]
    ):
        raise InputError(problems)
    names = {settings.get("name"), *(m.get("name") for m in settings.get("members", ()))}
    pooled = settings.get("name") == "ensemble" and settings.get("pool") == "logarithmic"
    separator = _first(settings, sample_rate_hz)
    if steps:
        from cmss.separators.steps.chain import Stepped

        separator = Stepped(separator, [*steps.values()])
    if shrink_doubled:
        from cmss.separators.shrink_doubled import ShrinkDoubled

        separator = ShrinkDoubled(separator)
    # Processing steps and the log-opinion pool need the spectra of all sources, which are large.
    # Without steps and pool, a separator segments a long recording itself.
    if not (steps or pooled) or not names.isdisjoint(OF_FULL_RECORDINGS):
        return separator
    from cmss.separators.blocks import InBlocks

    return InBlocks(separator)


def build_steps(
    section: Sequence[Mapping[str, Any]],
    key: str = "separator.steps",
    precision: Precision | None = None,
) -> dict[str, "Step"]:
    """Build the processing steps that are applied after a separator.

    Args:
        section: list of mappings, one mapping for each step, in the order in which the steps are
            applied. The key `name` of a mapping is a key of :data:`cmss.separators.steps.STEPS`;
            the other keys are the settings of the step.
        key: key of this section in the configuration, for error messages.
        precision: default value of the setting `precision`. If a step has this setting but its
            mapping does not contain the setting, the step uses this default value. If `precision`
            is None, each step keeps its own default value.

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
    """Return, for each step, the name, the weights, and the settings that affect the results.

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
                for field in fields(step)  # type: ignore[arg-type]  # steps are dataclasses
                if field.init and field.name not in NOT_SHAPING
            },
            "weights": [*step.weights.values()],
        }
        for settings, step in zip(section, steps, strict=True)
    ]


def _step(key: str, settings: Mapping[str, Any], precision: Precision | None) -> "Step":
    from cmss.separators.steps import STEPS

    name = str(settings.get("name")) if isinstance(settings, Mapping) else ""
    if name not in STEPS:
        names = one_of(STEPS, name).removeprefix("expected ")
        raise InputError(
            f"{key}: {settings!r}, expected a mapping with the key name, whose value is {names}"
        )
    own = {field: value for field, value in settings.items() if field != "name"}
    if precision is not None and "precision" in {field.name for field in fields(STEPS[name])}:
        own = {"precision": precision, **own}
    return from_settings(STEPS[name], own, key)


def _ahead(
    settings: Mapping[str, Any], steps: Mapping[str, "Step"], shrink_doubled: bool
) -> Iterator[str]:
    """Yield an error message for each setting with which a causal separator would look ahead."""
    name = settings.get("name")
    if name in SEPARATORS and not can_be_causal(str(name)):
        expected = ", ".join(("ensemble", *filter(can_be_causal, SEPARATORS)))
        yield f"separator: {name} looks ahead, expected one of {expected} for {CAUSAL_KEY}"
    for key, step in steps.items():
        if step.looks_ahead:
            yield f"{key}: this step looks ahead, expected only causal steps for {CAUSAL_KEY}"
    if shrink_doubled:
        yield f"separator.shrink_doubled: this looks ahead, expected false for {CAUSAL_KEY}"
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
    """Build the separator without its processing steps."""
    name = settings.pop("name", None)
    if name == "ensemble":
        return _ensemble(settings, sample_rate_hz)
    if name not in SEPARATORS:
        raise InputError(f"separator: {name!r}, {one_of(('ensemble', *SEPARATORS), name)}")
    folder = None if name in BOUNDS else settings.pop("cache", None)
    if folder is not None and not (isinstance(folder, str) and folder):
        raise InputError(f"separator.cache: {folder!r}, expected a folder, or null for no cache")
    cls = SEPARATORS[name]
    check_fields("separator", settings, cls)
    # All networks share a class; the name selects the network.
    named = {"name": name} if name in registry.names() else {}
    separator = cls(sample_rate_hz=sample_rate_hz, **named, **settings)
    if not folder:
        return separator
    from cmss.separators.cache import Cached

    return Cached(separator, Path(folder))


def _ensemble(settings: dict[str, Any], sample_rate_hz: int) -> Separator:
    """Build an ensemble from its settings; the settings do not contain the key `name`."""
    from cmss.separators.ensemble import Ensemble

    members = settings.pop("members")
    own: dict[str, Any] = {
        key: settings.pop(key) for key in ("normalise", "edges_hz", "pool") if key in settings
    }
    check_fields("ensemble", own, Ensemble)
    # The other settings are passed to those members that have these settings.
    passed = {"causality", "device", "precision", "cache"}.union(
        *(_settings_of(member.get("name")) for member in members)
    )
    if unknown := [key for key in settings if key not in passed]:
        raise InputError(
            f"separator.{key}: no such setting, {one_of(sorted(passed), key)}" for key in unknown
        )
    return Ensemble([_member(m, settings, sample_rate_hz) for m in members], **own)


def _settings_of(name: Any) -> set[str]:
    """Return the names of the settings of a separator; an unknown separator has no settings."""
    if not isinstance(name, str) or name not in SEPARATORS:
        return set()
    known = {field.name for field in fields(SEPARATORS[name]) if field.init}
    return known - {"sample_rate_hz", "name"} | (set() if name in BOUNDS else {"cache"})


def _member(
    settings: Mapping[str, Any], common: Mapping[str, Any], sample_rate_hz: int
) -> "Member":
    from cmss.separators.ensemble import Member

    own = dict(settings)
    if "weight" not in own:
        raise InputError(
            f"ensemble.members: {own.get('name')} has no weight, expected a number, or a number "
            "for each instrument"
        )
    weight = own.pop("weight")
    check_fields("ensemble.members", {"weight": weight}, Member)
    known = _settings_of(own.get("name"))
    # Not every separator has all settings of the ensemble: the oracle has no device.
    shared = {key: value for key, value in common.items() if key in known}
    return Member(build_separator({**shared, **own}, sample_rate_hz), weight)
