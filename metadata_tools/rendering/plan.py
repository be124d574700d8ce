"""Plans a rendering by drawing the works, ensembles and seeds of all tracks."""

import argparse
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cmss.errors import InputError
from cmss.rendering.arrange import draw_ensembles, draw_string_ensembles, playable_range
from cmss.rendering.held_out import kept_pitches, matches
from cmss.rendering.musicxml import find_scores
from cmss.rendering.notes import read_notes_csv
from cmss.scenes import STRINGS
from metadata_tools.challenge.writer import SPLITS, check_ids_suffice, slug
from metadata_tools.inputs.options import split_of


@dataclass(frozen=True)
class Job:
    """Describes a track to render.

    Args:
        split: split of the track.
        name: name of the track.
        scores: score files of the work from which the track is rendered.
        labels: labels of the players.
        seed: seed of all random numbers in the rendering of the track.
    """

    split: str
    name: str
    scores: tuple[Path, ...]
    labels: tuple[str, ...]
    seed: tuple[int, ...]


def note_problems(
    pitches: Mapping[str, Sequence[Set[int]]], options: argparse.Namespace
) -> list[str]:
    """Return a line for each reason why the notes do not suffice to render the requested tracks.

    Args:
        pitches: dict from an instrument to the recorded pitches in each folder of notes.
        options: command-line options of `metadata_tools.render`.
    """
    where = ", ".join(str(folder / "notes.csv") for folder in options.notes)
    problems = []
    if options.strings:
        missing = [name for name in STRINGS if name not in pitches]
        problems += [f"{where}: no notes of {name}, expected with --strings" for name in missing]
    elif len(pitches) < max(options.players):
        problems.append(
            f"{where}: {len(pitches)} instruments, too few for {max(options.players)} players"
        )
    sides = {"test": options.test_tracks, "train": options.train_tracks + options.valid_tracks}
    for instrument, in_folders in pitches.items():
        recorded = set[int]().union(*in_folders)
        for side in (side for side, tracks in sides.items() if tracks):
            # Pitches are held out separately in each folder.
            kept = set[int]().union(
                *(kept_pitches(own, options.holdout_notes, side == "test") for own in in_folders)
            )
            low, high = playable_range(instrument, kept) if kept else (0, 0)
            if high - low < 12:
                problems.append(
                    f"{where}: {instrument}: {len(kept)} of {len(recorded)} pitches are left for "
                    f"{side}, less than an octave; see --holdout-notes"
                )
    return problems


def plan(options: argparse.Namespace) -> list[Job]:
    """Draw works, ensembles and seeds of all tracks.

    Args:
        options: command-line options of `metadata_tools.render`.

    Raises:
        InputError: a split has no works, there are too few notes or instruments, or a folder cannot
            be used.
    """
    wanted = {split: getattr(options, f"{split}_tracks") for split in SPLITS}
    check_ids_suffice(wanted, options.scenes_per_track, options.listeners)
    scores = {
        work: paths
        for work, paths in find_scores(options.scores).items()
        if not matches(work, options.exclude_works)
    }
    works: dict[str, list[str]] = {split: [] for split in SPLITS}
    for work in sorted(scores):
        works[split_of(work, options, "train")].append(work)
    pitches: dict[str, list[set[int]]] = {}
    for folder in options.notes:
        for instrument, rows in read_notes_csv(folder).items():
            own = {round(float(row["midi"])) for row in rows}
            pitches.setdefault(instrument, []).append(own)
    problems = [
        f"{options.scores}: no score for the {split} split; see --{split}-works"
        if split != "train"
        else f"{options.scores}: no score for the train split: all are in valid, test or excluded"
        for split, count in wanted.items()
        if count and not works[split]
    ]
    if not any(wanted.values()):
        problems.append("no tracks to render; see --train-tracks, --valid-tracks, --test-tracks")
    problems += note_problems(pitches, options)
    if problems:
        raise InputError(problems)
    jobs: list[Job] = []
    for index, split in enumerate(SPLITS):
        rng = np.random.default_rng([options.seed, 10, index])
        ensembles = (
            draw_string_ensembles(options.players, wanted[split], rng)
            if options.strings
            else draw_ensembles(
                sorted(pitches), options.players, wanted[split], options.doubled, rng
            )
        )
        order = [works[split][i] for i in rng.permutation(len(works[split]))]
        for number, labels in enumerate(ensembles):
            work = order[number % len(order)]
            jobs.append(
                Job(
                    split=split,
                    name=f"{slug(work)}_{number // len(order):03d}",
                    scores=tuple(scores[work]),
                    labels=labels,
                    seed=(options.seed, 11, index, number),
                )
            )
    return jobs
