"""Enhance every pair of scene and listener: python recipes/cad2/enhance.py path.root=/data."""

import sys

import hydra
from omegaconf import DictConfig
from tqdm import tqdm

from cmss.audio import resample, write_flac
from cmss.configuration import (
    build_hearing_aid,
    build_remix,
    enhancing,
    own_pairs,
    plain,
    reads_references,
)
from cmss.enhanced_files import missing
from cmss.errors import IncompleteError, noting
from cmss.fingerprint import of_enhanced
from cmss.pipeline import System, enhance, level_warnings, load_networks
from cmss.run_folder import absolute_paths, job, save_configuration, save_provenance
from cmss.scenes import by_track
from cmss.separators import build_separator
from cmss.stage import progress, run, stage


@hydra.main(config_path="conf", config_name="config", version_base=None)
@stage
def main(config: DictConfig) -> None:
    """Read and check the metadata, build the system, write the FLACs that are not there yet."""
    config = absolute_paths(config)
    pairs = own_pairs(config)
    rate_hz, remix_rate_hz = config.input_sample_rate, config.remix_sample_rate
    system = System(
        build_separator(plain(config.separator), rate_hz),
        build_remix(config.remix),
        build_hearing_aid(config),
    )
    weights = load_networks(system.separator, pairs)
    with job(config, "enhance", config.evaluate.batch, config.evaluate.batch_size) as folder:
        prints = of_enhanced(pairs, rate_hz, reads_references(config), enhancing(config), weights)
        todo = missing(folder, pairs, prints, config.on_change)
        tracks = by_track(todo)
        for warning in level_warnings((track for track, _ in tracks), rate_hz):
            tqdm.write(warning, file=sys.stderr)
        save_configuration(config)
        clipped, problems = 0, list[str]()
        bar = progress(total=len(pairs), initial=len(pairs) - len(todo), desc="enhance")
        for _, group in tracks:
            with noting(problems):
                for pair, ears in enhance(system, group):
                    with noting(problems):
                        signal = resample(ears, rate_hz, remix_rate_hz)
                        path, made_from = folder / pair.enhanced_file, prints[pair.name]
                        clipped += write_flac(
                            path, signal, remix_rate_hz, config.soft_clip, made_from
                        )
                    bar.update()
        bar.close()
        if problems:
            raise IncompleteError(problems)
        save_provenance(folder, config, system.separator.weights)
    earlier = f" ({len(pairs) - len(todo)} of them before)" if len(todo) < len(pairs) else ""
    print(f"{len(pairs)} pairs enhanced in {folder}{earlier}, {clipped} samples clipped")


if __name__ == "__main__":
    run(main)
