"""Show in which estimates the sound of each player appears.

    python -m benchmarks.confusion EXP_FOLDER [EXP_FOLDER...]

Each EXP_FOLDER is the folder of a run of enhance.py with `stems=true`. For each second of a track,
a least-squares fit approximates each estimate by a weighted sum of the ground truth stems. The
weight of a player's stem in an estimate is called the gain of the player in this estimate. The gain
is the fraction of the player's sound that appears in the estimate. In a perfect separation, a
player has the gain 1 in the player's own estimate and the gain 0 in all other estimates. If the
estimates sum to the mixture, the gains of a player sum to 1. The mean over the seconds of a track
is weighted by the energy of the player. The mean over the tracks has equal weights.

The first table has a row for each run. The row shows the mean fraction of a player's sound that
appears in the player's own estimate, for each type of ensemble, for doubled players and for all
other players. A player is doubled if another player of the track has the same instrument. The other
tables show the results of the last run, with a row for each player and a column for each estimate.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.scored_runs import ENSEMBLES, markdown
from cmss.errors import InputError
from cmss.run.configuration import chosen_pairs
from cmss.run.folder import read_configuration
from cmss.run.kept_files import read_stems
from cmss.scenes import SoundFiles, Track, by_track

SECOND_S = 1.0
"""Length in seconds of the segments that are fitted separately."""


@dataclass(frozen=True)
class TrackParts:
    """Holds the fraction of each player's sound that appears in each estimate of a track.

    Args:
        ensemble: type of ensemble; see :class:`cmss.scenes.Track`.
        players: instrument of each player, followed by the number of the player if the instrument
            is doubled.
        doubled: whether the instrument of each player is doubled.
        parts: the fractions, an array of shape (players, estimates). Players and estimates have the
            order of `players`. The row of a silent player is NaN.
    """

    ensemble: str
    players: tuple[str, ...]
    doubled: tuple[bool, ...]
    parts: NDArray[np.float64]


def parts_in_estimates(
    true: NDArray[np.floating], estimates: NDArray[np.floating], second: int
) -> NDArray[np.float64]:
    """Return the fraction of each ground truth stem that appears in each estimate.

    Args:
        true: ground truth stems, an array of shape (sources, channels, samples).
        estimates: estimated stems, an array of shape (estimates, channels, samples).
        second: number of samples in a segment. Each segment is fitted separately. The last segment
            may have fewer samples.

    Returns:
        The fractions, an array of shape (sources, estimates). The row of a silent stem is NaN.
    """
    total = np.zeros((len(true), len(estimates)))
    energies = np.zeros(len(true))
    for start in range(0, true.shape[-1], second):
        span = slice(start, start + second)
        x = true[..., span].reshape(len(true), -1).astype(np.float64)  # (sources, values)
        y = estimates[..., span].reshape(len(estimates), -1).astype(np.float64)
        energy = np.sum(np.square(x), axis=1)
        # If two stems are equal in this second, the fit has no unique solution. Of all solutions,
        # lstsq returns the solution with the smallest norm, which gives both stems equal gains.
        gains = np.linalg.lstsq(x @ x.T, x @ y.T, rcond=1e-10)[0]  # (sources, estimates)
        total += energy[:, None] * gains
        energies += energy
    with np.errstate(invalid="ignore"):
        return total / energies[:, None]


def of_track(track: Track, folder: Path, sounds: SoundFiles) -> TrackParts:
    """Compare the estimated stems of a track with the ground truth stems.

    Raises:
        InputError: the run has not stored the stems of the track, or a file cannot be read.
    """
    stems = read_stems(folder, track, sounds)
    if stems.keys() != track.sources.keys():
        raise InputError(f"{folder}: no stems of {track.name}; run enhance.py with stems=true")
    sources = track.sources.values()
    true = np.stack([sounds.excerpt(source.excerpt) for source in sources])
    estimates = np.stack([stems[source.id] for source in sources])
    return TrackParts(
        track.ensemble,
        tuple(f"{source.instrument} {source.voice or ''}".strip() for source in sources),
        tuple(source.voice is not None for source in sources),
        parts_in_estimates(true, estimates, round(SECOND_S * sounds.sample_rate_hz)),
    )


def of_run(folder: Path) -> list[TrackParts]:
    """Compare the estimated stems of all tracks of a run with the ground truth stems.

    Raises:
        InputError: the folder contains no run with stored stems, or ground truth stems are missing.
    """
    config = read_configuration(folder)
    sounds = SoundFiles(config.input_sample_rate)
    tracks = [track for track, _ in by_track(chosen_pairs(config, sounds))]
    return [of_track(track, folder, sounds) for track in tracks]


def own_parts(tracks: Iterable[TrackParts]) -> dict[str, float]:
    """Return the mean fraction of a player's sound that appears in the player's own estimate.

    Returns:
        Dict from a group of players to the mean over the group. There is a group for the players of
        each type of ensemble (the keys of :data:`ENSEMBLES`), and there are two further groups,
        "doubled" and "not doubled".
    """
    found = defaultdict(list)
    for track in tracks:
        for doubled, part in zip(track.doubled, np.diag(track.parts), strict=True):
            found[track.ensemble].append(part)
            found["doubled" if doubled else "not doubled"].append(part)
    return {key: _mean(parts) for key, parts in found.items()}


def summary_table(runs: Mapping[str, Iterable[TrackParts]]) -> str:
    """Build a table with the results of :func:`own_parts`, with a row for each run."""
    own = {name: own_parts(tracks) for name, tracks in runs.items()}
    columns = [("run", list(own))]
    for key in (*ENSEMBLES, "doubled", "not doubled"):
        cells = [_percent(parts.get(key, np.nan)) for parts in own.values()]
        columns.append((ENSEMBLES.get(key, key), cells))
    return markdown(columns, texts=1)


def matrix_table(tracks: Iterable[TrackParts]) -> str:
    """Build a table with a row for each player and a column for each estimate."""
    found = defaultdict(list)
    for track in tracks:
        for player, parts in zip(track.players, track.parts, strict=True):
            for estimate, part in zip(track.players, parts, strict=True):
                found[player, estimate].append(part)
    players = sorted({player for player, _ in found})
    columns = [("player", players)]
    for estimate in players:
        cells = [_percent(_mean(found.get((player, estimate), []))) for player in players]
        columns.append((estimate, cells))
    return markdown(columns, texts=1)


def _mean(values: Sequence[float]) -> float:
    """Return the mean of all values that are not NaN. If there are no such values, return NaN."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else np.nan


def _percent(part: float) -> str:
    return "" if np.isnan(part) else f"{100 * part:z.0f} %"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.confusion",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="EXP_FOLDER",
        help="folder of a run of enhance.py with stems=true")  # fmt: skip
    options = parser.parse_args(arguments)
    try:
        runs = {str(folder): of_run(folder) for folder in options.folders}
    except (InputError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(summary_table(runs))
    last = runs[str(options.folders[-1])]
    for kind, name in ENSEMBLES.items():
        tracks = [track for track in last if track.ensemble == kind]
        if tracks:
            print(f"{name} ({len(tracks)} tracks of {options.folders[-1]}):\n")
            print(matrix_table(tracks))
    return 0


if __name__ == "__main__":
    sys.exit(main())
