"""Implements `cmss evaluate`: computes HAAQI of the enhanced signals of a run."""

from omegaconf import DictConfig

from cmss.errors import InputError
from cmss.machine.processor import cores
from cmss.pipeline import score_run
from cmss.run.configuration import build_hearing_aid, own_pairs, reads_references, score_settings
from cmss.run.folder import continued_configuration, job
from cmss.run.overrides import overrides
from cmss.run.scoring import FileScorer, Scorer, ScoreSettings
from cmss.run.stage import progress, stage
from cmss.scenes import SoundFiles


@stage
def main(config: DictConfig) -> None:
    """Read the configuration that enhance.py saved, and score each pair that has no score yet."""
    config = continued_configuration(config, overrides())
    if not config.references:
        raise InputError("references: false, but HAAQI needs the ground truth stems")
    sounds = SoundFiles(config.input_sample_rate, digests="all")
    pairs = own_pairs(config, sounds)
    scorer = Scorer(
        build_hearing_aid(config), config.HAAQI_sample_rate, config.evaluate.set_random_seed
    )
    settings = ScoreSettings(
        batch=config.evaluate.batch,
        batch_size=config.evaluate.batch_size,
        jobs=config.evaluate.jobs or cores(),
        on_change=config.on_change,
        references=reads_references(config),
        score_settings=score_settings(config),
    )
    with job(config, "evaluate", settings.batch, settings.batch_size) as folder:
        file_scorer = FileScorer(scorer, folder, config.remix_sample_rate)
        try:
            done = score_run(folder, pairs, file_scorer, sounds, settings, progress)
        except ChildProcessError as error:
            raise ChildProcessError(f"evaluate.jobs: {error}") from error
    earlier = len(pairs) - done.pairs
    note = f" ({earlier} of them before)" if earlier else ""
    print(f"{len(pairs)} pairs scored in {folder}{note}, mean HAAQI {done.mean:.4f}")
