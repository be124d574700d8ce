"""Make a bank of single notes of the eight instruments from a General MIDI SoundFont.

If a network was trained on other notes, the instruments and rooms of the SoundFont are unseen in
training. A test with a SoundFont is therefore harder than a test with held-out notes from the
training bank. Debian's package fluid-soundfont-gm has a SoundFont (FluidR3_GM.sf2, MIT licence).
The command needs the library tinysoundfont. Install this library without its dependency PyAudio,
which is only for playback and needs a compiler: pip install --no-deps tinysoundfont

    python -m metadata_tools.soundfont --soundfont FILE.sf2 --out NOTES
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cmss.command_line import exit_status
from cmss.errors import InputError
from cmss.rendering.notation import RANGES
from cmss.rendering.notes import Bank, recording
from metadata_tools.challenge.writer import SAMPLE_RATE_HZ
from metadata_tools.inputs.options import command_parser, to_path
from metadata_tools.notes.bank import SUSTAIN_DBFS, write_bank

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


def play_key(synthesiser: Any, midi: int) -> np.ndarray | None:
    """Play a note that is held for 2.5 s and then released; set the sustain to -20 dBFS.

    Args:
        synthesiser: object of the class tinysoundfont.Synth. Channel 0 of `synthesiser` has an
            instrument (a General MIDI program).
        midi: MIDI number of the key.

    Returns:
        The waveform (samples,) in float32. If the key has no sound, the result is None.
    """
    synthesiser.noteon(0, midi, 90)  # channel, key, velocity
    held = _generate(synthesiser, 2.5)
    synthesiser.noteoff(0, midi)
    sound = np.concatenate((held, _generate(synthesiser, 0.3)))
    synthesiser.sounds_off(0)
    fade = round(0.05 * SAMPLE_RATE_HZ)
    sound[-fade:] *= np.linspace(1, 0, fade)
    rms = np.sqrt(np.mean(held[len(held) // 4 : len(held) * 3 // 4] ** 2))
    if rms < 10 ** (-80 / 20):
        return None
    # Plucked or struck attacks must not clip.
    gain = min(10 ** (SUSTAIN_DBFS / 20) / rms, 0.99 / np.abs(sound).max())
    return (gain * sound).astype(np.float32)


def _generate(synthesiser: Any, seconds: float) -> np.ndarray:
    """Synthesise a signal of `seconds` seconds, and return the mean (samples,) of both channels."""
    block = synthesiser.generate(round(seconds * SAMPLE_RATE_HZ))
    return np.frombuffer(block, np.float32).reshape(-1, 2).mean(1, dtype=np.float64)


def soundfont_bank(path: Path) -> Bank:
    """Play every semitone of all instruments, and return the notes that have a sound.

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
                if (samples := play_key(synthesiser, midi)) is not None:
                    notes.append(recording(f"{instrument}/{midi:03d}", midi, 0.0, "f", samples))
        except RuntimeError as error:
            raise InputError(f"{path}: {instrument}, program {program}: {error}") from error
        if not notes:
            raise InputError(f"{path}: {instrument}, program {program}: no sound at any key")
        bank[instrument] = tuple(notes)
    return bank


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status, which is 2 if the input cannot be used."""
    parser = command_parser("soundfont", __doc__)
    parser.add_argument(
        "--soundfont", type=to_path, required=True, metavar="FILE", help="path of the .sf2 file"
    )
    parser.add_argument("--out", type=to_path, required=True, metavar="DIR",
        help="path of the new folder")  # fmt: skip
    options = parser.parse_args(arguments)
    return exit_status(
        lambda: write_bank(options.out, lambda: soundfont_bank(options.soundfont)), "soundfont"
    )


if __name__ == "__main__":
    sys.exit(main())
