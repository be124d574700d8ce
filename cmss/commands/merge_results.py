"""Implements `cmss merge`: merges the scores, and builds the submission and the report."""

from pathlib import Path

from omegaconf import DictConfig

from cmss.pipeline import MergeSettings, merge_run
from cmss.results.merging import format_summary
from cmss.results.separation import median_sdr
from cmss.run.configuration import build_hearing_aid, chosen_pairs, reads_references
from cmss.run.folder import continued_configuration, job
from cmss.run.overrides import overrides
from cmss.run.scoring import Scorer
from cmss.run.stage import progress, stage, warn
from cmss.run.submission import Packing
from cmss.scenes import SoundFiles


@stage
def main(config: DictConfig) -> None:
    """Read the configuration of the run, merge the scores, and build the archive and the report."""
    config = continued_configuration(config, overrides())
    scored = config.references
    sounds = SoundFiles(config.input_sample_rate, digests="all")
    pairs = chosen_pairs(config, sounds)
    settings = MergeSettings(
        batch_size=config.evaluate.batch_size if scored else None,
        references=reads_references(config),
        stems=config.stems,
        report=Scorer(build_hearing_aid(config)) if scored and config.report else None,
        compare=[Path(other) for other in config.compare],
        packing=Packing(
            config.submission.team,
            config.separator.causality,
            config.submission.supplement,
            config.submission.part_mb,
        ),
    )
    with job(config, "merge_results") as folder:
        merged = merge_run(folder, pairs, sounds, settings, progress, warn)
    if merged.summary is not None:
        print(format_summary(merged.summary))
    if merged.separation:
        sdr = median_sdr(merged.separation)
        print(f"median SDR of {len(merged.separation)} sources: {sdr:.1f} dB")
    print(f"submission folder: {merged.submission.folder}")
    for archive in merged.submission.archives:
        print(f"archive: {archive}")
    print(f"draft of the technical report: {merged.draft}")
    if merged.page:
        print(f"report: {merged.page}")
