"""Enhance every pair of scene and listener: python recipes/cad2/enhance.py path.root=/data."""

import sys
from collections import defaultdict
from itertools import chain
from time import perf_counter

import hydra
from omegaconf import DictConfig
from tqdm import tqdm

from cmss import stem_files
from cmss.audio import resample, write_flac
from cmss.configuration import (
    build_hearing_aid,
    build_remix,
    enhancing,
    own_pairs,
    plain,
    precision_warnings,
    reads_references,
    separating,
)
from cmss.enhanced_files import missing
from cmss.errors import IncompleteError, noting
from cmss.fingerprint import of_enhanced, of_stems
from cmss.pipeline import System, enhance_scene, level_warnings, load_networks, separate_track
from cmss.run_folder import absolute_paths, job, save_configuration, save_provenance
from cmss.scenes import by_track, unusual_hearing
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
        references = reads_references(config)
        prints = of_enhanced(pairs, rate_hz, references, enhancing(config), weights)
        todo = missing(folder, pairs, prints, config.on_change)
        groups = defaultdict(list, {track.name: group for track, group in by_track(todo)})
        tracks = [track for track, _ in by_track(pairs)]
        of_tracks, unkept = {}, set[str]()
        if config.stems:
            of_tracks = of_stems(tracks, rate_hz, references, separating(config), weights)
            without = stem_files.missing(folder, tracks, of_tracks, config.on_change)
            unkept = {track.name for track in without}
        tracks = [track for track in tracks if track.name in groups or track.name in unkept]
        for warning in chain(
            level_warnings(tracks, rate_hz),
            unusual_hearing(pair.listener for pair in todo),
            precision_warnings(config),
        ):
            tqdm.write(warning, file=sys.stderr)
        save_configuration(config)
        clipped, problems = 0, list[str]()
        compute = dict.fromkeys(("separation_s", "separated_s", "hearing_aid_s", "enhanced_s"), 0.0)
        bar = progress(total=len(pairs), initial=len(pairs) - len(todo), desc="enhance")
        for track in tracks:
            with noting(problems):
                began = perf_counter()
                mixture, stems = separate_track(system.separator, track)
                compute["separation_s"] += perf_counter() - began
                compute["separated_s"] += mixture.shape[-1] / rate_hz
                if track.name in unkept:
                    stem_files.keep(folder, track, stems, rate_hz, of_tracks[track.name])
                for pair in groups[track.name]:
                    with noting(problems):
                        began = perf_counter()
                        ears = enhance_scene(system, mixture, stems, pair.scene, pair.listener)
                        compute["hearing_aid_s"] += perf_counter() - began
                        compute["enhanced_s"] += mixture.shape[-1] / rate_hz
                        signal = resample(ears, rate_hz, remix_rate_hz)
                        path, made_from = folder / pair.enhanced_file, prints[pair.name]
                        clipped += write_flac(
                            path, signal, remix_rate_hz, config.soft_clip, made_from
                        )
                    bar.update()
        bar.close()
        if problems:
            raise IncompleteError(problems)
        save_provenance(folder, config, system.separator.weights, compute)
    earlier = f" ({len(pairs) - len(todo)} of them before)" if len(todo) < len(pairs) else ""
    print(f"{len(pairs)} pairs enhanced in {folder}{earlier}, {clipped} samples clipped")


if __name__ == "__main__":
    run(main)
