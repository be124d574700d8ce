"""Loads all weights of a run before the first track is separated."""

from collections.abc import Iterable

from cmss.errors import InputError, noting
from cmss.scenes import Pair
from cmss.separators.protocol import Separator


def load_networks(separator: Separator, pairs: Iterable[Pair]) -> dict[str, list[str]]:
    """Load the weights for all pairs of scene and listener, so that missing files are found early.

    Returns:
        Dict from the instrument to the digests of the weights that affect the estimates of this
        instrument. These are the weights that all instruments share, and the weights that were
        loaded for this instrument only.

    Raises:
        InputError: weights are missing or do not fit the separator.
    """
    sources = (source for pair in pairs for source in pair.scene.track.sources.values())
    players = {(source.instrument, source.voice): source for source in sources}
    common = set(separator.weights.values())
    own: dict[str, set[str]] = {}
    problems: list[str] = []
    for (instrument, _), player in players.items():
        loaded = set(separator.weights)
        with noting(problems):
            separator.prepare([player])
        new = {digest for name, digest in separator.weights.items() if name not in loaded}
        own.setdefault(instrument, set(common)).update(new)
    if problems:
        raise InputError(dict.fromkeys(problems))
    return {instrument: sorted(digests) for instrument, digests in own.items()}
