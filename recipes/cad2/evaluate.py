"""Score the enhanced signals by HAAQI: python recipes/cad2/evaluate.py [path.exp_folder=exp]."""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from cmss.configuration import build_hearing_aid, own_pairs
from cmss.results import ComponentRow, ScoreFiles, ScoreRow
from cmss.run_folder import continued_configuration
from cmss.scoring import FileScorer, Scorer, check_files, score_files
from cmss.stage import overrides, progress, refuse_official_keys, stage


@hydra.main(config_path="conf", config_name="config", version_base=None)
@stage
def main(config: DictConfig) -> None:
    """Take up the configuration of enhance.py, score each pair, write a row at a time."""
    config = continued_configuration(config, overrides())
    pairs = own_pairs(config)
    folder = Path(config.path.exp_folder)
    check_files(folder, pairs)
    scorer = Scorer(
        build_hearing_aid(config), config.HAAQI_sample_rate, config.evaluate.set_random_seed
    )
    scores = score_files(
        FileScorer(scorer, folder, config.remix_sample_rate), pairs, config.evaluate.jobs
    )
    batch, batch_size = config.evaluate.batch, config.evaluate.batch_size
    results = ScoreFiles(folder, batch, batch_size, resume=False)
    bar = progress(total=len(pairs), desc="evaluate")
    for pair, (left, right, clipped) in zip(pairs, scores, strict=True):
        row = ScoreRow.of(pair, left.score, right.score)
        results.append(row, ComponentRow.of(pair, left, right, clipped))
        bar.set_postfix(mean=f"{results.mean():.4f}", refresh=False)
        bar.update()
    bar.close()
    print(f"{len(pairs)} pairs scored in {folder}, mean HAAQI {results.mean():.4f}")


if __name__ == "__main__":
    refuse_official_keys(sys.argv[1:])
    main()
