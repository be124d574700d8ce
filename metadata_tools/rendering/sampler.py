"""Plays the part of a player with recorded single notes; the result is a dry mono stem.

For each note of a part, the sampler plays the recording with the closest pitch. The sampler varies
the speed of the recording by band-limited interpolation with a windowed sinc (Smith, "Digital Audio
Resampling"). The changes of speed produce the pitch, the detuning and the vibrato of a note. If a
note is longer than its recording, the sustain of the recording is looped.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from cmss.errors import InputError
from cmss.machine.compiled import compiled
from cmss.rendering.notation import Note
from cmss.rendering.notes import Bank, Recording
from metadata_tools.challenge.writer import SAMPLE_RATE_HZ

_TAPS = 16  # With this number of taps, images of partials up to 14 kHz are below -85 dB.
_PHASES = 512


@dataclass(frozen=True)
class Player:
    """Defines how a player plays in a track.

    Args:
        detune_cents: deviation in pitch that is the same for all notes.
        spread_cents: standard deviation of the pitch of single notes.
        timing_s: standard deviation of the onsets.
        vibrato_cents, vibrato_hz: depth and rate of the vibrato on long notes.
        articulation: ratio of the sounding duration to the written duration of a note that is not
            slurred.
        variety_semitones: upper limit of a random number that is added to the distance in pitch
            between a note and each recording. The sampler plays the recording with the smallest
            sum. Therefore, notes of the same pitch are played with different recordings.
        swell_db: increase of the level towards the middle of long notes.
        softness: attenuation of high frequencies in soft notes, from 0 (none) to 1 (strong).
        dynamic: name of the dynamic layer to use, if the bank has this layer.
    """

    detune_cents: float = 0.0
    spread_cents: float = 0.0
    timing_s: float = 0.0
    vibrato_cents: float = 0.0
    vibrato_hz: float = 5.5
    articulation: float = 0.92
    variety_semitones: float = 0.0
    swell_db: float = 0.0
    softness: float = 0.0
    dynamic: str = ""


_VIBRATO = {"Violin", "Viola", "Cello", "Flute", "Oboe", "Sax", "Bassoon"}


def random_player(
    instrument: str, recordings: Sequence[Recording], rng: np.random.Generator
) -> Player:
    """Draw the playing style of a player at random."""
    layers = sorted({r.dynamic for r in recordings})
    vibrato = instrument in _VIBRATO and rng.random() < 0.7
    return Player(
        detune_cents=float(rng.normal(0, 5)),
        spread_cents=float(rng.uniform(1, 5)),
        timing_s=float(rng.uniform(0.003, 0.015)),
        vibrato_cents=float(rng.uniform(4, 22)) if vibrato else 0.0,
        vibrato_hz=float(rng.uniform(4.6, 6.4)),
        articulation=float(rng.uniform(0.82, 0.98)),
        variety_semitones=1.2,
        swell_db=float(rng.uniform(0, 3)),
        softness=float(rng.uniform(0, 0.8)),
        dynamic=str(rng.choice(layers)),
    )


class Sampler:
    """Plays parts with the notes of a bank.

    Many parts should be played with the same sampler, because the sampler stores looped recordings.

    Args:
        bank: bank with the recordings of each instrument.
    """

    def __init__(self, bank: Bank) -> None:
        self.bank = bank
        self._looped: dict[tuple[str, str], np.ndarray] = {}

    def play(
        self,
        instrument: str,
        notes: Iterable[Note],
        samples: int,
        rng: np.random.Generator,
        player: Player | None = None,
    ) -> np.ndarray:
        """Play a part, and return the dry stem.

        Args:
            instrument: name of the instrument that plays, which must be in the bank.
            notes: notes to play. The notes may overlap (double stops). Notes that last longer than
                the stem are cut.
            samples: length of the stem in samples.
            rng: random generator for the deviations of the player.
            player: playing style. If `player` is None, there are no deviations in pitch and timing.

        Returns:
            The stem (samples,) in float32.

        Raises:
            InputError: the bank has no recording of this instrument.
        """
        if not self.bank.get(instrument):
            raise InputError(f"no recorded note of {instrument}")
        player = player or Player()
        stem = np.zeros(samples, np.float32)
        ordered = sorted(notes, key=lambda n: (n.onset_s, n.midi))
        phase = rng.uniform(0, 2 * np.pi)
        for index, note in enumerate(ordered):
            following = ordered[index + 1] if index + 1 < len(ordered) else None
            bound = (
                following is not None
                and following.slurred
                and abs(note.onset_s + note.duration_s - following.onset_s) < 0.02
            )
            # The level of a phrase rises and falls slowly, over some seconds.
            breath_db = 1.5 * np.sin(phase + 2 * np.pi * note.onset_s / 6.5)
            self._add_note(stem, instrument, note, bound, float(breath_db), player, rng)
        return stem

    def _add_note(
        self,
        stem: np.ndarray,
        instrument: str,
        note: Note,
        bound: bool,
        breath_db: float,
        player: Player,
        rng: np.random.Generator,
    ) -> None:
        """Add a note to a stem (samples,), in place.

        Args:
            stem: stem to which the note is added.
            instrument: name of the instrument in the bank.
            note: note to play.
            bound: whether the next note is slurred to this note.
            breath_db: change of the note's level in dB, due to the slow crescendo and diminuendo of
                the phrase.
            player: playing style.
            rng: random generator for the deviations of the player.
        """
        chosen = self._choose(instrument, note, player, rng)
        # Always draw all random numbers, so that the numbers of later notes do not depend on this
        # note.
        wobble, spread, loudness, skip = rng.normal(
            0, (player.timing_s, player.spread_cents, 0.7, 1)
        )
        onset = max(0.0, note.onset_s + float(np.clip(wobble, -0.03, 0.03)))
        if onset * SAMPLE_RATE_HZ >= len(stem):
            return
        if bound:
            sounding, release = note.duration_s + 0.03, 0.06
        else:
            share = 0.5 if note.short else player.articulation
            sounding = max(0.05, note.duration_s * share)
            release = min(0.12, 0.03 + 0.25 * sounding)
        length = round((sounding + release) * SAMPLE_RATE_HZ)
        length = min(length, len(stem) - int(onset * SAMPLE_RATE_HZ))

        if note.slurred:
            # A slurred note has no attack, because the bow or the breath continues. Start within
            # the sustain with a fade-in.
            start = chosen.attack + abs(skip) * 0.03 * SAMPLE_RATE_HZ
            fade_in = 0.035
        else:
            # In short notes, the start of a slow recorded attack is skipped.
            longest = min(0.25, max(0.03, 0.35 * sounding)) * SAMPLE_RATE_HZ
            start = max(0.0, chosen.attack - longest)
            fade_in = 0.004 if start == 0 else 0.012
        cents = player.detune_cents + spread
        speed = 2.0 ** ((note.midi + cents / 100 - chosen.pitch) / 12)
        depth = player.vibrato_cents if note.duration_s > 0.35 else 0.0
        positions = _positions(
            length, start, speed, depth, player.vibrato_hz * (1 + 0.03 * spread / 5)
        )
        source = self._looped_to(instrument, chosen, int(positions.max()) + _TAPS)

        level_db = note.level_db + breath_db + loudness
        envelope = _envelope(length, fade_in, sounding, release, player.swell_db)
        envelope *= 10 ** (level_db / 20)
        # Apply a low-pass filter with one pole, because high partials are weaker in soft notes.
        darkness = player.softness * min(1.0, max(0.0, -level_db) / 10)
        smoothing = float(np.exp(-2 * np.pi * 2500 / SAMPLE_RATE_HZ)) * darkness
        begin = int(onset * SAMPLE_RATE_HZ)
        _play(stem[begin : begin + length], source, positions, envelope, smoothing, _SINC)

    def _choose(
        self, instrument: str, note: Note, player: Player, rng: np.random.Generator
    ) -> Recording:
        """Choose the recording with the smallest sum of pitch distance and random distance."""
        recordings = self.bank[instrument]
        layer = [r for r in recordings if r.dynamic == player.dynamic] or list(recordings)
        distance = np.array([abs(r.pitch - note.midi) for r in layer])
        return layer[int(np.argmin(distance + player.variety_semitones * rng.random(len(layer))))]

    def _looped_to(self, instrument: str, chosen: Recording, samples: int) -> np.ndarray:
        """Return a recording up to the end of its sustain; a short recording is looped."""
        key = (instrument, chosen.name)
        source = self._looped.get(key)
        if source is None:
            source = chosen.samples[: chosen.sustain_end]
        if len(source) < samples:
            # Make the loop a second longer than needed, because later notes may be a little longer.
            source = _loop(source, chosen, samples + SAMPLE_RATE_HZ)
        self._looped[key] = source
        return source


def _loop(source: np.ndarray, chosen: Recording, samples: int) -> np.ndarray:
    """Repeat the sustain of a recording; all repetitions are in phase.

    Each crossfade lasts 80 ms or a quarter of the sustain, whichever is shorter.
    """
    fade = int(min(0.08 * SAMPLE_RATE_HZ, (chosen.sustain_end - chosen.attack) // 4))
    period = SAMPLE_RATE_HZ / (440 * 2 ** ((chosen.pitch - 69) / 12))
    search = int(2 * period) + 1
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    sustain = chosen.samples[: chosen.sustain_end]
    # Loops begin after the attack. They must not begin too late, because short loops sound like a
    # buzz.
    earliest = chosen.attack
    latest = max(earliest, earliest + (chosen.sustain_end - earliest - 2 * fade - search) // 2)
    # With this seed, the loops do not depend on the order of the notes.
    rng = np.random.default_rng(chosen.midi)
    while len(source) < samples:
        tail = source[-fade:]
        entry = int(rng.integers(earliest, latest + 1))
        stretch = sustain[entry : entry + search + fade]
        matches = np.correlate(stretch, tail, mode="valid")
        entry += int(np.argmax(matches)) if len(matches) else 0
        joined = sustain[entry : entry + fade]
        crossed = tail * (1 - ramp) + joined * ramp
        source = np.concatenate([source[:-fade], crossed, sustain[entry + fade :]])
    return source


def _positions(
    length: int, start: float, speed: float, depth_cents: float, rate_hz: float
) -> np.ndarray:
    """Return the position (length,) in the recording from which each output sample is read.

    The positions rise linearly, with a vibrato that starts after 0.15 s.
    """
    index = np.arange(length)
    positions = start + speed * index
    if depth_cents > 0:
        omega = 2 * np.pi * rate_hz / SAMPLE_RATE_HZ
        # The relative change of the speed is 2^(d/1200) - 1; its integral is divided by omega.
        swing = speed * (2 ** (depth_cents / 1200) - 1) / omega
        onset = np.clip((index / SAMPLE_RATE_HZ - 0.15) / 0.3, 0, 1)
        positions = positions + swing * onset * np.sin(omega * index)
    return positions


def _envelope(
    length: int, fade_in_s: float, sounding_s: float, release_s: float, swell_db: float
) -> np.ndarray:
    """Return the envelope (length,) of a note: fade-in, swell and release."""
    time = np.arange(length, dtype=np.float32) / SAMPLE_RATE_HZ
    rise = np.sin(0.5 * np.pi * np.clip(time / fade_in_s, 0, 1)) ** 2
    fall = np.cos(0.5 * np.pi * np.clip((time - sounding_s) / release_s, 0, 1)) ** 2
    swell = np.ones(1)
    if sounding_s > 0.5:
        swell = 10 ** (swell_db * (np.sin(np.pi * np.clip(time / sounding_s, 0, 1)) - 0.6) / 20)
    return (rise * fall * swell).astype(np.float32)


def _sinc_table() -> np.ndarray:
    """Return a table (phases + 1, taps) of sinc functions with a Kaiser window of beta 8."""
    offsets = np.arange(_TAPS) - (_TAPS // 2 - 1)
    phase = np.arange(_PHASES + 1)[:, None] / _PHASES
    distance = offsets - phase
    inside = np.clip(1 - (distance / (_TAPS / 2)) ** 2, 0, None)
    table = np.sinc(distance) * np.i0(8.0 * np.sqrt(inside)) / np.i0(8.0)
    return np.ascontiguousarray(table / table.sum(axis=1, keepdims=True), np.float32)


_SINC = _sinc_table()


@compiled()
def _play(
    stem: np.ndarray,
    source: np.ndarray,
    positions: np.ndarray,
    envelope: np.ndarray,
    smoothing: float,
    sinc: np.ndarray,
) -> None:
    """Read a recording at given positions, apply envelope and filter; add the result to a stem.

    Args:
        stem: stem (length,), which is changed in place.
        source: recording (samples,).
        positions: position (length,) in the recording for each sample of the stem, in samples.
        envelope: factor (length,) for each sample of the stem.
        smoothing: pole of a low-pass filter with one pole. If `smoothing` is 0, no filter is used.
        sinc: table (phases + 1, taps) of sinc functions, interpolated linearly between phases.
    """
    phases = sinc.shape[0] - 1
    taps = sinc.shape[1]
    before = taps // 2 - 1
    state = 0.0
    for i in range(len(stem)):
        whole = int(np.floor(positions[i]))
        fraction = (positions[i] - whole) * phases
        row = int(fraction)
        weight = fraction - row
        first = whole - before
        value = 0.0
        for tap in range(taps):
            at = first + tap
            if 0 <= at < len(source):
                kernel = sinc[row, tap] + weight * (sinc[row + 1, tap] - sinc[row, tap])
                value += kernel * source[at]
        state = value * (1.0 - smoothing) + smoothing * state
        stem[i] += state * envelope[i]
