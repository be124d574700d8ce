"""Ways of taking a mixture apart, behind one protocol, built from the configuration by name."""

from collections.abc import Mapping
from typing import Any

from cmss.errors import InputError
from cmss.separators.bounds import Oracle, Passthrough
from cmss.separators.convtasnet import ConvTasNetSeparator
from cmss.separators.ensemble import Ensemble, Member
from cmss.separators.protocol import Separator, Stems
from cmss.settings import check_fields

__all__ = ["SEPARATORS", "Oracle", "Passthrough", "Separator", "Stems", "build_separator"]

SEPARATORS: dict[str, type[Any]] = {
    "convtasnet": ConvTasNetSeparator,
    "oracle": Oracle,
    "passthrough": Passthrough,
}


def build_separator(settings: Mapping[str, Any], sample_rate_hz: int) -> Separator:
    """A separator from its section of the configuration.

    Args:
        settings: `name`, a key of :data:`SEPARATORS` or `ensemble`, and that separator's own
            fields; for an ensemble `members`, each with `weight` and settings of its own.
        sample_rate_hz: of the mixtures.

    Raises:
        InputError: no such separator, a key that it does not have, or a value of another type.
    """
    settings = dict(settings)
    name = settings.pop("name", None)
    if name == "ensemble":
        common = {key: value for key, value in settings.items() if key != "members"}
        return Ensemble([_member(m, common, sample_rate_hz) for m in settings["members"]])
    if name not in SEPARATORS:
        names = ", ".join(("ensemble", *SEPARATORS))
        raise InputError(f"separator: {name!r}, expected one of {names}")
    separator = SEPARATORS[name]
    check_fields("separator", settings, separator)
    return separator(sample_rate_hz=sample_rate_hz, **settings)


def _member(settings: Mapping[str, Any], common: Mapping[str, Any], sample_rate_hz: int) -> Member:
    own = dict(settings)
    weight = own.pop("weight", 1.0)
    check_fields("ensemble.members", {"weight": weight}, Member)
    return Member(build_separator({**common, **own}, sample_rate_hz), weight)
