"""Ways of taking a mixture apart, behind one protocol, built from the configuration by name."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from cmss.errors import InputError
from cmss.separators.bounds import Oracle, Passthrough
from cmss.separators.cache import Cached
from cmss.separators.casa import CASASeparator
from cmss.separators.convtasnet import ConvTasNetSeparator
from cmss.separators.ensemble import Ensemble, Member
from cmss.separators.module import ModuleSeparator
from cmss.separators.networks import (
    ARUNetSeparator,
    DemucsSeparator,
    HDemucsSeparator,
    HTDemucsSeparator,
    MultichannelUNetSeparator,
    RoformerSeparator,
    WaveUNetSeparator,
)
from cmss.separators.nmf import (
    ConvolutiveNMFSeparator,
    NMFSeparator,
    PLCASeparator,
    SmoothNMFSeparator,
)
from cmss.separators.partials import Partials, share_by_power
from cmss.separators.postfilter import Postfiltered, Postfiltering
from cmss.separators.protocol import Separator, Stems
from cmss.separators.refined import Refined, Step
from cmss.separators.spatial import WINDOW as SPATIAL_WINDOW
from cmss.separators.spatial import Spatial, sort_by_direction
from cmss.separators.wiener import WINDOW as WIENER_WINDOW
from cmss.separators.wiener import Wiener, wiener_filter
from cmss.settings import check_fields

__all__ = ["SEPARATORS", "Oracle", "Passthrough", "Separator", "Stems", "build_separator"]

SEPARATORS: dict[str, type[Any]] = {
    "convtasnet": ConvTasNetSeparator,
    "oracle": Oracle,
    "passthrough": Passthrough,
    "waveunet": WaveUNetSeparator,
    "multichannel_unet": MultichannelUNetSeparator,
    "arunet": ARUNetSeparator,
    "roformer": RoformerSeparator,
    "demucs": DemucsSeparator,
    "hdemucs": HDemucsSeparator,
    "htdemucs": HTDemucsSeparator,
    "module": ModuleSeparator,
    "nmf": NMFSeparator,
    "nmf_convolutive": ConvolutiveNMFSeparator,
    "nmf_smooth": SmoothNMFSeparator,
    "plca": PLCASeparator,
    "casa": CASASeparator,
}

BOUNDS = ("oracle", "passthrough")
"""Those of them that compute nothing which could be kept."""

CAUSAL = ("convtasnet", "oracle", "passthrough")
"""Those of them that may look ahead by no more than the challenge's 5 ms, given causal weights."""


def build_separator(settings: Mapping[str, Any], sample_rate_hz: int) -> Separator:
    """A separator from its section of the configuration.

    Args:
        settings: `name`, a key of :data:`SEPARATORS` or `ensemble`, that separator's own fields,
            `cache` for a folder of estimates, `spatial`, `partials`, `postfilter` and `wiener` for
            steps behind it; for an ensemble `members`, each with `weight` and settings of its own.
        sample_rate_hz: of the mixtures.

    Raises:
        InputError: no such separator, a key that it does not have, a value of another type, or
            what looks ahead in a causal one.
    """
    settings = dict(settings)
    spatial, wiener = _section(settings, "spatial", Spatial), _section(settings, "wiener", Wiener)
    partials = _section(settings, "partials", Partials)
    postfilters = _section(settings, "postfilter", Postfiltering).paths
    if settings.get("causality") == "causal":
        ahead = {
            "spatial.iterations": (spatial.iterations, 0),
            "partials.window": (partials.window, 0),
            "postfilter.weights_from": (postfilters, "null"),
            "wiener.iterations": (wiener.iterations, 0),
        }
        if problems := [*_ahead(settings, ahead)]:
            raise InputError(problems)
    separator = _unrefined(settings, sample_rate_hz)
    if spatial.iterations:
        step: Step = partial(sort_by_direction, settings=spatial)
        separator = Refined(separator, step, SPATIAL_WINDOW)
    if partials.window:
        separator = Refined(separator, share_by_power, partials.window)
    for path in postfilters:
        separator = Postfiltered(separator, path)
    if wiener.iterations:
        step = partial(wiener_filter, iterations=wiener.iterations)
        separator = Refined(separator, step, WIENER_WINDOW)
    return separator


def _section(settings: dict[str, Any], name: str, kind: type[Any]) -> Any:
    """Take a section out of the settings, as its class; the class's defaults if there is none."""
    section = settings.pop(name, {})
    check_fields(f"separator.{name}", section, kind)
    return kind(**section)


def _ahead(settings: Mapping[str, Any], steps: Mapping[str, tuple[Any, Any]]) -> Iterator[str]:
    """A line for each setting of a causal separator that makes it look ahead too far."""
    name = settings.get("name")
    causal = "separator.causality=causal"
    if name in SEPARATORS and name not in CAUSAL:
        expected = ", ".join(("ensemble", *CAUSAL))
        yield f"separator: {name} looks ahead, expected one of {expected} for {causal}"
    for step, (used, without) in steps.items():
        if used:
            yield f"separator.{step}: this step looks ahead, expected {without} for {causal}"
    if name != "ensemble":
        return
    if settings.get("edges_hz"):
        yield f"ensemble.edges_hz: splitting into bands looks ahead, expected [] for {causal}"
    if settings.get("pool") == "logarithmic":
        yield f"ensemble.pool: logarithmic looks ahead, expected linear for {causal}"
    for member in settings["members"]:
        if member.get("causality") == "noncausal":
            yield f"ensemble.members: {member.get('name')} is noncausal, expected {causal}"


def _unrefined(settings: dict[str, Any], sample_rate_hz: int) -> Separator:
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
    kind = SEPARATORS[name]
    check_fields("separator", settings, kind)
    separator = kind(sample_rate_hz=sample_rate_hz, **settings)
    return Cached(separator, Path(folder)) if folder else separator


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
    known |= set() if own.get("name") in BOUNDS else {"cache"}
    # The oracle, for one, has no device.
    shared = {key: value for key, value in common.items() if key in known}
    return Member(build_separator({**shared, **own}, sample_rate_hz), weight)
