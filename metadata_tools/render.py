"""Render a data set in the challenge's layout from recorded notes and scores of chamber music.

    python -m metadata_tools.render --notes NOTES --scores SCORES --out OUT --seed 1

NOTES is a folder of recorded single notes with a notes.csv; --notes accepts several folders. SCORES
is a folder of MusicXML files. The works and the notes of the test split are unseen in training.
Works that match --test-works are used for the split test, works that match --valid-works are used
for valid, and all other works are used for train. By default, every fourth recorded pitch is used
for test only (--holdout-notes). One call can render several splits (--train-tracks, --valid-tracks,
--test-tracks). By default, a call renders a test set of 8 tracks of 15 s for two to five players,
with 32 pairs of scene and listener.

The same seed always gives the same files; the number of processes has no effect on the files.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cmss.command_line import exit_status, one_line
from cmss.errors import InputError
from cmss.machine.processor import cores
from cmss.rendering.arrange import give_parts, instrument_of, playable_range
from cmss.rendering.held_out import HELD_OUT_EVERY, TEST_WORKS, VALID_WORKS
from cmss.rendering.musicxml import read_score
from cmss.rendering.notation import Note, Part, Score, activity, cut, performed
from cmss.rendering.notes import hold_out, merged, read_bank
from metadata_tools.challenge.writer import (
    SAMPLE_RATE_HZ,
    MadeTrack,
    check_free,
    new_dataset,
    write_metadata,
    write_track,
)
from metadata_tools.inputs.options import (
    LONGEST_S,
    at_least,
    check_outside,
    command_parser,
    to_path,
)
from metadata_tools.rendering.parallel import in_parallel
from metadata_tools.rendering.plan import Job, plan
from metadata_tools.rendering.room import place
from metadata_tools.rendering.sampler import Sampler, random_player

_samplers: dict[tuple[tuple[Path, ...], int, bool], Sampler] = {}


def render(
    jobs: Sequence[Job], root: Path, options: argparse.Namespace, processes: int
) -> list[MadeTrack]:
    """Render all tracks to folders in `root`, and return the tracks in the order of the jobs."""
    # One process renders all tracks of a work, so that it reads the scores of the work only once.
    by_work: dict[tuple[Path, ...], list[Job]] = {}
    for job in jobs:
        by_work.setdefault(job.scores, []).append(job)
    work = partial(
        render_work,
        notes=tuple(options.notes),
        root=root,
        duration_s=options.duration,
        holdout_notes=options.holdout_notes,
    )
    made: dict[tuple[str, str], MadeTrack] = {}
    with tqdm(total=len(jobs), unit="track", disable=None) as progress:
        for tracks, remarks in in_parallel(work, list(by_work.values()), processes):
            made.update({(track.split, track.name): track for track in tracks})
            progress.update(len(tracks))
            for remark in remarks:
                progress.write(f"render: {one_line(remark)}", file=sys.stderr)
    return [made[job.split, job.name] for job in jobs]


def render_work(
    jobs: Sequence[Job],
    notes: tuple[Path, ...],
    root: Path,
    duration_s: float,
    holdout_notes: int,
) -> tuple[list[MadeTrack], list[str]]:
    """Render all tracks of one work.

    Returns:
        The rendered tracks, and the remarks on the scores of the work.
    """
    scores = [read_score(path) for path in jobs[0].scores]
    samples = round(duration_s * SAMPLE_RATE_HZ)
    tracks = []
    for job in jobs:
        # Notes are decoded only once in each process; 349 notes take about 70 MB.
        key = (notes, holdout_notes, job.split == "test")
        if key not in _samplers:
            banks = (hold_out(read_bank(folder), holdout_notes, key[2]) for folder in notes)
            _samplers[key] = Sampler(merged(banks))
        sampler = _samplers[key]
        rng = np.random.default_rng(job.seed)
        parts = draw_excerpt(scores, job.labels, sampler, duration_s, rng)
        dry = {}
        for label in job.labels:
            instrument = instrument_of(label)
            player = random_player(instrument, sampler.bank[instrument], rng)
            dry[label] = sampler.play(instrument, parts[label], samples, rng, player)
        stems = place(dry, rng)
        tracks.append(write_track(root, job.split, job.name, stems, "RenderedNotes"))
    return tracks, [remark for score in scores for remark in score.remarks]


def draw_excerpt(
    scores: Sequence[Score],
    labels: Sequence[str],
    sampler: Sampler,
    duration_s: float,
    rng: np.random.Generator,
) -> dict[str, tuple[Note, ...]]:
    """Draw a passage in which all players have notes, at a tempo close to the tempo of the score.

    Up to 60 random passages are tried. The function returns the first passage in which each player
    plays for at least 60 % of the time. If there is no such passage, the function returns the
    passage in which the least active player plays for the longest time.

    Args:
        scores: scores of a work, from which the passage is drawn.
        labels: labels of the players.
        sampler: sampler whose bank has notes of all instruments in the ensemble.
        duration_s: duration of the passage in seconds.
        rng: random generator for the passage and its tempo.

    Returns:
        Dict from the label of each player to the notes of this player.

    Raises:
        InputError: the scores have no passage in which all players have notes.
    """
    instruments = {instrument_of(label) for label in labels}
    ranges = {
        name: playable_range(name, (note.midi for note in sampler.bank[name]))
        for name in instruments
    }
    # For the best passage so far: activity of the least active player, tempo, and parts of the
    # players.
    best: tuple[float, float, dict[str, Part]] = (0.0, 1.0, {})
    for _ in range(60):
        score = scores[int(rng.integers(len(scores)))]
        begin = float(np.floor(rng.uniform(0, max(1.0, score.length))))
        tempo = float(np.clip(score.tempo_at(begin) * rng.uniform(0.8, 1.15), 40, 180))
        length = duration_s * tempo / 60  # in quarter notes
        begin = min(begin, max(0.0, np.floor(score.length - length)))
        excerpt = [cut(part, begin, begin + length) for part in score.parts]
        parts = give_parts(excerpt, labels, ranges, rng)
        busy = min(activity(part, length) for part in parts.values())
        if busy > best[0]:
            best = (busy, tempo, parts)
        if busy >= 0.6:
            break
    if not best[2]:
        works = ", ".join(sorted({score.work for score in scores}))
        raise InputError(
            f"{works}: no passage of {duration_s:g} s in which {len(labels)} parts play"
        )
    return {label: performed(part, best[1]) for label, part in best[2].items()}


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser("render", __doc__)
    add = parser.add_argument
    count, some = at_least(0), at_least(1)
    data = Path("../shared/data")
    add(
        "--notes",
        type=to_path,
        nargs="+",
        default=[data / "notes"],
        metavar="DIR",
        help=f"folders of recorded notes; default: {data / 'notes'}",
    )
    add(
        "--scores",
        type=to_path,
        default=data / "scores",
        metavar="DIR",
        help="default: %(default)s",
    )
    add("--out", type=to_path, default=Path("data/rendered"), metavar="DIR",
        help="path of the new folder; default: %(default)s")  # fmt: skip
    add("--seed", type=at_least(0), default=1, metavar="N",
        help="seed of all random numbers; default: %(default)s")  # fmt: skip
    add("--train-tracks", type=count, default=0, metavar="N",
        help="number of training tracks; default: 0")  # fmt: skip
    add("--valid-tracks", type=count, default=0, metavar="N",
        help="number of validation tracks; default: 0")  # fmt: skip
    add("--test-tracks", type=count, metavar="N",
        help="number of test tracks; default: 8, or 0 if another split is rendered")  # fmt: skip
    add("--duration", type=at_least(1, float, LONGEST_S), default=15.0, metavar="SECONDS",
        help="duration of a track in seconds; default: %(default)g")  # fmt: skip
    add("--players", type=int, nargs="+", default=[2, 3, 4, 5], choices=[2, 3, 4, 5],
        help="numbers of players, used for the tracks in turn; default: 2 3 4 5")  # fmt: skip
    add("--doubled", type=at_least(0, float, 1), default=0.2, metavar="FRACTION",
        help="fraction of ensembles with a doubled instrument; default: %(default)g")  # fmt: skip
    add("--strings", action="store_true",
        help="only ensembles of strings; every second duet or trio, and every larger ensemble, has "
        "a doubled instrument, whatever --doubled is")  # fmt: skip
    add("--test-works", nargs="*", default=list(TEST_WORKS), metavar="PATTERN",
        help="patterns that name the works of the test split; default: Haydn")  # fmt: skip
    add("--valid-works", nargs="*", default=list(VALID_WORKS), metavar="PATTERN",
        help="patterns that name the works of the valid split; default: Saint-Georges")  # fmt: skip
    add("--exclude-works", nargs="*", default=[], metavar="PATTERN",
        help="patterns that name the works to leave out")  # fmt: skip
    add("--holdout-notes", type=count, default=HELD_OUT_EVERY, metavar="N",
        help="use every N-th recorded pitch for test only; 0 for no pitch; default: 4")  # fmt: skip
    add("--scenes-per-track", type=some, default=4, metavar="N",
        help="number of scenes of each track; default: 4")  # fmt: skip
    add("--listeners-per-scene", type=some, default=1, metavar="N",
        help="number of listeners of each scene; default: 1")  # fmt: skip
    add("--listeners", type=some, default=8, metavar="N",
        help="number of listeners of each split; default: 8")  # fmt: skip
    add("--jobs", type=some, default=cores(), metavar="N",
        help="number of processes; default: number of cores")  # fmt: skip
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status, which is 2 if the input cannot be used."""
    options = _parser().parse_args(arguments)
    if options.test_tracks is None:
        options.test_tracks = 0 if options.train_tracks or options.valid_tracks else 8

    def work() -> None:
        check_free(options.out)
        check_outside(options.out, [*options.notes, options.scores])
        jobs = plan(options)
        with new_dataset(options.out) as root:
            tracks = render(jobs, root, options, options.jobs)
            pairs = write_metadata(
                root,
                tracks,
                options.seed,
                options.scenes_per_track,
                options.listeners_per_scene,
                options.listeners,
            )
        print(f"{options.out}: {len(tracks)} tracks of {options.duration:g} s, {pairs} pairs")

    return exit_status(work, "render")


if __name__ == "__main__":
    sys.exit(main())
