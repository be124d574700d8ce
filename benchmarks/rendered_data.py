"""Measure how fast training mixtures are rendered: `python -m benchmarks.rendered_data [FILE.npz]`.

FILE.npz is a file that `metadata_tools.pack` wrote. Without FILE.npz, the pieces of the demo are
played with synthesised notes of eight instruments. Other processes on the machine increase the wall
time, but have little effect on the CPU time.

With --network WEIGHTS, the command measures the mean SDR improvement of a network instead of the
speed: without effects, with each effect alone, and with all effects. Before the mean is computed,
the SDR improvement of each source is clipped to the range from -20 dB to 40 dB.
"""

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from cmss.models.checkpoint import Network, load_checkpoint
from cmss.models.outputs import OUTPUTS, player_index
from cmss.rendering.effects import EffectSettings
from cmss.rendering.material import Line, Material, Tone, Work
from cmss.rendering.material_folders import tone_of
from cmss.rendering.notation import RANGES, typed
from cmss.rendering.packed_material import load_material
from cmss.training.loop import sdr_improvement
from cmss.training.mixtures import MixtureSettings
from cmss.training.rendered import RenderedMixtures
from metadata_tools.notes.synthesiser import make_bank
from metadata_tools.scores.pieces import PIECES

RATE_HZ = 22050


def synthesised() -> Material:
    """Return synthesised notes of eight instruments, and the pieces of the demo."""
    tones: dict[str, tuple[Tone, ...]] = {}
    pitches: dict[str, list[int]] = {}
    for name, notes in make_bank(tuple(RANGES), seed=1).items():
        pitches[f"synthesised/{name}"] = []
        tones[name] = tuple(tone_of(note, "synthesised", RATE_HZ) for note in notes)
    works = tuple(
        Work(
            piece.name,
            tuple(Line.of(typed(part)) for part in piece.parts.values()),
            np.array([[0.0, piece.quarters_per_minute]], np.float32),
        )
        for piece in PIECES
    )
    return Material(RATE_HZ, tones, works, pitches)


def print_difficulty(material: Material, network: Network, batches: int, size: int) -> None:
    """Print the SDR improvement of a network on mixtures of 4 s, separately for each effect."""
    material = material.at_rate(network.sample_rate_hz, "notes")
    default = EffectSettings(plain=0.0)
    off = replace(default, **dict.fromkeys(vars(default), 0.0))
    cases = {"no effect": off}
    for name, value in vars(default).items():
        # overlap_s changes only slurred notes, and plain switches the effects off.
        if name not in ("overlap_s", "plain"):
            cases[name] = replace(off, overlap_s=default.overlap_s, **{name: value})
    cases["all effects"] = default
    settings = MixtureSettings(4.0, size, 1.0, 6.0, 0.0, 0.0, 0.0)
    for name, effects in cases.items():
        index = player_index(network.sources)
        mixtures = RenderedMixtures(material, effects, index, settings, seed=5)
        with torch.inference_mode():
            found = [sdr_improvement(network, mixtures.batch(step)) for step in range(batches)]
        sdr_db = torch.cat(found)  # (B, S); NaN for the sources that do not play
        sdr_db = sdr_db[sdr_db.isfinite()].clamp(-20, 40)
        print(f"{name:<18}{sdr_db.mean():>8.2f} dB, {len(sdr_db)} sources", flush=True)


def main() -> None:
    """Run the command: render batches with one and two threads, and print the speed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rendered_data", description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, help="file of metadata_tools.pack")
    parser.add_argument("--batches", type=int, default=10, help="number of batches")
    parser.add_argument("--batch-size", type=int, default=4, help="number of mixtures in a batch")
    parser.add_argument("--seconds", type=float, default=4.0, help="duration of a mixture")
    parser.add_argument("--network", type=Path, metavar="WEIGHTS",
        help="measure the SDR improvement of this network for each effect")  # fmt: skip
    options = parser.parse_args()
    material = load_material(options.file) if options.file else synthesised()
    if options.network:
        network = load_checkpoint(options.network)
        print_difficulty(material, network, options.batches, options.batch_size)
        return
    torch.set_num_threads(1)
    settings = MixtureSettings(options.seconds, options.batch_size, 1.0, 6.0, 0.0, 0.0, 6.0)
    index = {name: number for number, name in enumerate(OUTPUTS)}
    print(
        f"batches of {options.batch_size} mixtures of {options.seconds:g} s at {material.rate_hz} "
        f"Hz; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    print(
        f"{'threads':<9}{'wall s/batch':>14}{'CPU s/batch':>14}{'mixtures/s':>12}{'audio s/s':>11}"
    )
    for threads in (1, 2):
        mixtures = RenderedMixtures(
            material, EffectSettings(), index, settings, seed=1, threads=threads
        )
        mixtures.batch(0)  # fills the caches of loops and noise
        wall, cpu = time.perf_counter(), time.process_time()
        for step in range(1, options.batches + 1):
            mixtures.batch(step)
        wall = (time.perf_counter() - wall) / options.batches
        cpu = (time.process_time() - cpu) / options.batches
        rate = options.batch_size / wall
        print(f"{threads:<9}{wall:>14.3f}{cpu:>14.3f}{rate:>12.1f}{rate * options.seconds:>11.1f}")


if __name__ == "__main__":
    main()
