"""Provides the separators, which share a protocol and are built by name from the configuration."""

from cmss.separators.bounds import Oracle, Passthrough
from cmss.separators.builder import build_separator
from cmss.separators.catalogue import SEPARATORS
from cmss.separators.protocol import Separator, Stems

__all__ = ["SEPARATORS", "Oracle", "Passthrough", "Separator", "Stems", "build_separator"]
