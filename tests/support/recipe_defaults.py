"""Sections of the training recipes with the defaults of their files."""

from typing import Any, TypeVar

from omegaconf import OmegaConf

from cmss.settings import from_settings
from tests.support.stages import ROOT

Built = TypeVar("Built")


def of_recipe(recipe: str, section: str, kind: type[Built], **changes: Any) -> Built:
    """Return the dataclass of a section, with some values changed."""
    loaded = OmegaConf.load(ROOT / "cmss/conf" / f"{recipe}.yaml")
    settings = OmegaConf.to_container(loaded[section])
    return from_settings(kind, {**settings, **changes}, section)
