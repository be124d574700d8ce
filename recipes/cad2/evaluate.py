"""Score the enhanced signals by HAAQI: python recipes/cad2/evaluate.py [path.exp_folder=exp]."""

import sys

import hydra
from omegaconf import DictConfig
from tqdm import tqdm

from cmss.configuration import build_hearing_aid, own_pairs, reads_references, scoring
from cmss.enhanced_files import check_files
from cmss.errors import IncompleteError, InputError, noting
from cmss.fingerprint import of_enhanced, of_scores
from cmss.overrides import overrides
from cmss.pipeline import level_warnings
from cmss.results import ComponentRow, FingerprintRow, ScoreFiles, ScoreRow
from cmss.run_folder import continued_configuration, job
from cmss.scenes import by_track
from cmss.scoring import FileScorer, Scorer, score_files
from cmss.stage import progress, run, stage


@hydra.main(config_path="conf", config_name="config", version_base=None)
@stage
def main(config: DictConfig) -> None:
    """Take up the configuration of enhance.py, score each pair that has no row yet."""
    config = continued_configuration(config, overrides())
    if not config.references:
        raise InputError("references: false, so there is nothing to score against")
    pairs = own_pairs(config)
    rate_hz = config.input_sample_rate
    batch, batch_size = config.evaluate.batch, config.evaluate.batch_size
    scorer = Scorer(
        build_hearing_aid(config), config.HAAQI_sample_rate, config.evaluate.set_random_seed
    )
    with job(config, "evaluate", batch, batch_size) as folder:
        check_files(folder, pairs, of_enhanced(pairs, rate_hz, reads_references(config)))
        prints = of_scores(pairs, rate_hz, folder, scoring(config))
        results = ScoreFiles(folder, prints, batch, batch_size, config.on_change)
        todo = [pair for pair in pairs if not results.has(pair)]
        for warning in level_warnings((track for track, _ in by_track(todo)), rate_hz):
            tqdm.write(warning, file=sys.stderr)
        file_scorer = FileScorer(scorer, folder, config.remix_sample_rate)
        problems: list[str] = []
        bar = progress(total=len(pairs), initial=len(pairs) - len(todo), desc="evaluate")
        for pair, score in score_files(file_scorer, todo, config.evaluate.jobs):
            with noting(problems):
                left, right, clipped = score()
                results.append(
                    ScoreRow.of(pair, left.score, right.score),
                    ComponentRow.of(pair, left, right, clipped),
                    FingerprintRow.of(pair, prints[pair.name]),
                )
            bar.set_postfix(mean=f"{results.mean():.4f}", refresh=False)
            bar.update()
        bar.close()
        results.put_in_order(pairs)
        if problems:
            raise IncompleteError(problems)
    earlier = f" ({len(pairs) - len(todo)} of them before)" if len(todo) < len(pairs) else ""
    print(f"{len(pairs)} pairs scored in {folder}{earlier}, mean HAAQI {results.mean():.4f}")


if __name__ == "__main__":
    run(main)
