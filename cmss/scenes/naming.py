"""Names the players of a recording without metadata."""

from collections import Counter
from collections.abc import Sequence

from cmss.audio import Excerpt
from cmss.scenes.records import DOUBLED, INSTRUMENTS, Source


def canonical(name: object) -> str | None:
    """Return the name of an instrument with the usual capital letters; None if it is unknown."""
    known = {instrument.lower(): instrument for instrument in INSTRUMENTS}
    return known.get(name.lower()) if isinstance(name, str) else None


def named_players(instruments: Sequence[str], recording: Excerpt) -> dict[str, Source]:
    """Return the players of a recording by their ids, which are also the names of their stems.

    Args:
        instruments: list with the instrument of each player. An instrument with several players
            occurs several times in this list.
        recording: excerpt that stands for the ground truth stems, which do not exist.

    Returns:
        Dict from the id to the player. The id is the name of the instrument (`Cello`), or for
        several players of the same instrument the name with a number (`Violin_1`, `Violin_2`).
    """
    numbered, players = Counter[str](), dict[str, Source]()
    for name in instruments:
        numbered[name] += 1
        count = instruments.count(name)
        key = f"{name}_{numbered[name]}" if count > 1 else name
        # The networks know two players of the instruments that the challenge doubles.
        voice = numbered[name] if count == 2 and name in DOUBLED else None
        players[key] = Source(key, name, voice, recording)
    return players
