"""Converts the file names of stems in published data sets to the challenge's names."""

import re
from pathlib import PurePosixPath

from cmss.scenes import DOUBLED, INSTRUMENTS

_SYNONYMS = {"alto sax": "Sax", "alto saxophone": "Sax", "saxophone": "Sax", "violoncello": "Cello"}
_NAMES = {name.lower(): name for name in INSTRUMENTS} | _SYNONYMS


def is_stem(path: PurePosixPath) -> bool:
    """Return whether a file is a sound file other than a mixture.

    Mixtures have names such as Mix_1.flac or mix_<piece>.flac.
    """
    mixture = re.match(r"mix(ture)?([ _-].*)?$", path.stem.lower())
    return path.suffix.lower() in (".flac", ".wav") and mixture is None


def part_label(name: str) -> str | None:
    """Return the challenge's name of a stem, such as `Violin_1`.

    The result is None for instruments and players that the challenge does not have. Only some
    instruments have two players in the challenge. For an instrument that has only one player in the
    challenge, such as the cello, `cello 1` is converted to `Cello`, and the result for `cello 2` is
    None.

    Args:
        name: name of the file without its suffix, such as `violin 1`, `AltoSax` or `Alto_Sax`.
    """
    match = re.fullmatch(r"(.*?)[ _-]*([0-9]?)", name)
    assert match
    # Convert AltoSax, Alto_Sax and alto-sax to alto sax.
    words = " ".join(re.sub(r"(?<=[a-z])(?=[A-Z])|[_-]", " ", match[1]).lower().split())
    instrument, voice = _NAMES.get(words), match[2]
    if instrument is None:
        return None
    if not voice or (voice == "1" and instrument not in DOUBLED):
        return instrument
    return f"{instrument}_{voice}" if instrument in DOUBLED and voice in "12" else None
