"""Changes the balance of instruments in recordings, and amplifies the result for a listener.

    python -m cmss.listen mixture.wav --instruments Violin Cello --gains 6 -3 \\
        --audiogram me.json -o out.flac

The recording may be mono or stereo, of any length and sampling rate. The recording is scaled to a
loudness of -40 LUFS, the level for which the hearing aid is designed. Then the recording is
separated into the stems of the instruments, and the stems are remixed with the given gains. The
gains are in dB and in the order of the instruments; a gain of -inf mutes an instrument. The remix
is amplified for both ears. If the program ffmpeg is installed, recordings may also be M4A, AAC, MP4
and other formats.

These files are written, in stereo at 44.1 kHz (Opus: 48 kHz):

    out.flac           the result; the suffix .flac, .wav, .mp3, .ogg or .opus chooses the format
    out_before.flac    the recording at the same loudness, for comparison
    out.png            picture of the recording and the result
    out_Violin.flac    with --stems: the estimated stem of each player, at the level of
                       out_before.flac

The result is written at a comfortable loudness: -23 LUFS, or less if a peak of a file would exceed
-1 dBTP. Therefore, no sample is clipped, and the loudness of the result does not depend on the
loudness of the recording.

For several recordings, or for a folder with recordings of the same players, -o is a folder:

    python -m cmss.listen takes/ --instruments Violin Cello --gains 6 -3 \\
        --audiogram 20,20,30,45,60,70 -o results --format mp3

With --page, a page for a browser is written: the file index.html in a folder. The page has a slider
for each player, a switch for the hearing aid, and functions for loops and exports. The browser
opens the page from disk, without a server. With --page, the options --gains and -o can be omitted:

    python -m cmss.listen mixture.wav --instruments Violin Cello --audiogram me.json --page mix

The page can export the gains as a JSON file. The option --gains accepts this file instead of
numbers.

An audiogram is given as six hearing levels in dB HL at 250, 500, 1000, 2000, 4000 and 8000 Hz for
both ears, or as a JSON file with the challenge's keys:

    {"audiogram_cfs": [250, 500, 1000, 2000, 4000, 8000],
     "audiogram_levels_l": [20, 20, 30, 45, 60, 70],
     "audiogram_levels_r": [25, 20, 35, 45, 65, 70]}

The option --audiogram also accepts the challenge's listeners.json, from which --listener selects a
listener. An instrument that is named twice has two players. All other instruments in the recording
are not changed.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cmss.audio import FORMATS
from cmss.command_line import exit_status, started_as
from cmss.scenes import INSTRUMENTS

QUALITIES = {
    "best": "the default ensemble, which closes 32 %% of the gap between the mixture and the true "
    "stems (SDR 5.6 dB) and takes less than 26 s for one minute of music on two fast cores",
    "fast": "the best single network, multichannel_unet, which closes 21 %% of the gap (SDR "
    "3.8 dB) and takes about 17 s",
}
"""Choices of --quality, with results from docs/results.md and docs/speed.md."""


class _Parser(argparse.ArgumentParser):
    """Parses a command line, and accepts every negative number, such as -inf, -.5 and -1e4.

    Lists of numbers, such as -5,0,10, are also accepted. The parser of argparse interprets some
    negative numbers as options.
    """

    def _parse_optional(self, arg_string: str) -> Any:
        try:
            [float(number) for number in arg_string.split(",")]
        except ValueError:
            return super()._parse_optional(arg_string)
        return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program with a command line, and return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    given = {"--gains": options.gains, "-o": options.out}
    missing = [option for option, value in given.items() if value is None]
    if missing and options.page is None:
        parser.error(f"without --page, these options are required: {', '.join(missing)}")

    def work() -> None:
        # Imported here, so that the help text appears at once.
        from cmss.listen.listening import listen

        listen(options)

    return exit_status(work)


def _gain(word: str) -> float | Path:
    """Return a gain in dB, or the path of a JSON file with gains."""
    if word.lower().endswith(".json"):
        return Path(word)
    try:
        return float(word)
    except ValueError as error:
        message = f"expected a number in dB or a file that ends in .json, got {word!r}"
        raise argparse.ArgumentTypeError(message) from error


def _parser() -> argparse.ArgumentParser:
    program = started_as("cmss.listen", "listen")
    parser = _Parser(
        prog=program,
        description=__doc__ and __doc__.replace("python -m cmss.listen", program),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recordings", type=Path, nargs="+", metavar="RECORDING",
        help="path of a recording; several paths; or a folder of recordings")  # fmt: skip
    parser.add_argument("--instruments", nargs="+", required=True, metavar="NAME",
        help=f"instruments of the players: {', '.join(INSTRUMENTS)}")  # fmt: skip
    parser.add_argument("--gains", nargs="+", type=_gain, metavar="DB|FILE",
        help="gain in dB of each instrument; -inf mutes the instrument; or the JSON file that a "
        "page has exported")  # fmt: skip
    parser.add_argument("--audiogram", required=True, metavar="FILE|LEVELS",
        help="path of a JSON file, or six levels such as 20,20,30,45,60,70")  # fmt: skip
    parser.add_argument("--listener", metavar="ID",
        help="id of the listener, if the file with the audiograms has several")  # fmt: skip
    parser.add_argument("-o", "--out", type=Path, metavar="FILE|FOLDER",
        help=f"file that ends in {', '.join(FORMATS)}; a folder for several recordings"
    )  # fmt: skip
    parser.add_argument("--page", type=Path, metavar="FOLDER",
        help="write index.html in this folder: a page to mix the players of a single recording, of "
        "at most 5 minutes, in a browser")  # fmt: skip
    parser.add_argument("--format", choices=[suffix[1:] for suffix in FORMATS],
        help="format of the files in a folder, flac by default")  # fmt: skip
    parser.add_argument("--subtype", choices=("16", "24", "float"),
        help="bits of a sample: 16 (default) or 24 for flac and wav, float for wav")  # fmt: skip
    parser.add_argument("--stems", action="store_true", help="also write the stem of each player")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--quality", choices=list(QUALITIES), default="best",
        help="; ".join(f"{name}: {text}" for name, text in QUALITIES.items()))  # fmt: skip
    chosen.add_argument("--separator", metavar="NAME",
        help="another separator, such as htdemucs or nmf, instead of --quality")  # fmt: skip
    parser.add_argument("--keep", type=Path, metavar="FOLDER",
        help="keep the stems in this folder; another call with other gains, another audiogram or "
        "another output then reads the stems (21 MB for each player and minute)")  # fmt: skip
    return parser
