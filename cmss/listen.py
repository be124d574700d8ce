"""One file in, one file out: a recording of one's own, rebalanced and amplified for a listener.

    python -m cmss.listen mixture.wav --instruments Violin Cello --gains 6 -3 \\
        --audiogram me.json -o out.flac

The mixture (WAV, FLAC, ... of any sampling rate and length, mono or stereo) is set to -40 LUFS, the
level that the hearing aid is designed for, taken apart into the instruments named, put together
again with a gain in dB for each, in their order, and amplified for both ears. A gain of -inf mutes.
Beside out.flac, stereo at 44.1 kHz, out.png shows the sound before and after.

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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmss.audio import (
    SHORTEST_LOUDNESS_S,
    Excerpt,
    loudness_lufs,
    read_stereo,
    resample,
    write_flac,
)
from cmss.command_line import exit_status, one_line
from cmss.errors import InputError, noting
from cmss.files.atomic import atomic_file
from cmss.files.output_file import check_output_file
from cmss.hearing.hearing_aid import HearingAid
from cmss.hearing.prescription import compression_from_audiogram
from cmss.quantities import MUTED_DB, PLAYER_GAIN_DB, RECORDED_RATE_HZ, all_muted
from cmss.remix import ConsistentRemix, rebalance
from cmss.report.panels import before_and_after, png
from cmss.run.configuration import default_separator
from cmss.run.stage import progress
from cmss.scenes import (
    DOUBLED,
    EXPECTED_LUFS,
    INSTRUMENTS,
    Audiogram,
    Compression,
    Ear,
    Listener,
    Scene,
    Source,
    Track,
    load_audiograms,
    unusual_hearing,
)
from cmss.separators import Separator, Stems, build_separator
from cmss.separators.blocks import InBlocks

SAMPLE_RATE_HZ = 44100
HEADROOM_DB = 3.0
"""How much louder than the hearing aid expects a remix may be, as for mixtures of the stages."""
LOUD_RISE_DB = 20.0
"""From here on playing the result at the volume of the recording may be dangerous."""
SEPARATOR = default_separator()

CHALLENGE_HEARING_AID = HearingAid(
    crossover_frequencies=(353.55, 707.11, 1414.21, 2828.43, 5656.85),
    attack=(11, 11, 14, 13, 11, 11),
    release=(80, 80, 80, 80, 100, 100),
    threshold=-30,
    sample_rate_hz=SAMPLE_RATE_HZ,
)


def read_mixture(path: Path) -> tuple[NDArray[np.float32], float]:
    """Read a recording, at 44.1 kHz and -40 LUFS.

    Returns:
        (2, samples), and by how many dB it has been raised for that.

    Raises:
        InputError: not a readable recording, silent, or too short to have a loudness.
    """
    signal, rate_hz = read_stereo(path)
    if refusal := RECORDED_RATE_HZ.refusal([rate_hz]):
        raise InputError(f"{path}: sampling rate: {refusal}")
    signal = resample(signal, rate_hz, SAMPLE_RATE_HZ)
    if signal.shape[-1] < SHORTEST_LOUDNESS_S * SAMPLE_RATE_HZ:
        raise InputError(f"{path}: expected at least {SHORTEST_LOUDNESS_S:g} s")
    lufs = loudness_lufs(signal, SAMPLE_RATE_HZ)
    if not math.isfinite(lufs):
        raise InputError(f"{path}: silent, or too soft to have a loudness")
    raised_db = EXPECTED_LUFS - lufs
    return (signal * 10 ** (raised_db / 20)).astype(np.float32), raised_db


def loudest_second_db(signal: NDArray[np.floating], sample_rate_hz: int) -> float:
    """Highest mean power of one second, over all channels, in dB re full scale.

    Args:
        signal: (channels, samples); the whole of it where it is shorter.
        sample_rate_hz: its sampling rate.

    Returns:
        minus infinity for silence.
    """
    tenth, samples = sample_rate_hz // 10, signal.shape[-1]
    energies = [
        float(np.sum(np.square(signal[:, start : start + tenth], dtype=np.float64)))
        for start in range(0, samples, tenth)
    ]
    loudest = np.convolve(energies, np.ones(10)).max()
    power = loudest / (len(signal) * min(samples, 10 * tenth))
    return 10 * math.log10(power) if power else -math.inf


def make_scene(path: Path, players: Sequence[str], gains_db: Sequence[float]) -> Scene:
    """A recording with a gain for each player.

    Args:
        path: of the recording.
        players: instruments in any case; one that is named twice has two players.
        gains_db: as many, within the limits of the metadata; minus infinity mutes.

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
    if refusal := PLAYER_GAIN_DB.refusal(gain for gain in gains_db if gain != -math.inf):
        problems.append(f"--gains: {refusal}; -inf mutes a player")
    elif gains_db and all_muted(gains_db):
        problems.append(
            f"--gains: every player is muted ({MUTED_DB:g} dB or less), "
            "expected a player who can be heard"
        )
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

        def report(samples: int) -> None:
            bar.update(min(round(samples / SAMPLE_RATE_HZ), bar.total - bar.n))

        return InBlocks(separator, report).separate(mixture, track.sources)


