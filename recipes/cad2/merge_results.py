"""Join the scores, build what is handed in and a page: python recipes/cad2/merge_results.py."""

import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import hydra
from omegaconf import DictConfig
from tqdm import tqdm

from cmss import stem_files
from cmss.audio import read_excerpt
from cmss.configuration import build_hearing_aid, chosen_pairs, reads_references
from cmss.enhanced_files import check_files
from cmss.fingerprint import of_enhanced, of_scores, of_stems
from cmss.overrides import overrides
from cmss.report import write_report, write_technical_report
from cmss.results import format_summary, merge
from cmss.results.separation import SeparationRow, measure, median_sdr, write_separation
from cmss.run_folder import PROVENANCE, continued_configuration, job
from cmss.scenes import Pair, by_track
from cmss.scoring import Scorer
from cmss.stage import progress, run, stage
from cmss.submission import build_submission


@hydra.main(config_path="conf", config_name="config", version_base=None)
@stage
def main(config: DictConfig) -> None:
    """Take up the configuration of enhance.py, join the shards, build archive and page."""
    config = continued_configuration(config, overrides())
    pairs = chosen_pairs(config)
    rate_hz = config.input_sample_rate
    with job(config, "merge_results") as folder:
        references = reads_references(config)
        check_files(folder, pairs, of_enhanced(pairs, rate_hz, references))
        scored, separation = config.references, list[SeparationRow]()
        summary = None
        if scored:
            inputs = of_scores(pairs, rate_hz, folder)
            summary = merge(folder, pairs, config.evaluate.batch_size, inputs)
        if scored and config.stems:
            separation = measure_stems(folder, pairs, rate_hz, references)
        submission = build_submission(
            folder,
            pairs,
            config.submission.team,
            config.separator.causality,
            folder / PROVENANCE,
            config.submission.supplement,
            rate_hz,
            partial(progress, desc="submission"),
            config.submission.part_mb,
        )
        provenance = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
        draft = write_technical_report(folder, submission.folder.name, provenance, summary)
        page = None
        if scored and config.report:
            page = write_report(
                folder,
                pairs,
                Scorer(build_hearing_aid(config)),
                [Path(other) for other in config.compare],
                partial(progress, desc="report"),
                config.stems,
            )
    if summary is not None:
        print(format_summary(summary))
    if separation:
        print(f"median SDR of {len(separation)} sources: {median_sdr(separation):.1f} dB")
    print(f"submission folder: {submission.folder}")
    for archive in submission.archives:
        print(f"archive: {archive}")
    print(f"draft of the technical report: {draft}")
    if page:
        print(f"report: {page}")


def measure_stems(
    folder: Path, pairs: Sequence[Pair], rate_hz: int, references: bool
) -> list[SeparationRow]:
    """SDR, SIR and SAR of the stems that the run has kept, into separation.csv."""
    tracks = [track for track, _ in by_track(pairs)]
    stem_files.check(folder, tracks, of_stems(tracks, rate_hz, references))
    rows: list[SeparationRow] = []
    for track in progress(tracks, desc="separation"):
        mixture = read_excerpt(track.mixture, rate_hz)
        found = measure(track, mixture, stem_files.kept(folder, track), rate_hz)
        for key in track.sources.keys() - {row.source for row in found}:
            tqdm.write(f"{track.name}: {key} is silent, not measured", file=sys.stderr)
        rows += found
    write_separation(folder, rows)
    return rows


if __name__ == "__main__":
    run(main)
