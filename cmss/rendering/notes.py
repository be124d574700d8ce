"""Reads banks of recorded single notes.

A bank is stored in a folder. The folder has a sound file for each note, and notes.csv, which lists
the notes in the columns file, instrument, midi, cents and dynamic.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cmss.audio import read_sound
from cmss.errors import InputError, one_of
from cmss.files.text import read_table
from cmss.rendering.held_out import kept_pitches
from cmss.rendering.notation import RANGES

SAMPLE_RATE_HZ = 44100
"""Sampling rate of recorded notes."""


@dataclass(frozen=True)
class Recording:
    """Holds the recording of a single note.

    Args:
        name: unique name of the note, for reports and tests.
        midi: nominal pitch as a MIDI number.
        cents: measured deviation from the nominal pitch.
        dynamic: name of the dynamic layer, such as f.
        samples: waveform (samples,) in float32 at 44.1 kHz.
        attack: index of the sample at which the attack ends and the sustain begins.
        sustain_end: index of the sample at which the sustain ends and the decay begins.
    """

    name: str
    midi: int
    cents: float
    dynamic: str
    samples: np.ndarray
    attack: int
    sustain_end: int

    @property
    def pitch(self) -> float:
        """Sounding pitch as a fractional MIDI number."""
        return self.midi + self.cents / 100


Bank = dict[str, tuple[Recording, ...]]
"""Dict from an instrument to its recordings."""


def recording(name: str, midi: int, cents: float, dynamic: str, samples: np.ndarray) -> Recording:
    """Build a recording; find the attack and the sustain from the envelope of the waveform.

    Args:
        name, midi, cents, dynamic: arguments that are passed to :class:`Recording`.
        samples: waveform (samples,) at 44.1 kHz.
    """
    hop = SAMPLE_RATE_HZ // 100
    # Split the waveform into frames of 10 ms, and average the level over five frames.
    frames = samples[: len(samples) // hop * hop].reshape(-1, hop)
    level_db = 10 * np.log10(np.mean(frames.astype(float) ** 2, axis=1) + 1e-12)
    smooth = np.convolve(np.pad(level_db, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    typical = np.median(smooth[smooth > smooth.max() - 12])
    # The attack ends when the level is within 4 dB of the sustain level.
    loud = np.flatnonzero(smooth > typical - 4.0)
    attack, end = (int(loud[0]) * hop, (int(loud[-1]) + 1) * hop)
    # Short or plucked notes have no sustain. Use the last two thirds of these notes instead.
    if end - attack < 4 * hop:
        attack, end = len(samples) // 3, len(samples)
    return Recording(
        name, midi, cents, dynamic, np.ascontiguousarray(samples, np.float32), attack, end
    )


def read_bank(folder: Path) -> Bank:
    """Read a folder of notes.

    Raises:
        InputError: notes.csv is missing or incomplete, notes.csv lists an instrument that is not in
            the challenge, or notes.csv lists a file that is missing or is not mono at 44.1 kHz.
    """
    return {
        instrument: tuple(_read_recording(folder, row) for row in rows)
        for instrument, rows in read_notes_csv(folder).items()
    }


def merged(banks: Iterable[Bank]) -> Bank:
    """Merge banks, so that each instrument has the notes of all banks, sorted by pitch."""
    notes: dict[str, list[Recording]] = {}
    for bank in banks:
        for instrument, recordings in bank.items():
            notes.setdefault(instrument, []).extend(recordings)
    return {name: tuple(sorted(notes[name], key=lambda note: note.midi)) for name in sorted(notes)}


def read_notes_csv(folder: Path) -> dict[str, list[dict[str, str]]]:
    """Read and check notes.csv.

    Returns:
        Dict from an instrument to its rows in notes.csv, sorted by pitch.

    Raises:
        InputError: the same conditions as for :func:`read_bank`; all problems are reported
            together.
    """
    table = folder / "notes.csv"
    if not table.is_file():
        raise InputError(f"{table}: missing; a folder of notes needs this list")
    rows = read_table(table, ("cents", "dynamic", "file", "instrument", "midi")).rows
    problems = []
    by_instrument: dict[str, list[dict[str, str]]] = {}
    for line, row in rows:
        if row["instrument"] not in RANGES:
            problems.append(
                f"{table}, line {line}: instrument {row['instrument']!r}: "
                + one_of(RANGES, row["instrument"])
            )
        elif not (folder / row["file"]).is_file():
            problems.append(f"{table}, line {line}: file {row['file']!r} does not exist")
        elif not _is_number(row["midi"]) or not _is_number(row["cents"]):
            problems.append(f"{table}, line {line}: midi and cents must be numbers")
        else:
            by_instrument.setdefault(row["instrument"], []).append(row)
    if problems:
        raise InputError(problems)
    if not by_instrument:
        raise InputError(f"{table}: no notes listed")
    return {
        name: sorted(by_instrument[name], key=lambda r: (float(r["midi"]), r["file"]))
        for name in sorted(by_instrument)
    }


def _is_number(text: str | None) -> bool:
    try:
        return bool(np.isfinite(float(text or "")))
    except ValueError:
        return False


def _read_recording(folder: Path, row: dict[str, str]) -> Recording:
    path = folder / row["file"]
    samples, rate = read_sound(path)
    if rate != SAMPLE_RATE_HZ or len(samples) != 1:
        raise InputError(
            f"{path}: {rate} Hz, {len(samples)} channels: expected {SAMPLE_RATE_HZ} Hz, mono"
        )
    if samples.shape[1] < SAMPLE_RATE_HZ // 5:
        raise InputError(f"{path}: shorter than 0.2 s")
    midi = round(float(row["midi"]))
    return recording(row["file"], midi, float(row["cents"]), row["dynamic"], samples[0])


def hold_out(bank: Bank, every: int, held_out: bool) -> Bank:
    """Return the notes of a bank that :func:`kept_pitches` selects for each instrument."""
    kept: Bank = {}
    for instrument, recordings in bank.items():
        pitches = kept_pitches((r.midi for r in recordings), every, held_out)
        kept[instrument] = tuple(r for r in recordings if r.midi in pitches)
    return kept
