"""Registers networks, and separators without a configuration file, as choices for hydra."""

from collections.abc import Iterable
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import fields, is_dataclass
from importlib.resources import files
from typing import Any

from hydra.core.config_store import ConfigStore

from cmss.errors import InputError
from cmss.models import registry
from cmss.run.forms import MISSING
from cmss.separators.catalogue import FAMILIES, SEPARATORS

COMMON_FILES = ("base", "network", "templates")
"""Files in cmss/conf/separator whose settings are common to several separators."""


def add_choices(words: Iterable[str] = ()) -> None:
    """Register the choices model=NAME of train.py, and separator=NAME of all recipes.

    A separator that has a file in cmss/conf/separator can already be selected. All settings of the
    other separators of this package are in the files :data:`COMMON_FILES`. The settings of a
    separator in an extension package are the fields of the separator's class. This class is
    imported only if the name of the separator is on the command line.

    Args:
        words: the command line.

    Raises:
        InputError: an extension package cannot be imported; or the name of a separator or network
            of an extension package is already in use; or a separator of an extension package is not
            a dataclass.
    """
    store = ConfigStore.instance().store
    for network in registry.listed():
        if network.sizes != ():  # without sizes, it cannot be trained
            node: dict[str, Any] = {"defaults": ["base", "_self_"], "name": network.name}
            store(group="model", name=network.name, node=node)
    text = " ".join(words)
    common = dict.fromkeys(registry.names(), "network")
    for family in FAMILIES.values():
        common |= {name: entry.settings for name, entry in family.items()}
    for name in SEPARATORS:
        if (files("cmss.conf") / "separator" / f"{name}.yaml").is_file():
            continue
        node = {"defaults": [common.get(name, "base"), "_self_"], "name": name}
        if common.get(name) == "network":
            node["weights_from"] = "small"
        elif name not in common and name in text:
            node |= _settings(name)
        store(group="separator", name=name, node=node)


def _settings(name: str) -> dict[str, Any]:
    """Return the settings of a separator in an extension package, with the default values."""
    cls = SEPARATORS[name]
    if not (isinstance(cls, type) and is_dataclass(cls)):
        reference = SEPARATORS.entries[name].value
        raise InputError(f"separator: {name}: expected {reference} to be a dataclass, got {cls!r}")
    settings: dict[str, Any] = {"cache": None}
    for item in fields(cls):
        if item.init and item.name not in ("sample_rate_hz", "causality", "name"):
            made = item.default_factory
            value = item.default if made is NO_DEFAULT else made()
            settings[item.name] = MISSING if value is NO_DEFAULT else value
    return settings