def listen(
    mixture: NDArray[np.float32], scene: Scene, listener: Listener, separator: Separator
) -> NDArray[np.float64]:
    """What the listener gets: (2, samples), the mixture (2, samples) at -40 LUFS.

    Raises:
        InputError: weights are missing.
        FloatingPointError: an estimate is not finite.
    """
    stems = separate(separator, mixture, scene.track)
    remix = rebalance(mixture, stems, scene, ConsistentRemix())
    return CHALLENGE_HEARING_AID(_limited(remix), listener)


def _limited(remix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Attenuate a remix (2, samples) that is louder than the hearing aid can be given.

    The level factor keeps the power of the players who are named. Where these are all made softer,
    it would raise everybody else by as much.
    """
    excess_db = loudness_lufs(remix, SAMPLE_RATE_HZ) - EXPECTED_LUFS - HEADROOM_DB
    return remix * 10 ** (-excess_db / 20) if excess_db > 0 else remix


class _Parser(argparse.ArgumentParser):
    """Takes for a value, not for an option, whatever Python reads as a number: -inf, -.5, -1e4.

    argparse itself knows digits alone.
    """

    def _parse_optional(self, arg_string: str) -> Any:
        try:
            float(arg_string)
        except ValueError:
            return super()._parse_optional(arg_string)
        return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 2 for input that cannot be used."""
    parser = _Parser(
        prog="python -m cmss.listen",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("mixture", type=Path, help="a recording: WAV, FLAC, ...")
    parser.add_argument("--instruments", nargs="+", required=True, metavar="NAME",
        help=f"who plays: {', '.join(INSTRUMENTS)}")  # fmt: skip
    parser.add_argument("--gains", nargs="+", type=float, required=True, metavar="DB",
        help="one for each instrument; -inf mutes")  # fmt: skip
    parser.add_argument("--audiogram", type=Path, required=True, metavar="FILE", help="JSON")
    parser.add_argument("--listener", metavar="ID", help="which of several in that file")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE.flac")
    options = parser.parse_args(arguments)
    return exit_status(lambda: _listen_to_files(options))


def _listen_to_files(options: argparse.Namespace) -> str:
    """Read, listen, write; says where, how loud it is, and how many samples were clipped."""
    out, picture = options.out, options.out.with_suffix(".png")
    inputs = (options.mixture, options.audiogram)
    problems: list[str] = []
    with noting(problems):
        check_output_file(out, "-o", ".flac", inputs)
        check_output_file(picture, "-o (the picture beside it)", inputs=inputs)
    with noting(problems):
        listener = make_listener(options.audiogram, options.listener)
    with noting(problems):
        scene = make_scene(options.mixture, options.instruments, options.gains)
    with noting(problems):
        mixture, raised_db = read_mixture(options.mixture)
    if problems:
        raise InputError(problems)
    for warning in unusual_hearing([listener]):
        print(one_line(warning), file=sys.stderr)
    ears = listen(mixture, scene, listener, build_separator(SEPARATOR, SAMPLE_RATE_HZ))
    clipped = write_flac(out, ears, SAMPLE_RATE_HZ)
    np.clip(ears, -1, 1, out=ears)
    recorded_db = loudest_second_db(mixture, SAMPLE_RATE_HZ) - raised_db
    rise_db = loudest_second_db(ears, SAMPLE_RATE_HZ) - recorded_db
    written = (
        f"{out}: its loudest second is {_apart(rise_db)} that of {options.mixture} as recorded, "
        f"{clipped} samples clipped"
    )
    if rise_db > LOUD_RISE_DB:
        print(f"{out}: turn the volume down before you play it", file=sys.stderr)
    try:
        with atomic_file(picture) as temporary:
            temporary.write_bytes(png(before_and_after(mixture, ears, SAMPLE_RATE_HZ, listener)))
    except OSError:
        # The result of a long separation is there; only its picture is not.
        print(one_line(written), file=sys.stderr)
        raise
    return f"{written}; {picture}: before and after"


def _apart(rise_db: float) -> str:
    if rise_db == -math.inf:
        return "silent, below"
    return f"{abs(rise_db):.1f} dB {'above' if rise_db >= 0 else 'below'}"


if __name__ == "__main__":
    sys.exit(main())
