"""SDR, SIR and SAR of what the separator of a run estimates, source by source.

    python -m benchmarks.separation exp/passthrough exp/default

Each folder is a run of enhance.py. Its tracks are separated anew, with the configuration that it
has kept, and compared with the true stems; separation.csv in the folder receives a row for each
source, from which `benchmarks.systems` takes its column SDR. The passthrough separator, which gives
no stems, is judged by the mixture in place of each: what there is before anything is separated.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmss.audio import read_excerpt
from cmss.bss_eval import bss_eval
from cmss.configuration import chosen_pairs, kept_configuration, plain
from cmss.errors import InputError
from cmss.pipeline import load_networks, separate_track
from cmss.results.separation import SeparationRow, median_sdr, write_separation
from cmss.scenes import Track, by_track
from cmss.separators import build_separator
from cmss.stage import progress


def measure(folder: Path) -> list[SeparationRow]:
    """Separate the tracks of a run and compare; sources that are silent are named on stderr.

    Raises:
        InputError: not a run, or its data or weights are not there any more.
    """
    config = kept_configuration(folder)
    pairs = chosen_pairs(config)
    separator = build_separator(plain(config.separator), config.input_sample_rate)
    load_networks(separator, pairs)
    rows: list[SeparationRow] = []
    for track, _ in progress(by_track(pairs), desc=str(folder)):
        mixture, stems = separate_track(separator, track)
        found = list(rows_of(track, mixture, stems, config.input_sample_rate))
        for key in track.sources.keys() - {row.source for row in found}:
            print(f"{track.name}: {key} is silent, left out", file=sys.stderr)
        rows += found
    return rows


def rows_of(
    track: Track,
    mixture: NDArray[np.float32],
    stems: Mapping[str, NDArray[np.float32]],
    sample_rate_hz: int,
) -> Iterator[SeparationRow]:
    """The row of each source of a track that is not silent.

    Args:
        track: its sources say where the true stems lie.
        mixture: (2, samples).
        stems: estimates by source id, or none at all.
        sample_rate_hz: of all signals.
    """
    references = {
        key: read_excerpt(source.excerpt, sample_rate_hz) for key, source in track.sources.items()
    }
    ratios = bss_eval(references, stems or dict.fromkeys(references, mixture), sample_rate_hz)
    for key, ratio in ratios.items():
        instrument = track.sources[key].instrument
        yield SeparationRow(track.name, key, instrument, ratio.sdr, ratio.sir, ratio.sar)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.separation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="EXP_FOLDER")
    options = parser.parse_args(arguments)
    try:
        for folder in options.folders:
            rows = measure(folder)
            write_separation(folder, rows)
            print(f"{folder}: {len(rows)} sources, median SDR {median_sdr(rows):.1f} dB")
    except (InputError, OSError, FloatingPointError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
