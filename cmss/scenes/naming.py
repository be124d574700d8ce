"""Names the players of a recording that has no metadata."""

from collections import Counter
from collections.abc import Sequence

from cmss.audio import Excerpt
from cmss.scenes.records import DOUBLED, INSTRUMENTS, Source


def canonical(name: object) -> str | None:
    """Return the name of an instrument with the usual capital letters; None for an unknown name."""
    known = {instrument.lower(): instrument for instrument in INSTRUMENTS}
    return known.get(name.lower()) if isinstance(name, str) else None


def named_players(instruments: Sequence[str], recording: Excerpt) -> dict[str, Source]:
    """Return the players of a recording that has no metadata.

    Args:
        instruments: instrument of each player. If several players have the same instrument, the
            name of the instrument occurs several times.
        recording: excerpt of the recording. This excerpt is used as a placeholder for the stem of
            each player, because there are no ground truth stems.

    Returns:
        Dict from the id of a player to the player. The id is also the name of the player's stem.
        The id is the name of the instrument (`Cello`). If several players have the same instrument,
        a number is added to the name (`Violin_1`, `Violin_2`).
    """
    numbered, players = Counter[str](), dict[str, Source]()
    for name in instruments:
        numbered[name] += 1
        count = instruments.count(name)
        key = f"{name}_{numbered[name]}" if count > 1 else name
        # The networks have two outputs for those instruments that can have two players in the
        # challenge.
        voice = numbered[name] if count == 2 and name in DOUBLED else None
        players[key] = Source(key, name, voice, recording)
    return players
