"""One file in, one file out: a recording of one's own, rebalanced and amplified for a listener.

    python -m cmss.listen mixture.wav --instruments Violin Cello --gains 6 -3 \\
        --audiogram me.json -o out.flac

The mixture (WAV, FLAC, ... of any sampling rate and length, mono or stereo) is set to -40 LUFS, the
level that the hearing aid is designed for, taken apart into the instruments named, put together
again with a gain in dB for each, in their order, and amplified for both ears. Beside out.flac,
stereo at 44.1 kHz, out.png shows the sound before and after.

The audiogram is a JSON file in the challenge's words:

    {"audiogram_cfs": [250, 500, 1000, 2000, 4000, 8000],
     "audiogram_levels_l": [20, 20, 30, 45, 60, 70],
     "audiogram_levels_r": [25, 20, 35, 45, 65, 70]}

or one of several listeners by id, as in its listeners.json. An instrument named twice has two
players. Instruments that nobody named are left as they are.
"""

import argparse
import math
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmss.atomic import atomic_file
from cmss.audio import (
    SHORTEST_LOUDNESS_S,
    Excerpt,
    loudness_lufs,
    read_stereo,
    resample,
    write_flac,
)
from cmss.configuration import default_separator
from cmss.errors import InputError, noting
from cmss.hearing_aid import HearingAid
from cmss.pipeline import EXPECTED_LUFS, System, enhance_scene
from cmss.prescription import compression_from_audiogram
from cmss.remix import ConsistentRemix
from cmss.report.panels import before_and_after, png
from cmss.scenes import (
    DOUBLED,
    INSTRUMENTS,
    Audiogram,
    Compression,
    Ear,
    Listener,
    Scene,
    Source,
    Track,
    load_audiograms,
)
from cmss.separators import Separator, Stems, build_separator
from cmss.separators.spectra import in_blocks
from cmss.stage import exit_status, progress

SAMPLE_RATE_HZ = 44100
SEPARATOR = default_separator()

CHALLENGE_HEARING_AID = HearingAid(
    crossover_frequencies=(353.55, 707.11, 1414.21, 2828.43, 5656.85),
    attack=(11, 11, 14, 13, 11, 11),
    release=(80, 80, 80, 80, 100, 100),
    threshold=-30,
    sample_rate_hz=SAMPLE_RATE_HZ,
)


def read_mixture(path: Path) -> NDArray[np.float32]:
    """Read a recording, at 44.1 kHz and -40 LUFS: (2, samples).

    Raises:
        InputError: not a readable recording, silent, or too short to have a loudness.
    """
    signal, rate_hz = read_stereo(path)
    signal = resample(signal, rate_hz, SAMPLE_RATE_HZ)
    if signal.shape[-1] < SHORTEST_LOUDNESS_S * SAMPLE_RATE_HZ:
        raise InputError(f"{path}: expected at least {SHORTEST_LOUDNESS_S:g} s")
    lufs = loudness_lufs(signal, SAMPLE_RATE_HZ)
    if not math.isfinite(lufs):
        raise InputError(f"{path}: silent, or too soft to have a loudness")
    return (signal * 10 ** ((EXPECTED_LUFS - lufs) / 20)).astype(np.float32)


def make_scene(path: Path, players: Sequence[str], gains_db: Sequence[float]) -> Scene:
    """A recording with a gain for each player.

    Args:
        path: of the recording.
        players: instruments in any case; one that is named twice has two players.
        gains_db: as many.

    Raises:
        InputError: an instrument that no separator knows, or gains that do not fit.
    """
    known = {name.lower(): name for name in INSTRUMENTS}
    problems = [
        f"--instruments: {name!r}, expected some of {', '.join(INSTRUMENTS)}"
        for name in players
        if name.lower() not in known
    ]
    if len(gains_db) != len(players):
        problems.append(f"--gains: {len(gains_db)}, expected {len(players)}, one per instrument")
    problems += [f"--gains: {g}, expected dB" for g in gains_db if not math.isfinite(g)]
    if problems:
        raise InputError(problems)
    instruments = [known[name.lower()] for name in players]
    recording = Excerpt(path, 0.0, math.inf)
    numbered = Counter[str]()
    sources = {}
    for number, instrument in enumerate(instruments, start=1):
        numbered[instrument] += 1
        two = instrument in DOUBLED and instruments.count(instrument) == 2
        key = f"source_{number}"
        sources[key] = Source(key, instrument, numbered[instrument] if two else None, recording)
    gains = dict(zip(sources, gains_db, strict=True))
    return Scene("S0", Track(path.name, sources, recording), gains)


