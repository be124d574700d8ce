"""Names of stems: what data sets call the file of a player, and what the challenge calls it."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from cmss.scenes import DOUBLED, INSTRUMENTS

SOUND_FILES = (".flac", ".wav")

_SYNONYMS = {"alto sax": "Sax", "alto saxophone": "Sax", "saxophone": "Sax", "violoncello": "Cello"}
_NAMES = {name.lower(): name for name in INSTRUMENTS} | _SYNONYMS


def labels(instruments: Sequence[str]) -> list[str] | None:
    """Players as the challenge writes them: two violins are `Violin_1` and `Violin_2`.

    None for an ensemble that it cannot write: another instrument, two of one that is never
    doubled, three of one.
    """
    counts = Counter(instruments)
    for instrument, count in counts.items():
        if instrument not in INSTRUMENTS or count > (2 if instrument in DOUBLED else 1):
            return None
    seen: Counter[str] = Counter()
    written = []
    for instrument in instruments:
        seen[instrument] += 1
        single = counts[instrument] == 1
        written.append(instrument if single else f"{instrument}_{seen[instrument]}")
    return written


def spelled(name: str) -> tuple[str, int | None] | None:
    """The instrument and the voice that the name of a file means, such as `Violin_1`."""
    match = re.fullmatch(r"(.*?)[ _-]*([0-9]?)", name)
    assert match
    words = " ".join(re.sub(r"(?<=[a-z])(?=[A-Z])|[_-]", " ", match[1]).lower().split())
    instrument = _NAMES.get(words)
    return (instrument, int(match[2]) if match[2] else None) if instrument else None


def is_mixture(path: PurePosixPath) -> bool:
    """Whether a file is named as a mixture is: Mix_1.flac, mix_<piece>.flac, Mixture.flac."""
    return re.match(r"mix(ture)?([ _-].*)?$", path.stem.lower()) is not None


def part_label(name: str) -> str | None:
    """What the challenge would call a file of this name; None if it has no word for it.

    The first of several players of an instrument that is never doubled is taken for the only one.
    """
    found = spelled(name)
    if found is None:
        return None
    instrument, voice = found
    if voice is None or (voice == 1 and instrument not in DOUBLED):
        return instrument
    return f"{instrument}_{voice}" if instrument in DOUBLED and voice in (1, 2) else None
