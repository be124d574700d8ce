"""Single notes of the eight instruments from a General MIDI SoundFont.

Players, instruments and rooms that a network trained on other notes has never heard: what it does
with them says more than any test on its own notes. Debian's package fluid-soundfont-gm holds one
(FluidR3_GM.sf2, MIT). Takes the library tinysoundfont, without PyAudio, which it would only play
with and which needs a compiler: pip install --no-deps tinysoundfont

    python -m metadata_tools.soundfont --soundfont FILE.sf2 --out NOTES
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cmss.command_line import exit_status
from cmss.errors import InputError
from metadata_tools.challenge.writer import SAMPLE_RATE_HZ
from metadata_tools.inputs.options import to_path
from metadata_tools.notes.bank import Bank, recording
from metadata_tools.notes.note_folder import write_bank
from metadata_tools.scores.score import RANGES

PROGRAMS = {
    "Bassoon": 70,
    "Cello": 42,
    "Clarinet": 71,
    "Flute": 73,
    "Oboe": 68,
    "Sax": 65,  # alto
    "Viola": 41,
    "Violin": 40,
}
"""General MIDI programs, counted from 0."""

VELOCITY = 90
HELD_S, RELEASE_S = 2.5, 0.3
SUSTAIN_DBFS = -20.0
QUIETEST_DBFS = -80.0


def note(synthesiser: Any, midi: int) -> np.ndarray | None:
    """One note, held and released: (samples,) float32, its sustain at -20 dBFS.

    Args:
        synthesiser: a tinysoundfont.Synth with a program on channel 0.
        midi: key.

    Returns:
        None for a key without a sound; real instruments end somewhere.
    """
    synthesiser.noteon(0, midi, VELOCITY)
    held = _generate(synthesiser, HELD_S)
    synthesiser.noteoff(0, midi)
    sound = np.concatenate((held, _generate(synthesiser, RELEASE_S)))
    synthesiser.sounds_off(0)
    fade = round(0.05 * SAMPLE_RATE_HZ)
    sound[-fade:] *= np.linspace(1, 0, fade)
    rms = np.sqrt(np.mean(held[len(held) // 4 : len(held) * 3 // 4] ** 2))
    if rms < 10 ** (QUIETEST_DBFS / 20):
        return None
    # Plucked or struck attacks stay below full scale.
    gain = min(10 ** (SUSTAIN_DBFS / 20) / rms, 0.99 / np.abs(sound).max())
    return (gain * sound).astype(np.float32)


def _generate(synthesiser: Any, seconds: float) -> np.ndarray:
    """Mean of both channels, (samples,) float64."""
    block = synthesiser.generate(round(seconds * SAMPLE_RATE_HZ))
    return np.frombuffer(block, np.float32).reshape(-1, 2).mean(1, dtype=np.float64)


def soundfont_bank(path: Path) -> Bank:
    """Notes of all instruments, every semitone of their ranges that has a sound.

    Raises:
        InputError: the library or the file is missing, or the file is not a General MIDI SoundFont.
    """
    try:
        import tinysoundfont
    except ImportError as error:
        raise InputError(
            "tinysoundfont is not installed: pip install --no-deps tinysoundfont"
        ) from error
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    synthesiser = tinysoundfont.Synth(samplerate=SAMPLE_RATE_HZ)
    try:
        font = synthesiser.sfload(str(path))
    except RuntimeError as error:
        raise InputError(f"{path}: not a readable SoundFont ({error})") from error
    bank: Bank = {}
    for instrument, program in PROGRAMS.items():
        low, high = RANGES[instrument]
        notes = []
        try:
            synthesiser.program_select(0, font, 0, program)
            for midi in range(low, high + 1):
                if (samples := note(synthesiser, midi)) is not None:
                    notes.append(recording(f"{instrument}/{midi:03d}", midi, 0.0, "f", samples))
        except RuntimeError as error:
            raise InputError(f"{path}: {instrument}, program {program}: {error}") from error
        if not notes:
            raise InputError(f"{path}: {instrument}, program {program}: no sound at any key")
        bank[instrument] = tuple(notes)
    return bank


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m metadata_tools.soundfont",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--soundfont", type=to_path, required=True, metavar="FILE", help="an .sf2 file"
    )
    parser.add_argument("--out", type=to_path, required=True, metavar="DIR", help="a new folder")
    options = parser.parse_args(arguments)
    return exit_status(
        lambda: write_bank(options.out, lambda: soundfont_bank(options.soundfont)), "soundfont"
    )


if __name__ == "__main__":
    sys.exit(main())
