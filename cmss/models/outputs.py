"""Names of the outputs of networks, and which of them each player goes to.

A network that separates all instruments at once has an output for each: a single player and the
first of two have the instrument's name, the second voice has its own, ``Violin`` and ``Violin_2``.
A network of one instrument gives that instrument, the target, and perhaps its accompaniment.
"""

from collections.abc import Sequence

from cmss.errors import InputError
from cmss.scenes import DOUBLED, INSTRUMENTS

TARGET, ACCOMPANIMENT = "target", "accompaniment"


def output_name(instrument: str, voice: int | None) -> str:
    """The output that a player of an instrument comes from."""
    return f"{instrument}_2" if voice == 2 else instrument


def instrument_of(name: str) -> str:
    """The instrument of an output."""
    return name.removesuffix("_2")


OUTPUTS = (*INSTRUMENTS, *(output_name(instrument, 2) for instrument in DOUBLED))


def player_index(sources: Sequence[str], instrument: str | None = None) -> dict[str, int]:
    """The number of the output that each player goes to, -1 for players that have none.

    Args:
        sources: names of a network's outputs in order.
        instrument: the network's, if it is a network of one.

    Returns:
        by the player's own output name, one of :data:`OUTPUTS`. Both voices go to one output where
        the network has no second.

    Raises:
        InputError: no instrument where one is needed, or one where there is no choice.
    """
    order = {name: number for number, name in enumerate(sources)}
    if TARGET not in order:
        if instrument is not None:
            raise InputError("instrument: this size separates all at once, expected null")
        return {name: order.get(name, order.get(instrument_of(name), -1)) for name in OUTPUTS}
    if instrument not in INSTRUMENTS:
        raise InputError(f"instrument: {instrument!r}, expected one of {', '.join(INSTRUMENTS)}")
    rest = order.get(ACCOMPANIMENT, -1)
    return {name: order[TARGET] if instrument_of(name) == instrument else rest for name in OUTPUTS}
