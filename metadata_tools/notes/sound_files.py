"""Reads sound files of single notes, trims the notes, and measures their pitch."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from cmss.audio import read_sound, resample
from cmss.errors import InputError
from cmss.rendering.notation import RANGES
from cmss.rendering.notes import Bank, Recording, recording
from metadata_tools.challenge.writer import SAMPLE_RATE_HZ
from metadata_tools.notes.bank import SUSTAIN_DBFS

_NAME = re.compile(r"([A-G])([#sb]?)(\d)(?:[ _].*)?\.(?:wav|flac|mp3|ogg|aiff?)")
_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_HOP = SAMPLE_RATE_HZ // 100


def midi_of(path: Path) -> int:
    """Return the pitch in the name of a sound file, such as A4.wav, as a MIDI number.

    Raises:
        InputError: the name does not begin with a pitch, or has no suffix of a sound file.
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise InputError(
            f"{path}: expected a sound file named by its pitch, such as A4.wav or Bb3.mp3"
        )
    letter, accidental, octave = match.groups()
    sharpened = {"": 0, "b": -1}.get(accidental, 1)
    return 12 * (int(octave) + 1) + _SEMITONES[letter] + sharpened


def trimmed(samples: np.ndarray) -> np.ndarray:
    """Remove the silence before and after a note, cut the note to 3 s, and fade the note out.

    Args:
        samples: waveform (samples,) at 44.1 kHz.

    Returns:
        The waveform (samples,). If the level of the note is below -80 dBFS, the waveform is empty.
    """
    # Split the waveform into frames of 10 ms, and compute the level of each frame.
    frames = samples[: len(samples) // _HOP * _HOP].reshape(-1, _HOP).astype(float)
    level_db = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-30)
    if level_db.max(initial=-np.inf) < -80.0:
        return samples[:0]
    # Background noise of recordings is more than 45 dB below the loudest frame.
    loud = np.flatnonzero(level_db > level_db.max() - 45.0)
    start, stop = max(0, loud[0] - 1) * _HOP, (loud[-1] + 1) * _HOP
    note = samples[start : min(stop, start + 3 * SAMPLE_RATE_HZ)].copy()
    fade = min(len(note), round(0.05 * SAMPLE_RATE_HZ))
    note[len(note) - fade :] *= np.linspace(1, 0, fade)
    return note


def cents_from(midi: int, sustain: np.ndarray) -> float:
    """Measure, in cents, how far a note deviates from its nominal pitch.

    The note is divided into short segments. For each segment, the function tries deviations from
    -80 to 80 cents. For each deviation, the function sums the spectral magnitudes at the first ten
    harmonics, and then chooses the deviation with the largest sum. The result is the median of the
    chosen deviations over all segments. The spectrum of the complete note cannot be used, because
    vibrato broadens the spectral peaks.

    Args:
        midi: nominal pitch as a MIDI number.
        sustain: waveform (samples,) of the sustain at 44.1 kHz.
    """
    # A segment has 0.1 s, which is half a period of vibrato.
    length = min(len(sustain), round(0.1 * SAMPLE_RATE_HZ))
    pieces = np.lib.stride_tricks.sliding_window_view(sustain, length)[:: max(1, length // 2)]
    cents = np.arange(-80, 80.25, 0.5)
    fundamental_hz = 440 * 2 ** ((midi - 69 + cents / 100) / 12)
    # Bins are 1/3 Hz apart, which is one cent at the tenth harmonic of the lowest note.
    points = 2**17
    # Positions (deviations, 10) of the harmonics in bins. With a deviation of 80 cents, a harmonic
    # above the tenth could be closer to the nominal frequency of the next harmonic than to its own
    # nominal frequency.
    places = fundamental_hz[:, None] * np.arange(1, 11) * points / SAMPLE_RATE_HZ
    found = []
    for piece in pieces:
        spectrum = np.abs(np.fft.rfft(piece * np.hanning(length), points))
        magnitudes = np.interp(places, np.arange(len(spectrum)), spectrum, right=0.0)
        found.append(cents[magnitudes.sum(axis=1).argmax()])
    return float(np.median(found))


def note(path: Path, midi: int, name: str) -> Recording:
    """Read the note in a file, trim it, set its sustain to -20 dBFS, and measure its pitch.

    Args:
        path: path of the sound file.
        midi: nominal pitch as a MIDI number.
        name: unique name of the note.

    Raises:
        InputError: the file cannot be read, is silent, or is too short.
    """
    sound, rate_hz = read_sound(path)
    samples = trimmed(resample(sound.mean(axis=0), rate_hz, SAMPLE_RATE_HZ))
    if len(samples) == 0:
        raise InputError(f"{path}: silent")
    if len(samples) < 0.3 * SAMPLE_RATE_HZ:
        seconds = len(samples) / SAMPLE_RATE_HZ
        raise InputError(f"{path}: the note lasts {seconds:.2f} s, expected at least 0.3 s")
    found = recording(name, midi, 0.0, "f", samples)
    sustain = samples[found.attack : found.sustain_end].astype(float)
    rms = np.sqrt(np.mean(sustain**2))
    # Loud attacks must not clip.
    gain = min(10 ** (SUSTAIN_DBFS / 20) / rms, 0.99 / np.abs(samples).max())
    scaled = (gain * samples).astype(np.float32)
    return replace(found, cents=cents_from(midi, sustain), samples=scaled)


def samples_bank(folder: Path) -> Bank:
    """Read the notes of all instruments in a folder of samples.

    Raises:
        InputError: the folder does not exist, or contains other files than notes of the eight
            instruments. All problems are reported together.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    problems = []
    bank: Bank = {}
    for place in sorted(folder.iterdir()):
        if place.name not in RANGES or not place.is_dir():
            problems.append(f"{place}: expected a folder named {', '.join(RANGES)}")
            continue
        notes: dict[str, Recording] = {}
        for path in sorted(place.iterdir()):
            try:
                read = note(path, midi_of(path), f"{place.name}/{path.stem}")
            except InputError as error:
                problems += error.problems
                continue
            if read.name in notes:
                problems.append(f"{path}: another file has the same name with another suffix")
            notes[read.name] = read
        bank[place.name] = tuple(notes.values())
    if not problems and not any(bank.values()):
        problems.append(f"{folder}: contains no sound files")
    if problems:
        raise InputError(problems)
    return bank
