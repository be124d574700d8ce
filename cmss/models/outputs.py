"""Names of the outputs of a network that separates all instruments at once.

A single player and the first of two have the instrument's name, the second voice has its own:
``Violin`` and ``Violin_2``.
"""

from cmss.scenes import DOUBLED, INSTRUMENTS


def output_name(instrument: str, voice: int | None) -> str:
    """The output that a player of an instrument comes from."""
    return f"{instrument}_2" if voice == 2 else instrument


OUTPUTS = (*INSTRUMENTS, *(output_name(instrument, 2) for instrument in DOUBLED))