def make_listener(path: Path, name: str | None = None) -> Listener:
    """The listener of an audiogram file, with the compressor that it asks for.

    Raises:
        InputError: the file is not what is expected.
    """
    left, right = (_ear(audiogram) for audiogram in load_audiograms(path, name))
    return Listener(name or path.stem, left, right)


def _ear(audiogram: Audiogram) -> Ear:
    prescribed = compression_from_audiogram(audiogram.frequencies_hz, audiogram.levels_db)
    return Ear(audiogram, Compression(*prescribed))


def separate(separator: Separator, mixture: NDArray[np.float32], track: Track) -> Stems:
    """Separate block by block, with a progress bar: source id -> (2, samples)."""
    separator.prepare(track.sources.values())
    with progress(
        total=round(mixture.shape[-1] / SAMPLE_RATE_HZ), unit="s", desc="separate"
    ) as bar:

        def run(signal: Tensor) -> Tensor:
            stems = separator.separate(signal[0].numpy(), track.sources)
            bar.update(min(round(signal.shape[-1] / SAMPLE_RATE_HZ), bar.total - bar.n))
            return torch.stack([torch.from_numpy(stems[key]) for key in track.sources])

        estimates = in_blocks(run, torch.from_numpy(mixture), SAMPLE_RATE_HZ)
    return dict(zip(track.sources, estimates.numpy(), strict=True))


def listen(
    mixture: NDArray[np.float32], scene: Scene, listener: Listener, separator: Separator
) -> NDArray[np.float64]:
    """What the listener gets: (2, samples), the mixture (2, samples) at -40 LUFS.

    Raises:
        InputError: weights are missing.
        FloatingPointError: an estimate is not finite.
    """
    system = System(separator, ConsistentRemix(), CHALLENGE_HEARING_AID)
    stems = separate(separator, mixture, scene.track)
    return enhance_scene(system, mixture, stems, scene, listener)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m cmss.listen",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("mixture", type=Path, help="a recording: WAV, FLAC, ...")
    parser.add_argument("--instruments", nargs="+", required=True, metavar="NAME",
        help=f"who plays: {', '.join(INSTRUMENTS)}")  # fmt: skip
    parser.add_argument("--gains", nargs="+", type=float, required=True, metavar="DB",
        help="one for each instrument")  # fmt: skip
    parser.add_argument("--audiogram", type=Path, required=True, metavar="FILE", help="JSON")
    parser.add_argument("--listener", metavar="ID", help="which of several in that file")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE.flac")
    options = parser.parse_args(arguments)
    return exit_status(lambda: _listen_to_files(options))


def _listen_to_files(options: argparse.Namespace) -> str:
    """Read, listen, write; says where, and how many samples were clipped."""
    if options.out.suffix.lower() != ".flac":
        raise InputError(f"-o {options.out}: expected a name that ends in .flac")
    if options.out.resolve() == options.mixture.resolve():
        raise InputError(f"-o {options.out}: would replace the mixture")
    problems: list[str] = []
    with noting(problems):
        listener = make_listener(options.audiogram, options.listener)
    with noting(problems):
        scene = make_scene(options.mixture, options.instruments, options.gains)
    with noting(problems):
        mixture = read_mixture(options.mixture)
    if problems:
        raise InputError(problems)
    ears = listen(mixture, scene, listener, build_separator(SEPARATOR, SAMPLE_RATE_HZ))
    clipped = write_flac(options.out, ears, SAMPLE_RATE_HZ)
    picture = png(before_and_after(mixture, np.clip(ears, -1, 1), SAMPLE_RATE_HZ, listener))
    with atomic_file(options.out.with_suffix(".png")) as temporary:
        temporary.write_bytes(picture)
    return (
        f"{options.out}: {clipped} samples clipped; {options.out.with_suffix('.png')}: "
        "before and after"
    )


if __name__ == "__main__":
    sys.exit(main())
