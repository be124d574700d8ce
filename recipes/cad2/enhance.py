"""Enhance every pair of scene and listener: python recipes/cad2/enhance.py path.root=/data."""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig
from tqdm import tqdm

from cmss.audio import read_excerpt, resample, write_flac
from cmss.configuration import build_hearing_aid, build_remix, own_pairs, plain
from cmss.pipeline import System, enhance, level_warning
from cmss.run_folder import absolute_paths, save_configuration, save_provenance
from cmss.scenes import by_track
from cmss.separators import build_separator
from cmss.stage import progress, refuse_official_keys, stage


@hydra.main(config_path="conf", config_name="config", version_base=None)
@stage
def main(config: DictConfig) -> None:
    """Read and check the metadata, build the system, write one FLAC for each pair."""
    config = absolute_paths(config)
    pairs = own_pairs(config)
    rate_hz = config.input_sample_rate
    system = System(
        build_separator(plain(config.separator), rate_hz),
        build_remix(config.remix),
        build_hearing_aid(config),
    )
    system.separator.prepare(s for pair in pairs for s in pair.scene.track.sources.values())
    folder = Path(config.path.exp_folder)
    save_configuration(config)
    for track, _ in by_track(pairs):
        if warning := level_warning(track, read_excerpt(track.mixture, rate_hz), rate_hz):
            tqdm.write(warning, file=sys.stderr)
    clipped = 0
    for pair, ears in progress(enhance(system, pairs), "enhance", total=len(pairs)):
        signal = resample(ears, rate_hz, config.remix_sample_rate)
        path = folder / pair.enhanced_file
        clipped += write_flac(path, signal, config.remix_sample_rate, config.soft_clip)
    save_provenance(folder, config, system.separator.weights)
    print(f"{len(pairs)} pairs enhanced in {folder}, {clipped} samples clipped")


if __name__ == "__main__":
    refuse_official_keys(sys.argv[1:])
    main()
