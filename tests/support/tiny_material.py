"""Synthetic notes and short parts from which mixtures are rendered."""

from dataclasses import fields
from functools import cache

import numpy as np

from cmss.rendering.effects import EffectSettings
from cmss.rendering.held_out import HELD_OUT_EVERY, kept_pitches
from cmss.rendering.material import FULL_SCALE, Line, Material, Tone, Work
from cmss.rendering.material_folders import tone_of
from cmss.rendering.notation import typed
from metadata_tools.notes.synthesiser import make_bank

RATE_HZ = 22050
OFF = EffectSettings(**{field.name: 0.0 for field in fields(EffectSettings)})
"""All effects are switched off."""

PARTS = (
    "mf A5:2 _B5 C6 D6:1/2 _E6:1/2 C6 A5:2 B5:3 C6 A5:2",
    "mf E5:2 G5 _E5 F5:1/2 _G5:1/2 E5 F5:2 G5:3 E5 F5:2",
    "p C4 _D4 E4:2 D4 C4 _A3:2 G3:3 C4 C4:2",
    "f A2:4 _D3:2 F3:2 _G2:3 C3 F2:2",
)


@cache
def tiny_material(works: tuple[str, ...] = ("Arriaga", "Mozart")) -> Material:
    """Return material with notes of four instruments, and works of 40 quarter notes."""
    bank = make_bank(("Violin", "Viola", "Cello", "Clarinet"), seed=5, spacing_semitones=4)
    tones, pitches = {}, {}
    for name, notes in bank.items():
        pitches[f"synth/{name}"] = [note.midi for note in notes]
        kept = kept_pitches(pitches[f"synth/{name}"], HELD_OUT_EVERY, held_out=False)
        tones[name] = tuple(tone_of(note, "synth", RATE_HZ) for note in notes if note.midi in kept)
    lines = tuple(Line.of(typed(f"{part} " * 3)) for part in PARTS)
    tempi = np.array([[0, 90]], np.float32)
    return Material(RATE_HZ, tones, tuple(Work(name, lines, tempi) for name in works), pitches)


def sine(midi: float, seconds: float = 3.0, library: str = "sine", dynamic: str = "f") -> Tone:
    """Return a recorded note that is a sine without attack and decay."""
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    wave = 0.5 * np.sin(2 * np.pi * 440 * 2 ** ((midi - 69) / 12) * time)
    samples = np.rint(wave * FULL_SCALE).astype(np.int16)
    return Tone(library, round(midi), 100 * (midi - round(midi)), dynamic, samples, 0, len(samples))
