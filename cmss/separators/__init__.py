"""Separators, which share a protocol and are built from the configuration by name."""

from cmss.separators.bounds import Oracle, Passthrough
from cmss.separators.builder import build_separator
from cmss.separators.catalogue import SEPARATORS
from cmss.separators.protocol import Separator, Stems

__all__ = ["SEPARATORS", "Oracle", "Passthrough", "Separator", "Stems", "build_separator"]
