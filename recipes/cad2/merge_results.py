"""Join the scores, build what is handed in: python recipes/cad2/merge_results.py."""

import sys
from functools import partial
from pathlib import Path

import hydra
from omegaconf import DictConfig

from cmss.configuration import chosen_pairs
from cmss.results import format_summary, merge
from cmss.run_folder import PROVENANCE, continued_configuration
from cmss.stage import overrides, progress, refuse_official_keys, stage
from cmss.submission import build_submission


@hydra.main(config_path="conf", config_name="config", version_base=None)
@stage
def main(config: DictConfig) -> None:
    """Take up the configuration of enhance.py, join the shards, build folder and archive."""
    config = continued_configuration(config, overrides())
    pairs = chosen_pairs(config)
    folder = Path(config.path.exp_folder)
    summary = merge(folder, pairs, config.evaluate.batch_size)
    submission = build_submission(
        folder,
        pairs,
        config.submission.team,
        config.separator.causality,
        folder / PROVENANCE,
        config.submission.supplement,
        config.input_sample_rate,
        partial(progress, desc="submission"),
    )
    print(format_summary(summary))
    print(f"submission folder: {submission.folder}\narchive: {submission.archive}")


if __name__ == "__main__":
    refuse_official_keys(sys.argv[1:])
    main()
