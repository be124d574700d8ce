"""Ways of taking a mixture apart, behind one protocol, built from the configuration by name."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from cmss.errors import InputError
from cmss.separators.bounds import Oracle, Passthrough
from cmss.separators.convtasnet import ConvTasNetSeparator
from cmss.separators.ensemble import Ensemble, Member
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
}


def build_separator(settings: Mapping[str, Any], sample_rate_hz: int) -> Separator:
    """A separator from its section of the configuration.

    Args:
        settings: `name`, a key of :data:`SEPARATORS` or `ensemble`, that separator's own fields,
            and `wiener` for a filter behind it; for an ensemble `members`, each with `weight` and
            settings of its own.
        sample_rate_hz: of the mixtures.

    Raises:
        InputError: no such separator, a key that it does not have, or a value of another type.
    """
    settings = dict(settings)
    wiener = settings.pop("wiener", {})
    check_fields("separator.wiener", wiener, Wiener)
    separator = _unfiltered(settings, sample_rate_hz)
    iterations = Wiener(**wiener).iterations
    return WienerFiltered(separator, iterations) if iterations else separator


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
