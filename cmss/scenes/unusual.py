"""Warnings about values of audiograms and hearing aids that are possible but rare."""

from collections.abc import Iterable, Iterator

from cmss.quantities import FREQUENCY_HZ, HEARING_LEVEL_DB, MAKE_UP_GAIN_DB, RATIO, Quantity
from cmss.scenes.records import Listener

_IDS_SHOWN = 3


def unusual_hearing(listeners: Iterable[Listener]) -> Iterator[str]:
    """Yield at most one warning for each quantity, whatever the number of listeners.

    Args:
        listeners: whose audiograms and compressors are examined.
    """
    found: dict[str, tuple[Quantity, dict[str, None], dict[float, None]]] = {}
    for listener in listeners:
        for name, quantity, values in _values(listener):
            if unusual := quantity.unusual(values):
                _, ids, all_values = found.setdefault(name, (quantity, {}, {}))
                ids[listener.id] = None
                all_values |= dict.fromkeys(unusual)
    for name, (quantity, ids, all_values) in found.items():
        who = ", ".join([*ids][:_IDS_SHOWN]) + (", ..." if len(ids) > _IDS_SHOWN else "")
        low, high = quantity.usual or (quantity.lowest, quantity.highest)
        got = ", ".join(f"{value:g}" for value in sorted(all_values)[:8])
        yield f"{who}: unusual {name}: {got}; usual are {low:g} to {high:g} {quantity.unit}"


def _values(listener: Listener) -> Iterator[tuple[str, Quantity, tuple[float, ...]]]:
    for ear in (listener.left, listener.right):
        yield "audiogram frequencies", FREQUENCY_HZ, ear.audiogram.frequencies_hz
        yield "audiogram levels", HEARING_LEVEL_DB, ear.audiogram.levels_db
        yield "compressor frequencies", FREQUENCY_HZ, ear.compression.frequencies_hz
        yield "compression ratios", RATIO, ear.compression.ratios
        yield "make-up gains", MAKE_UP_GAIN_DB, ear.compression.gains_db
