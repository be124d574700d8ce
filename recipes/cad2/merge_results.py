"""Join the scores, build what is handed in: python recipes/cad2/merge_results.py."""

from functools import partial

import hydra
from omegaconf import DictConfig

from cmss.configuration import chosen_pairs, reads_references
from cmss.enhanced_files import check_files
from cmss.fingerprint import of_enhanced, of_scores
from cmss.results import format_summary, merge
from cmss.run_folder import PROVENANCE, continued_configuration, job
from cmss.stage import overrides, progress, run, stage
from cmss.submission import build_submission


@hydra.main(config_path="conf", config_name="config", version_base=None)
@stage
def main(config: DictConfig) -> None:
    """Take up the configuration of enhance.py, join the shards, build folder and archive."""
    config = continued_configuration(config, overrides())
    pairs = chosen_pairs(config)
    rate_hz = config.input_sample_rate
    with job(config, "merge_results") as folder:
        check_files(folder, pairs, of_enhanced(pairs, rate_hz, reads_references(config)))
        inputs = of_scores(pairs, rate_hz, folder)
        summary = merge(folder, pairs, config.evaluate.batch_size, inputs)
        submission = build_submission(
            folder,
            pairs,
            config.submission.team,
            config.separator.causality,
            folder / PROVENANCE,
            config.submission.supplement,
            rate_hz,
            partial(progress, desc="submission"),
        )
    print(format_summary(summary))
    print(f"submission folder: {submission.folder}\narchive: {submission.archive}")


if __name__ == "__main__":
    run(main)
