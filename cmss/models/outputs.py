"""Defines the names of the outputs of networks and assigns players to outputs.

A network for all instruments has an output for each instrument. A single player, or the first of
two players of the same instrument, uses the output with the instrument's name, such as ``Violin``.
The second player uses a separate output, such as ``Violin_2``. A network for a single instrument
has the output ``target`` for this instrument and possibly the output ``accompaniment``.
"""

from collections.abc import Sequence

from cmss.errors import InputError, one_of
from cmss.scenes import DOUBLED, INSTRUMENTS

TARGET, ACCOMPANIMENT = "target", "accompaniment"


def output_name(instrument: str, voice: int | None) -> str:
    """Return the name of the output for a player of an instrument.

    Args:
        instrument: the player's instrument.
        voice: 2 for the second of two players of the instrument, otherwise 1 or None.
    """
    return f"{instrument}_2" if voice == 2 else instrument


def instrument_of(name: str) -> str:
    """Return the instrument that the output with this name estimates."""
    return name.removesuffix("_2")


OUTPUTS = (*INSTRUMENTS, *(output_name(instrument, 2) for instrument in DOUBLED))


def player_index(sources: Sequence[str], instrument: str | None = None) -> dict[str, int]:
    """Return the index of the output to which each player is assigned; -1 stands for no output.

    Args:
        sources: names of a network's outputs in order.
        instrument: the instrument of a network that separates a single instrument; None for a
            network that separates all instruments.

    Returns:
        Dict from the name of each player, as in :data:`OUTPUTS`, to the index of the output. If the
        network has no output for the second player of an instrument, both players share an output.

    Raises:
        InputError: the network is for a single instrument, and `instrument` is None or unknown; or
            the network is for all instruments, and `instrument` is not None.
    """
    order = {name: number for number, name in enumerate(sources)}
    if TARGET not in order:
        if instrument is not None:
            raise InputError(
                "instrument: expected null, because the network separates all instruments"
            )
        return {name: order.get(name, order.get(instrument_of(name), -1)) for name in OUTPUTS}
    if instrument not in INSTRUMENTS:
        raise InputError(f"instrument: {instrument!r}, {one_of(INSTRUMENTS, instrument)}")
    rest = order.get(ACCOMPANIMENT, -1)
    return {name: order[TARGET] if instrument_of(name) == instrument else rest for name in OUTPUTS}
