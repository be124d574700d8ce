"""Recorded single notes: reading a folder of them, and which of them may sound where."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cmss.audio import read_sound
from cmss.errors import InputError
from cmss.files.text import read_table
from metadata_tools.challenge.writer import SAMPLE_RATE_HZ
from metadata_tools.scores.score import RANGES

_FURTHEST_SEMITONES = 3  # a note re-pitched further than this sounds like another instrument
_ATTACK_BELOW_SUSTAIN_DB = 4.0


@dataclass(frozen=True)
class Recording:
    """One recorded note.

    Args:
        name: unique, for reports and tests.
        midi: nominal pitch.
        cents: measured deviation from it.
        dynamic: layer that it was recorded in.
        samples: (samples,) float32 at 44.1 kHz.
        attack: sample at which the note has reached its sustain.
        sustain_end: sample at which it begins to die away.
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
        """Sounding pitch in semitones, MIDI scale."""
        return self.midi + self.cents / 100


Bank = dict[str, tuple[Recording, ...]]


def recording(name: str, midi: int, cents: float, dynamic: str, samples: np.ndarray) -> Recording:
    """Find attack and sustain of a note by its envelope."""
    hop = SAMPLE_RATE_HZ // 100
    frames = samples[: len(samples) // hop * hop].reshape(-1, hop)
    level_db = 10 * np.log10(np.mean(frames.astype(float) ** 2, axis=1) + 1e-12)
    smooth = np.convolve(np.pad(level_db, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    typical = np.median(smooth[smooth > smooth.max() - 12])
    loud = np.flatnonzero(smooth > typical - _ATTACK_BELOW_SUSTAIN_DB)
    attack, end = (int(loud[0]) * hop, (int(loud[-1]) + 1) * hop)
    # An envelope without a plateau (too short, or plucked) is sustained from its first third on.
    if end - attack < 4 * hop:
        attack, end = len(samples) // 3, len(samples)
    return Recording(
        name, midi, cents, dynamic, np.ascontiguousarray(samples, np.float32), attack, end
    )


def read_bank(folder: Path) -> Bank:
    """Read a folder of recorded notes and its notes.csv (file,instrument,midi,cents,dynamic,...).

    Raises:
        InputError: notes.csv is missing or incomplete, or names a file that is missing or not mono
            44.1 kHz, or an instrument outside the eight.
    """
    return {
        instrument: tuple(_read_recording(folder, row) for row in rows)
        for instrument, rows in read_notes_csv(folder).items()
    }


def read_notes_csv(folder: Path) -> dict[str, list[dict[str, str]]]:
    """The rows of notes.csv by instrument, checked, sorted by pitch.

    Raises:
        InputError: as `read_bank`, all problems together.
    """
    table = folder / "notes.csv"
    if not table.is_file():
        raise InputError(f"{table}: missing; a folder of recorded notes needs this list")
    rows = read_table(table, ("cents", "dynamic", "file", "instrument", "midi")).rows
    problems = []
    by_instrument: dict[str, list[dict[str, str]]] = {}
    for line, row in rows:
        if row["instrument"] not in RANGES:
            known = ", ".join(RANGES)
            problems.append(
                f"{table}, line {line}: instrument {row['instrument']!r}: expected one of {known}"
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


def kept_pitches(pitches: Iterable[int], every: int, held_out: bool) -> set[int]:
    """Every `every`-th of some recorded pitches, or all the others.

    Args:
        every: 0 holds nothing out: both sides have all pitches.
        held_out: True for the pitches kept for testing.
    """
    distinct = sorted(set(pitches))
    if every == 0:
        return set(distinct)
    # Counted from the middle of a group, so that the lowest and highest notes stay in training.
    chosen = set(distinct[every // 2 :: every])
    return chosen if held_out else set(distinct) - chosen


def hold_out(bank: Bank, every: int, held_out: bool) -> Bank:
    """The part of a bank that `kept_pitches` leaves, for each instrument by itself."""
    kept: Bank = {}
    for instrument, recordings in bank.items():
        pitches = kept_pitches((r.midi for r in recordings), every, held_out)
        kept[instrument] = tuple(r for r in recordings if r.midi in pitches)
    return kept


def playable_range(instrument: str, pitches: Iterable[int]) -> tuple[int, int]:
    """Lowest and highest pitch that recordings reach, within the practical range."""
    low, high = RANGES[instrument]
    recorded, reach = sorted(pitches), _FURTHEST_SEMITONES
    return max(low, recorded[0] - reach), min(high, recorded[-1] + reach)
