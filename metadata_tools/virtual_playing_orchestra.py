"""Make a bank of single notes from the solo strings of the Virtual Playing Orchestra.

    python -m metadata_tools.virtual_playing_orchestra --samples DIR --out NOTES

DIR is the folder of the orchestra in the format of Decent Sampler. The command reads the preset
`all-strings-SOLO-sustain.dspreset`, which states the pitch of each sound file. The solo violin, the
solo viola and the solo cello play with vibrato. The double bass and the sounds of released notes
are left out. The samples have different licences (see README.md in DIR), and may not be distributed
as samples.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from xml.etree import ElementTree

from cmss.command_line import exit_status
from cmss.errors import InputError
from cmss.rendering.notes import Bank, Recording
from metadata_tools.inputs.options import samples_parser
from metadata_tools.notes.bank import write_bank
from metadata_tools.notes.sound_files import note

PRESET = "all-strings-SOLO-sustain.dspreset"

_LOWEST = {"Cello": 36, "Viola": 48, "Violin": 55}
"""Dict from an instrument to the lowest key to which the preset assigns a sound file."""


def solo_strings(folder: Path) -> Bank:
    """Read the notes of the solo strings.

    Raises:
        InputError: the preset is missing or not valid, or a sound file cannot be read. All problems
            are reported together.
    """
    preset = folder / PRESET
    try:
        root = ElementTree.parse(preset).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise InputError(f"{preset}: {error}") from error
    # The preset writes `Samples` for the folder `samples`.
    files = {_relative(path, folder): path for path in folder.rglob("*.wav")}
    problems: list[str] = []
    bank: dict[str, list[Recording]] = {}
    for group in root.iter("group"):
        samples = group.findall("sample")
        if not samples or any(sample.get("trigger") == "release" for sample in samples):
            continue
        lowest = min(_key(sample, "loNote", preset) for sample in samples)
        # The double bass starts at a lower key than all other instruments.
        for instrument in (name for name, low in _LOWEST.items() if low == lowest):
            notes = bank.setdefault(instrument, [])
            for sample in samples:
                stated = PureWindowsPath(sample.get("path", "")).as_posix()
                path = files.get(stated.lower(), folder / stated)
                name = f"{instrument}/{path.stem}"
                try:
                    notes.append(note(path, _key(sample, "rootNote", preset), name))
                except InputError as error:
                    problems += error.problems
    if not bank and not problems:
        problems.append(f"{preset}: no solo strings, expected groups of violin, viola and cello")
    if problems:
        raise InputError(problems)
    return {instrument: tuple(notes) for instrument, notes in bank.items()}


def _relative(path: Path, folder: Path) -> str:
    """Return the path of a file relative to the folder, converted to lower case."""
    return path.relative_to(folder).as_posix().lower()


def _key(sample: ElementTree.Element, name: str, preset: Path) -> int:
    """Return an attribute of a sample as a MIDI number."""
    value = sample.get(name, "")
    if not re.fullmatch(r"\d{1,3}", value):
        raise InputError(f"{preset}: {name}: {value!r}, expected a MIDI number")
    return int(value)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status, which is 2 if the input cannot be used."""
    parser = samples_parser("virtual_playing_orchestra", __doc__, "folder of the orchestra")
    options = parser.parse_args(arguments)
    return exit_status(
        lambda: write_bank(options.out, lambda: solo_strings(options.samples), [options.samples]),
        "virtual_playing_orchestra",
    )


if __name__ == "__main__":
    sys.exit(main())
