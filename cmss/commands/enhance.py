"""Implements `cmss enhance`: writes an enhanced signal for each pair of scene and listener."""

from dataclasses import asdict

from omegaconf import DictConfig

from cmss.pipeline import System, enhance_run
from cmss.run.configuration import (
    build_hearing_aid,
    build_remix,
    enhanced_settings,
    own_pairs,
    plain,
    precision_warnings,
    reads_references,
    record,
    stem_settings,
    with_precision,
)
from cmss.run.enhancing import EnhanceSettings
from cmss.run.folder import absolute_paths, job, save_provenance
from cmss.run.stage import progress, stage, warn
from cmss.scenes import SoundFiles
from cmss.separators import build_separator


@stage
def main(config: DictConfig) -> None:
    """Read and check the metadata, build the system, and write the missing enhanced signals."""
    given = absolute_paths(config)
    config = with_precision(given)
    references, rate_hz = reads_references(config), config.input_sample_rate
    sounds = SoundFiles(rate_hz, digests="all" if references else "mixtures")
    pairs = own_pairs(config, sounds)
    separator = build_separator(plain(config.separator), rate_hz)
    system = System(separator, build_remix(config.remix), build_hearing_aid(config))
    settings = EnhanceSettings(
        rate_hz=config.remix_sample_rate,
        soft_clip=config.soft_clip,
        stems=config.stems,
        on_change=config.on_change,
        references=references,
        stem_settings=stem_settings(config),
        enhanced_settings=enhanced_settings(config),
    )

    def begin() -> None:
        for warning in precision_warnings(config):
            warn(warning)
        record(config, given)

    with job(config, "enhance", config.evaluate.batch, config.evaluate.batch_size) as folder:
        done = enhance_run(folder, pairs, system, sounds, settings, begin, progress, warn)
        compute = {key: value for key, value in asdict(done).items() if key.endswith("_s")}
        save_provenance(folder, config, separator.weights, compute)
    note = f" ({earlier} of them before)" if (earlier := len(pairs) - done.pairs) else ""
    print(f"{len(pairs)} pairs enhanced in {folder}{note}, {done.clipped} samples clipped")
