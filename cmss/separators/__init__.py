"""Ways of taking a mixture apart, behind one protocol, built from the configuration by name."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from cmss.errors import InputError
from cmss.separators.bounds import Oracle, Passthrough
from cmss.separators.convtasnet import ConvTasNetSeparator
from cmss.separators.ensemble import Ensemble, Member
from cmss.separators.nmf import (
    ConvolutiveNMFSeparator,
    NMFSeparator,
    PLCASeparator,
    SmoothNMFSeparator,
)
from cmss.separators.protocol import Separator, Stems
from cmss.separators.unets import ARUNetSeparator, MultichannelUNetSeparator, WaveUNetSeparator
from cmss.separators.wiener import Wiener, WienerFiltered
from cmss.settings import check_fields

__all__ = ["SEPARATORS", "Oracle", "Passthrough", "Separator", "Stems", "build_separator"]

SEPARATORS: dict[str, type[Any]] = {
    "convtasnet": ConvTasNetSeparator,
    "oracle": Oracle,
    "passthrough": Passthrough,
    "waveunet": WaveUNetSeparator,
    "multichannel_unet": MultichannelUNetSeparator,
    "arunet": ARUNetSeparator,
    "nmf": NMFSeparator,
    "nmf_convolutive": ConvolutiveNMFSeparator,
    "nmf_smooth": SmoothNMFSeparator,
    "plca": PLCASeparator,
}

CAUSAL = ("convtasnet", "oracle", "passthrough")
"""Those of them that may look ahead by no more than the challenge's 5 ms, given causal weights."""


def build_separator(settings: Mapping[str, Any], sample_rate_hz: int) -> Separator:
    """A separator from its section of the configuration.

    Args:
        settings: `name`, a key of :data:`SEPARATORS` or `ensemble`, that separator's own fields,
            and `wiener` for a filter behind it; for an ensemble `members`, each with `weight` and
            settings of its own.
        sample_rate_hz: of the mixtures.

    Raises:
        InputError: no such separator, a key that it does not have, a value of another type, or
            what looks ahead in a causal one.
    """
    settings = dict(settings)
    wiener = settings.pop("wiener", {})
    check_fields("separator.wiener", wiener, Wiener)
    if settings.get("causality") == "causal" and (problems := [*_ahead(settings, wiener)]):
        raise InputError(problems)
    separator = _unfiltered(settings, sample_rate_hz)
    iterations = Wiener(**wiener).iterations
    return WienerFiltered(separator, iterations) if iterations else separator


def _ahead(settings: Mapping[str, Any], wiener: Mapping[str, Any]) -> Iterator[str]:
    """A line for each setting of a causal separator that makes it look ahead too far."""
    name = settings.get("name")
    causal = "separator.causality=causal"
    if name in SEPARATORS and name not in CAUSAL:
        expected = ", ".join(("ensemble", *CAUSAL))
        yield f"separator: {name} looks ahead, expected one of {expected} for {causal}"
    if Wiener(**wiener).iterations:
        yield f"separator.wiener.iterations: the filter looks ahead, expected 0 for {causal}"
    if name != "ensemble":
        return
    if settings.get("edges_hz"):
        yield f"ensemble.edges_hz: splitting into bands looks ahead, expected [] for {causal}"
    for member in settings["members"]:
        if member.get("causality") == "noncausal":
            yield f"ensemble.members: {member.get('name')} is noncausal, expected {causal}"


def _unfiltered(settings: dict[str, Any], sample_rate_hz: int) -> Separator:
    name = settings.pop("name", None)
    if name == "ensemble":
        members = settings.pop("members")
        own: dict[str, Any] = {
            key: settings.pop(key) for key in ("normalise", "edges_hz") if key in settings
        }
        check_fields("ensemble", own, Ensemble)
        return Ensemble([_member(m, settings, sample_rate_hz) for m in members], **own)
    if name not in SEPARATORS:
        names = ", ".join(("ensemble", *SEPARATORS))
        raise InputError(f"separator: {name!r}, expected one of {names}")
    separator = SEPARATORS[name]
    check_fields("separator", settings, separator)
    return separator(sample_rate_hz=sample_rate_hz, **settings)


def _member(settings: Mapping[str, Any], common: Mapping[str, Any], sample_rate_hz: int) -> Member:
    own = dict(settings)
    if "weight" not in own:
        raise InputError(
            f"ensemble.members: {own.get('name')} has no weight, expected a number, or one for "
            "each instrument"
        )
    weight = own.pop("weight")
    check_fields("ensemble.members", {"weight": weight}, Member)
    kind = SEPARATORS.get(own.get("name", ""))
    known = {field.name for field in fields(kind)} if kind else set()
    # The oracle, for one, has no device.
    shared = {key: value for key, value in common.items() if key in known}
    return Member(build_separator({**shared, **own}, sample_rate_hz), weight)
