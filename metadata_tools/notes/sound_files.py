"""Sound files that hold a single note, named by their pitch: trimmed, levelled and measured."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from cmss.audio import read_sound, resample
from cmss.errors import InputError
from metadata_tools.challenge.writer import SAMPLE_RATE_HZ
from metadata_tools.notes.bank import Bank, Recording, recording
from metadata_tools.scores.score import RANGES

SHORTEST_S, LONGEST_S, FADE_S = 0.3, 3.0, 0.05
SUSTAIN_DBFS, QUIETEST_DBFS, HIGHEST_PEAK = -20.0, -80.0, 0.99
SILENCE_DB = -45.0
FURTHEST_CENTS = 80
HARMONICS = 10  # those above come, within 80 cents, as near to a neighbour as to themselves
PIECE_S = 0.1  # half a period of vibrato

_NAME = re.compile(r"([A-G])([#sb]?)(\d)(?:[ _].*)?\.(?:wav|flac|mp3|ogg|aiff?)")
_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_HOP = SAMPLE_RATE_HZ // 100
_POINTS = 2**17  # of a spectrum: a third of a hertz, a cent at the lowest note's tenth harmonic


def midi_of(path: Path) -> int:
    """The pitch that a file is named by.

    Raises:
        InputError: the name is no pitch, or no sound file's.
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise InputError(f"{path}: expected a sound file named by its pitch, as A4.wav or Bb3.mp3")
    letter, accidental, octave = match.groups()
    sharpened = {"": 0, "b": -1}.get(accidental, 1)
    return 12 * (int(octave) + 1) + _SEMITONES[letter] + sharpened


def trimmed(samples: np.ndarray) -> np.ndarray:
    """A note without the silence around it, 3 s at most, faded out; empty if all is silence.

    Args:
        samples: (samples,) at 44.1 kHz.
    """
    frames = samples[: len(samples) // _HOP * _HOP].reshape(-1, _HOP).astype(float)
    level_db = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-30)
    if level_db.max(initial=-np.inf) < QUIETEST_DBFS:
        return samples[:0]
    loud = np.flatnonzero(level_db > level_db.max() + SILENCE_DB)
    start, stop = max(0, loud[0] - 1) * _HOP, (loud[-1] + 1) * _HOP
    note = samples[start : min(stop, start + round(LONGEST_S * SAMPLE_RATE_HZ))].copy()
    fade = min(len(note), round(FADE_S * SAMPLE_RATE_HZ))
    note[len(note) - fade :] *= np.linspace(1, 0, fade)
    return note


def cents_from(midi: int, sustain: np.ndarray) -> float:
    """Deviation from a nominal pitch: where the sum of the harmonics' magnitudes is largest.

    The median of short pieces: the spectrum of a whole note with vibrato has its peaks anywhere.
    """
    length = min(len(sustain), round(PIECE_S * SAMPLE_RATE_HZ))
    pieces = np.lib.stride_tricks.sliding_window_view(sustain, length)[:: max(1, length // 2)]
    cents = np.arange(-FURTHEST_CENTS, FURTHEST_CENTS + 0.25, 0.5)
    fundamental_hz = 440 * 2 ** ((midi - 69 + cents / 100) / 12)
    places = fundamental_hz[:, None] * np.arange(1, HARMONICS + 1) * _POINTS / SAMPLE_RATE_HZ
    found = []
    for piece in pieces:
        spectrum = np.abs(np.fft.rfft(piece * np.hanning(length), _POINTS))
        magnitudes = np.interp(places, np.arange(len(spectrum)), spectrum, right=0.0)
        found.append(cents[magnitudes.sum(axis=1).argmax()])
    return float(np.median(found))


def note(path: Path, midi: int, name: str) -> Recording:
    """The note in a file: trimmed, its sustain at -20 dBFS, its deviation from a pitch measured.

    Raises:
        InputError: the file is not readable, silent or too short.
    """
    sound, rate_hz = read_sound(path)
    samples = trimmed(resample(sound.mean(axis=0), rate_hz, SAMPLE_RATE_HZ))
    if len(samples) == 0:
        raise InputError(f"{path}: silent")
    if len(samples) < SHORTEST_S * SAMPLE_RATE_HZ:
        seconds = len(samples) / SAMPLE_RATE_HZ
        raise InputError(f"{path}: sounds for {seconds:.2f} s, expected {SHORTEST_S} s at least")
    found = recording(name, midi, 0.0, "f", samples)
    sustain = samples[found.attack : found.sustain_end].astype(float)
    rms = np.sqrt(np.mean(sustain**2))
    gain = min(10 ** (SUSTAIN_DBFS / 20) / rms, HIGHEST_PEAK / np.abs(samples).max())
    scaled = (gain * samples).astype(np.float32)
    return replace(found, cents=cents_from(midi, sustain), samples=scaled)


def samples_bank(folder: Path) -> Bank:
    """The notes of all instruments in a folder of samples.

    Raises:
        InputError: it holds anything but notes of the eight instruments, all problems together.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    problems = []
    bank: Bank = {}
    for place in sorted(folder.iterdir()):
        if place.name not in RANGES or not place.is_dir():
            problems.append(f"{place}: expected a folder named as one of {', '.join(RANGES)}")
            continue
        notes: dict[str, Recording] = {}
        for path in sorted(place.iterdir()):
            try:
                read = note(path, midi_of(path), f"{place.name}/{path.stem}")
            except InputError as error:
                problems += error.problems
                continue
            if read.name in notes:
                problems.append(f"{path}: another file has this name with another ending")
            notes[read.name] = read
        bank[place.name] = tuple(notes.values())
    if not problems and not any(bank.values()):
        problems.append(f"{folder}: holds no sound files")
    if problems:
        raise InputError(problems)
    return bank
