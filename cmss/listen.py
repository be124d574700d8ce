"""Changes the balance of instruments in a recording, and amplifies it for a listener.

    python -m cmss.listen mixture.wav --instruments Violin Cello --gains 6 -3 \\
        --audiogram me.json -o out.flac

The recording may be mono or stereo, of any length and sampling rate. The loudness of the recording
is set to -40 LUFS, the level for which the hearing aid is designed. The recording is separated into
the stems of the instruments. The stems are remixed with the gains in dB, which are given in the
order of the instruments; a gain of -inf mutes an instrument. The remix is amplified for both ears.
The result, out.flac, is a stereo file at 44.1 kHz. The picture out.png shows the recording and the
result.

The audiogram is a JSON file with the challenge's keys:

    {"audiogram_cfs": [250, 500, 1000, 2000, 4000, 8000],
     "audiogram_levels_l": [20, 20, 30, 45, 60, 70],
     "audiogram_levels_r": [25, 20, 35, 45, 65, 70]}

The option --audiogram also accepts the challenge's listeners.json, from which --listener selects a
listener. An instrument that is named twice has two players. All other instruments in the recording
are not changed.
"""

import argparse
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmss.audio import (
    SHORTEST_LOUDNESS_S,
    Excerpt,
    loudness_of_pieces,
    resampled,
    resampled_length,
    stereo_pieces,
    write_flac_pieces,
)
from cmss.command_line import exit_status, one_line
from cmss.errors import InputError, noting
from cmss.files.atomic import atomic_file
from cmss.files.output_file import check_output_file
from cmss.hearing.hearing_aid import HearingAid
from cmss.hearing.prescription import compression_from_audiogram
from cmss.machine.pieces import Pieces, gathered, pieces
from cmss.quantities import MUTED_DB, PLAYER_GAIN_DB, RECORDED_RATE_HZ, all_muted
from cmss.remix import ConsistentRemix, Waveform, rebalance
from cmss.report.panels import before_and_after, png
from cmss.run.configuration import default_separator
from cmss.run.stage import progress
from cmss.scenes import (
    DOUBLED,
    EXPECTED_LUFS,
    INSTRUMENTS,
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
"""Largest difference in dB that is allowed between the level of a remix and the level for which the
hearing aid is designed. The levels of the challenge's mixtures may differ as much from it."""
SEPARATOR = default_separator()

CHALLENGE_HEARING_AID = HearingAid(
    crossover_frequencies=(353.55, 707.11, 1414.21, 2828.43, 5656.85),
    attack=(11, 11, 14, 13, 11, 11),
    release=(80, 80, 80, 80, 100, 100),
    threshold=-30,
    sample_rate_hz=SAMPLE_RATE_HZ,
)


def read_mixture(path: Path) -> tuple[NDArray[np.float32], float]:
    """Read a recording, and convert it to 44.1 kHz and -40 LUFS.

    Returns:
        The mixture (2, samples), and the gain in dB that was applied to the recording.

    Raises:
        InputError: the recording is unreadable, silent, or too short to measure its loudness.
    """
    with stereo_pieces(path) as (header, recorded):
        rate_hz = header.sample_rate_hz
        if refusal := RECORDED_RATE_HZ.refusal([rate_hz]):
            raise InputError(f"{path}: sampling rate: {refusal}")
        samples = resampled_length(header.samples, rate_hz, SAMPLE_RATE_HZ)
        # The mixture and the output are needed at the same time.
        mixture = gathered(resampled(recorded, rate_hz, SAMPLE_RATE_HZ), samples, arrays=2)
    if samples < SHORTEST_LOUDNESS_S * SAMPLE_RATE_HZ:
        raise InputError(f"{path}: too short, expected at least {SHORTEST_LOUDNESS_S:g} s")
    lufs = loudness_of_pieces(pieces(mixture), SAMPLE_RATE_HZ)
    if not math.isfinite(lufs):
        raise InputError(f"{path}: silent, or too soft to have a loudness")
    gain_db = EXPECTED_LUFS - lufs
    for piece in pieces(mixture):
        piece *= 10 ** (gain_db / 20)
    return mixture, gain_db


def loudest_second_db(signal: NDArray[np.floating], sample_rate_hz: int) -> float:
    """Return the level of the loudest second: mean power in dB relative to full scale.

    Args:
        signal: signal (channels, samples). The level of a signal shorter than a second is computed
            from the complete signal.
        sample_rate_hz: sampling rate of the signal.

    Returns:
        The level in dB; the level of silence is minus infinity.
    """
    tenth, samples = sample_rate_hz // 10, signal.shape[-1]
    energies = [
        float(np.sum(np.square(piece[:, start : start + tenth], dtype=np.float64)))
        for piece in pieces(signal, 100 * tenth)
        for start in range(0, piece.shape[-1], tenth)
    ]
    # Sum the energies of ten successive blocks of 0.1 s.
    loudest = np.convolve(energies, np.ones(10)).max()
    power = loudest / (len(signal) * min(samples, 10 * tenth))
    return 10 * math.log10(power) if power else -math.inf


def make_scene(path: Path, players: Sequence[str], gains_db: Sequence[float]) -> Scene:
    """Build a scene that consists of a recording and a gain for each player.

    Args:
        path: path of the recording.
        players: instrument of each player, in upper or lower case. The instrument of two players is
            named twice.
        gains_db: gain of each player in dB, within the limits of the metadata; minus infinity mutes
            the player.

    Raises:
        InputError: an instrument is unknown, a gain is out of range, or the number of gains differs
            from the number of players.
    """
    known = {name.lower(): name for name in INSTRUMENTS}
    problems = [
        f"--instruments: expected names from {', '.join(INSTRUMENTS)}, got {name!r}"
        for name in players
        if name.lower() not in known
    ]
    if len(gains_db) != len(players):
        problems.append(
            f"--gains: expected {len(players)}, one per instrument, got {len(gains_db)}"
        )
    if refusal := PLAYER_GAIN_DB.refusal(gain for gain in gains_db if gain != -math.inf):
        problems.append(f"--gains: {refusal}; -inf mutes a player")
    elif gains_db and all_muted(gains_db):
        problems.append(
            f"--gains: every player is muted ({MUTED_DB:g} dB or less), "
            "expected at least one audible player"
        )
    if problems:
        raise InputError(problems)
    instruments = [known[name.lower()] for name in players]
    recording = Excerpt(path, 0.0, math.inf)
    numbered = Counter[str]()
    sources = {}
    for number, instrument in enumerate(instruments, start=1):
        numbered[instrument] += 1
        # The challenge numbers the two players of the instruments that it doubles.
        two = instrument in DOUBLED and instruments.count(instrument) == 2
        key = f"source_{number}"
        part = numbered[instrument] if two else None
        sources[key] = Source(key, instrument, part, recording)
    gains = dict(zip(sources, gains_db, strict=True))
    return Scene("S0", Track(path.name, sources, recording), gains)


def make_listener(path: Path, name: str | None = None) -> Listener:
    """Read the audiograms of a listener, and compute the settings of the compressor of each ear.

    Raises:
        InputError: the file is unreadable, or its content is not as expected.
    """
    left, right = (
        Ear(ear, Compression(*compression_from_audiogram(ear.frequencies_hz, ear.levels_db)))
        for ear in load_audiograms(path, name)
    )
    return Listener(name or path.stem, left, right)


def separate(separator: Separator, mixture: NDArray[np.float32], track: Track) -> Stems:
    """Separate a mixture in blocks, with a progress bar; return a dict from source id to stem."""
    separator.prepare(track.sources.values())
    with progress(total=_seconds(mixture), unit="s", desc="separate") as bar:

        def report(samples: int) -> None:
            bar.update(min(round(samples / SAMPLE_RATE_HZ), bar.total - bar.n))

        return InBlocks(separator, report).separate(mixture, track.sources)


def listen(
    mixture: NDArray[np.float32], scene: Scene, listener: Listener, separator: Separator
) -> NDArray[np.float32]:
    """Separate, remix and amplify a recording for a listener.

    Everything after the separation works on pieces, so that memory does not grow with the length
    of the recording.

    Args:
        mixture: mixture (2, samples) with a loudness of -40 LUFS.
        scene: scene with the players and their gains.
        listener: listener with audiograms and compressors.
        separator: separator that estimates the stems.

    Returns:
        The enhanced signal (2, samples); the first channel is for the left ear.

    Raises:
        InputError: the weights of the separator are missing.
    """
    stems = separate(separator, mixture, scene.track)
    # In a first pass, the loudness of the remix is measured. The level factor keeps the total power
    # of the named players. If all named players have negative gains, the level factor amplifies the
    # other instruments, and the remix may become too loud for the hearing aid.
    lufs = loudness_of_pieces(remixed(mixture, stems, scene), SAMPLE_RATE_HZ)
    limit = 10 ** (min(0.0, EXPECTED_LUFS + HEADROOM_DB - lufs) / 20)
    remix = (limit * piece for piece in remixed(mixture, stems, scene))
    ears = CHALLENGE_HEARING_AID.in_pieces(remix, listener)
    with progress(total=_seconds(mixture), unit="s", desc="amplify") as bar:
        return gathered(_counted(ears, bar), mixture.shape[-1], arrays=2)


def _seconds(signal: NDArray[np.floating]) -> int:
    return round(signal.shape[-1] / SAMPLE_RATE_HZ)


def _counted(signal: Pieces, bar: Any) -> Iterator[NDArray[Any]]:
    """Yield the pieces of a signal, and count their seconds in a progress bar."""
    for piece in signal:
        yield piece
        bar.update(min(_seconds(piece), bar.total - bar.n))


def remixed(mixture: NDArray[np.float32], stems: Stems, scene: Scene) -> Iterator[Waveform]:
    """Remix a mixture (2, samples) with the gains of a scene, in pieces."""
    for piece, *estimates in zip(*map(pieces, (mixture, *stems.values())), strict=True):
        of_piece = dict(zip(stems, estimates, strict=True))
        yield rebalance(piece, of_piece, scene, ConsistentRemix())


class _Parser(argparse.ArgumentParser):
    """A command line parser that accepts every negative number, such as -inf, -.5 and -1e4.

    The parser of argparse mistakes some negative numbers for options.
    """

    def _parse_optional(self, arg_string: str) -> Any:
        try:
            float(arg_string)
        except ValueError:
            return super()._parse_optional(arg_string)
        return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program with a command line, and return the exit status."""
    parser = _Parser(
        prog="python -m cmss.listen",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("mixture", type=Path, help="path of the recording, such as a WAV file")
    parser.add_argument("--instruments", nargs="+", required=True, metavar="NAME",
        help=f"instruments of the players: {', '.join(INSTRUMENTS)}")  # fmt: skip
    parser.add_argument("--gains", nargs="+", type=float, required=True, metavar="DB",
        help="gain in dB of each instrument; -inf mutes the instrument")  # fmt: skip
    parser.add_argument("--audiogram", type=Path, required=True, metavar="FILE",
        help="path of the JSON file with the listener's audiograms")  # fmt: skip
    parser.add_argument("--listener", metavar="ID",
        help="id of the listener, if the file with the audiograms has several")  # fmt: skip
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE.flac")
    options = parser.parse_args(arguments)
    return exit_status(lambda: _listen_to_files(options))


def _listen_to_files(options: argparse.Namespace) -> str:
    """Enhance a recording, write the outputs, and return a line that describes the outputs."""
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
        mixture, gain_db = read_mixture(options.mixture)
    if problems:
        raise InputError(problems)
    for warning in unusual_hearing([listener]):
        print(one_line(warning), file=sys.stderr)
    ears = listen(mixture, scene, listener, build_separator(SEPARATOR, SAMPLE_RATE_HZ))
    clipped = write_flac_pieces(out, pieces(ears), 2, SAMPLE_RATE_HZ)
    for piece in pieces(ears):
        np.clip(piece, -1, 1, out=piece)
    recorded_db = loudest_second_db(mixture, SAMPLE_RATE_HZ) - gain_db
    rise_db = loudest_second_db(ears, SAMPLE_RATE_HZ) - recorded_db
    difference = f"{abs(rise_db):.1f} dB {'above' if rise_db >= 0 else 'below'}"
    if rise_db == -math.inf:
        difference = "silent, below"
    written = (
        f"{out}: its loudest second is {difference} that of {options.mixture} as recorded, "
        f"{clipped} samples clipped"
    )
    # If the result is more than 20 dB louder than the recording, it may be dangerous to play it
    # without turning the volume down.
    if rise_db > 20:
        print(f"{out}: turn the volume down before you play it", file=sys.stderr)
    try:
        with atomic_file(picture) as temporary:
            temporary.write_bytes(png(before_and_after(mixture, ears, SAMPLE_RATE_HZ, listener)))
    except OSError:
        # The sound has been written, and only the picture failed. Report the sound, because its
        # separation may have taken long.
        print(one_line(written), file=sys.stderr)
        raise
    return f"{written}; {picture}: before and after"


if __name__ == "__main__":
    sys.exit(main())
