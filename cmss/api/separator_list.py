"""Lists the separators that `cmss.separate` accepts."""

from cmss.separators.catalogue import BOUNDS
from cmss.separators.listing import Properties, listing


def list_separators() -> list[Properties]:
    """List all separators that `separate` accepts, with their properties and measured results.

    Returns:
        A :class:`cmss.separators.listing.Properties` for each separator; the default is the first.

    Examples:
        >>> import cmss
        >>> cmss.list_separators()[0].name
        'ensemble'
        >>> [entry.name for entry in cmss.list_separators() if entry.family == "factorisations"]
        ['nmf', 'nmf_convolutive', 'nmf_smooth', 'plca']
    """
    return [properties for properties in listing() if properties.name not in BOUNDS]
