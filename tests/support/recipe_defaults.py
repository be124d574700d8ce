"""Sections of the training recipes as their files have them, where the defaults stand."""

from typing import Any, TypeVar

from omegaconf import OmegaConf

from cmss.settings import from_settings
from tests.support.stages import ROOT

Built = TypeVar("Built")


def of_recipe(recipe: str, section: str, kind: type[Built], **changes: Any) -> Built:
    """The dataclass of a section, some of its values changed."""
    loaded = OmegaConf.load(ROOT / "cmss/conf" / f"{recipe}.yaml")
    settings = OmegaConf.to_container(loaded[section])
    return from_settings(kind, {**settings, **changes}, section)
