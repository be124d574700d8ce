"""Implements the steps of the programs enhance.py, evaluate.py and merge_results.py.

    mixture = sounds.excerpt(track.mixture)
    stems = separator.separate(mixture, track.sources)           once per track
    ears = hearing_aid(rebalance(mixture, stems, scene, remix), listener)

All signals have the shape (2, samples), and the first channel is the left ear. :func:`enhance_run`
writes an enhanced file for each pair of scene and listener. :func:`score_run` compares these files
with the ground truth stems. :func:`merge_run` merges the scores and packs the submission. Each of
these functions checks all inputs before it starts. If an earlier call was interrupted, the function
continues the work of the earlier call.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cmss.audio import resample, write_flac
from cmss.errors import IncompleteError, noting
from cmss.fingerprint import of_enhanced, of_scores, of_stems
from cmss.hearing.hearing_aid import HearingAid
from cmss.remix import Remix, Waveform, rebalance
from cmss.results.rows import ComponentRow, FingerprintRow, ScoreRow
from cmss.results.score_files import ScoreFiles
from cmss.results.separation import SeparationRow, measure, write_separation
from cmss.run import enhancing
from cmss.run.enhancing import EnhanceSettings
from cmss.run.folder import PROVENANCE
from cmss.run.kept_files import enhanced_files, keep_stems, read_stems, stem_files
from cmss.run.scoring import FileScorer, Scorer, ScoreSettings, score_files, with_references
from cmss.run.submission import Packing, Submission, build_submission
from cmss.scenes import Listener, Pair, Scene, SoundFiles, Track, by_track
from cmss.separators import Separator, Stems
from cmss.separators.preparing import load_networks

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[..., Any]
"""Type of a progress bar with the interface of tqdm."""
Warn = Callable[[str], object]
"""Type of a function that prints a line above a progress bar."""


@dataclass(frozen=True)
class System:
    """A complete system for the challenge: separator, remix and hearing aid.

    Args:
        separator: separator that estimates the stems of the mixture.
        remix: method that remixes the mixture with the gains of the scene.
        hearing_aid: hearing aid that amplifies the remix for the listener.
    """

    separator: Separator
    remix: Remix
    hearing_aid: HearingAid


def separate_track(separator: Separator, track: Track, mixture: NDArray[np.float32]) -> Stems:
    """Estimate the stems of a track, and return a dict from source id to stem (2, samples).

    Raises:
        FloatingPointError: an estimated stem has values that are not finite.
    """
    stems = separator.separate(mixture, track.sources)
    for source_id, stem in stems.items():
        if not np.isfinite(stem).all():
            raise FloatingPointError(f"{track.name}: the estimate of {source_id} is not finite")
    return stems


def enhance_scene(
    system: System, mixture: NDArray[np.float32], stems: Stems, scene: Scene, listener: Listener
) -> Waveform:
    """Remix a mixture for the scene, and amplify the remix (2, samples) for the listener."""
    return system.hearing_aid(rebalance(mixture, stems, scene, system.remix), listener)


# enhance.py


@dataclass
class EnhanceResult:
    """Holds the number of clipped samples and the computing times of :func:`enhance_run`."""

    pairs: int
    clipped: int = 0  # number of clipped samples
    separation_s: float = 0.0  # computing time of the separation
    separated_s: float = 0.0  # duration of the separated music
    hearing_aid_s: float = 0.0  # computing time of remix and hearing aid
    enhanced_s: float = 0.0  # duration of the enhanced music, over all listeners


def enhance_run(
    folder: Path,
    pairs: Sequence[Pair],
    system: System,
    sounds: SoundFiles,
    settings: EnhanceSettings,
    begin: Callable[[], object],
    progress: Progress,
    warn: Warn,
) -> EnhanceResult:
    """Write the missing enhanced files of a run; separate each track only once.

    Args:
        folder: the folder of the run.
        pairs: pairs of scene and listener that this job enhances.
        system: system that enhances the mixtures.
        sounds: cache that reads the mixtures.
        settings: settings of the enhanced files.
        begin: function that is called after all checks, before the first file is written.
        progress: progress bar that counts the pairs.
        warn: function that prints a warning about an unusual input.

    Raises:
        InputError: an input is missing or unreadable, or a file in the folder was produced with
            different inputs or settings.
        IncompleteError: some pairs could not be enhanced; all other pairs were enhanced.
    """
    weights = load_networks(system.separator, pairs)
    plan = enhancing.plan(folder, pairs, sounds, settings, weights)
    for warning in plan.warnings(sounds):
        warn(warning)
    begin()
    done, problems = EnhanceResult(plan.number_of_pairs), list[str]()
    with progress(total=len(pairs), initial=len(pairs) - done.pairs, desc="enhance") as bar:
        for track in plan.tracks:
            with noting(problems):
                mixture = sounds.excerpt(track.mixture)
                sounds.release(track.mixture)
                seconds = mixture.shape[-1] / sounds.sample_rate_hz
                began = perf_counter()
                stems = separate_track(system.separator, track, mixture)
                done.separation_s += perf_counter() - began
                done.separated_s += seconds
                if stem_print := plan.stem_prints.get(track.name):
                    keep_stems(folder, track, stems, sounds.sample_rate_hz, stem_print)
                for pair in plan.pairs.get(track.name, ()):
                    with noting(problems):
                        began = perf_counter()
                        ears = enhance_scene(system, mixture, stems, pair.scene, pair.listener)
                        done.hearing_aid_s += perf_counter() - began
                        done.enhanced_s += seconds
                        signal = resample(ears, sounds.sample_rate_hz, settings.rate_hz)
                        path, comment = folder / pair.enhanced_file, plan.prints[pair.name]
                        done.clipped += write_flac(
                            path, signal, settings.rate_hz, settings.soft_clip, comment
                        )
                    bar.update()
    if problems:
        raise IncompleteError(problems)
    return done


# evaluate.py


@dataclass(frozen=True)
class ScoreResult:
    """Holds the number of pairs that this call has scored, and the mean HAAQI of all pairs."""

    pairs: int
    mean: float


def score_run(
    folder: Path,
    pairs: Sequence[Pair],
    scorer: FileScorer,
    sounds: SoundFiles,
    settings: ScoreSettings,
    progress: Progress,
) -> ScoreResult:
    """Score the pairs that have no score yet; write each score before the next pair is scored.

    Args:
        folder: the folder of the run.
        pairs: pairs of scene and listener that this job scores.
        scorer: scorer that scores an enhanced file.
        sounds: cache that reads the ground truth stems.
        settings: index of this job, and settings that affect the scores.
        progress: progress bar that counts the pairs.

    Raises:
        InputError: enhanced files are missing, or results were produced with different settings.
        IncompleteError: some pairs could not be scored; all other pairs were scored.
        ChildProcessError: a worker process was killed.
    """
    inputs = of_enhanced(pairs, sounds, settings.references)
    enhanced_files(folder, pairs, sounds, digest=True).check(inputs)
    prints = of_scores(pairs, sounds, folder, settings.score_settings)
    results = ScoreFiles(folder, prints, settings.batch, settings.batch_size, settings.on_change)
    todo = [pair for pair in pairs if not results.has(pair)]
    work = with_references(scorer.scorer, todo, sounds)
    problems: list[str] = []
    with progress(total=len(pairs), initial=len(pairs) - len(todo), desc="evaluate") as bar:
        for pair, score in score_files(scorer, work, min(settings.jobs, len(todo))):
            with noting(problems):
                left, right, clipped = score()
                results.append(
                    ScoreRow.of(pair, left.score, right.score),
                    ComponentRow.of(pair, left, right, clipped),
                    FingerprintRow.of(pair, prints[pair.name]),
                )
            bar.set_postfix(mean=f"{results.mean():.4f}", refresh=False)
            bar.update()
    results.put_in_order(pairs)
    if problems:
        raise IncompleteError(dict.fromkeys(problems))
    return ScoreResult(len(todo), results.mean())


# merge_results.py


@dataclass(frozen=True)
class MergeSettings:
    """Holds the settings of :func:`merge_run`.

    Args:
        batch_size: number of jobs that scored the run, as in the setting `evaluate.batch_size`;
            None if the run was not scored.
        references: whether the separator reads the ground truth stems.
        stems: whether the run has stored the estimated stems, so that their SDR can be computed.
        report: scorer that computes the reference signals for the report; None if no report is
            written.
        compare: folders of other scored runs; the report compares this run with these runs.
        packing: settings of the submission's archive.
    """

    batch_size: int | None
    references: bool
    stems: bool
    report: Scorer | None
    compare: Sequence[Path]
    packing: Packing


@dataclass(frozen=True)
class MergeResult:
    """Holds the outputs of :func:`merge_run`; an output that was not requested is None or empty."""

    summary: "pd.DataFrame | None"
    separation: Sequence[SeparationRow]
    submission: Submission
    draft: Path
    page: Path | None


def merge_run(
    folder: Path,
    pairs: Sequence[Pair],
    sounds: SoundFiles,
    settings: MergeSettings,
    progress: Progress,
    warn: Warn,
) -> MergeResult:
    """Merge the scores of all jobs, compute SDR, pack the submission and write the report.

    Args:
        folder: the folder of the run.
        pairs: pairs of scene and listener of all jobs.
        sounds: cache that reads the sound files.
        settings: settings that select the outputs.
        progress: progress bar that counts tracks and pairs.
        warn: function that prints a warning for each stem whose SDR cannot be measured.

    Raises:
        InputError: results are missing or damaged, or were produced with different inputs or
            settings.
    """
    # These modules import matplotlib and pandas, which the other programs do not need.
    from cmss.report import write_report, write_technical_report
    from cmss.results.merging import merge

    inputs = of_enhanced(pairs, sounds, settings.references)
    enhanced_files(folder, pairs, sounds, digest=True).check(inputs)
    summary, separation = None, list[SeparationRow]()
    if settings.batch_size is not None:
        summary = merge(folder, pairs, settings.batch_size, of_scores(pairs, sounds, folder))
        if settings.stems:
            tracks = [track for track, _ in by_track(pairs)]
            stem_files(folder, tracks).check(of_stems(tracks, sounds, settings.references))
            for track in progress(tracks, desc="separation"):
                found = measure(track, read_stems(folder, track, sounds), sounds)
                for key in track.sources.keys() - {row.source for row in found}:
                    warn(f"{track.name}: {key} is silent, not measured")
                separation += found
            write_separation(folder, separation)
    provenance = folder / PROVENANCE
    submission = build_submission(
        folder, pairs, settings.packing, provenance, sounds, partial(progress, desc="submission")
    )
    made_with = json.loads(provenance.read_text(encoding="utf-8"))
    draft = write_technical_report(folder, submission.folder.name, made_with, summary)
    page = None
    if settings.report and summary is not None:
        bar = partial(progress, desc="report")
        page = write_report(
            folder, pairs, settings.report, settings.compare, bar, settings.stems, sounds
        )
    return MergeResult(summary, separation, submission, draft, page)
