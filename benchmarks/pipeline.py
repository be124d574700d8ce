"""Compare the computing time of our programs and the official programs for the full pipeline.

    python -m metadata_tools.render --notes NOTES --scores SCORES --out DATA --listeners-per-scene 2
    python -m benchmarks.pipeline DATA [--sample N]

Our programs use `profile=official`. Our programs and the official programs use the same networks:
each instrument has a network of the published size with random weights. Our enhance.py and
evaluate.py process all pairs of scene and listener, and are measured from start to end. The
official programs process a sample of the pairs, by default one pair of each track. The time of the
official programs is measured from the start of the first pair to the end of the last pair, and
scaled to the number of all pairs. All programs may use all cores: enhance.py uses threads, and
evaluate.py uses processes. Each excerpt of DATA must cover its entire sound file, because the
official evaluate.py always compares a signal with the entire reference file.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import fields
from itertools import islice, zip_longest
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks import RECIPES, ROOT
from benchmarks.evaluation import KEY, show, timed
from benchmarks.official import OWNER, PUBLISHED, random_network
from cmss.machine.processor import cores
from cmss.results.rows import EARS, shard_path
from cmss.run.configuration import chosen_pairs
from cmss.run.folder import read_configuration
from cmss.scenes import INSTRUMENTS, MetadataPaths, Pair, by_track


def run_ours(data: Path, split: str, weights: Path, exp: Path, jobs: int) -> tuple[float, float]:
    """Run our programs on all pairs, and return the wall time and the CPU time in seconds."""
    enhance = [
        f"path.root={data.absolute()}",
        f"split={split}",
        "profile=official",
        f"separator.weights_from={weights}",
        "separator.device=cpu",
    ]
    seconds = np.zeros(2)
    for name, overrides in (("enhance", enhance), ("evaluate", [f"evaluate.jobs={jobs}"])):
        command = [sys.executable, str(RECIPES / f"{name}.py"), f"path.exp_folder={exp}"]
        measured = timed([[*command, *overrides]], exp.parent)
        show(f"ours, {name}", *measured)
        seconds += measured[:2]
    return float(seconds[0]), float(seconds[1])


def run_official(
    exp: Path, paths: Sequence[str], sample: Sequence[Pair], pairs: int, jobs: int
) -> tuple[float, float]:
    """Run the official programs on some pairs; return the times in seconds, scaled to all pairs."""
    listeners: dict[str, list[str]] = {}
    for pair in sample:
        listeners.setdefault(pair.scene.id, []).append(pair.listener.id)
    (exp / "sample.json").write_text(json.dumps(listeners), encoding="utf-8")
    # The official programs change the working directory, so PYTHONPATH must name this repository.
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    seconds = np.zeros(2)
    for name, processes in (("enhance", 1), ("evaluate", jobs)):
        times = [exp / f"{name}_{process}.json" for process in range(processes)]
        overrides = [
            *paths,
            f"path.scene_listeners_file={exp / 'sample.json'}",
            f"path.exp_folder={exp}",
            "separator.device=cpu",
            "separator.force_redownload=false",
            f"evaluate.batch_size={processes}",
        ]
        program = [sys.executable, "-m", "benchmarks.official", name]
        commands = [
            [*program, str(path), *overrides, f"evaluate.batch={process}"]
            for process, path in enumerate(times)
        ]
        _, _, peak_mib = timed(commands, exp, environment)
        clocks = [np.array(json.loads(path.read_text())) for path in times]
        spent = sum(clock[-1] - clock[0] for clock in clocks)
        wall_s, cpu_s = spent / len(sample) * pairs / (processes, 1)
        show(f"official, {name}", wall_s, cpu_s, peak_mib)
        seconds += wall_s, cpu_s
    return float(seconds[0]), float(seconds[1])


def main(arguments: Sequence[str] | None = None, size: dict[str, int] = PUBLISHED) -> None:
    """Run the command: measure all programs, and print the results.

    Args:
        arguments: command-line arguments. If `arguments` is None, the arguments of the process are
            used.
        size: arguments that set the size of the networks.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pipeline",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, metavar="DATA",
        help="data folder in the challenge's layout")  # fmt: skip
    parser.add_argument("--split", default="test", help="split of the data; default: test")
    parser.add_argument("--sample", type=int, metavar="N",
        help="number of pairs that the official programs process")  # fmt: skip
    parser.add_argument("--jobs", type=int, default=cores(), metavar="N",
        help="number of processes of evaluate.py; default: all cores")  # fmt: skip
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        ours, official = Path(name, "ours"), Path(name, "official")
        official.mkdir()
        torch.manual_seed(1)
        for instrument in INSTRUMENTS:  # The folders have the same names as on the hub.
            folder = official / OWNER / f"ConvTasNet_{instrument}_NonCausal"
            random_network(size).save_pretrained(folder)
        our_s = run_ours(options.data, options.split, official / OWNER, ours, options.jobs)
        config = read_configuration(ours)
        pairs = chosen_pairs(config)
        groups = [group for _, group in by_track(pairs)]
        in_turn = (pair for row in zip_longest(*groups) for pair in row if pair)
        sample = [*islice(in_turn, options.sample or len(groups))]
        paths = [f"path.{f.name}={config.path[f.name]}" for f in fields(MetadataPaths)]
        jobs = min(options.jobs, len(sample))
        official_s = run_official(official, paths, sample, len(pairs), jobs)
        shards = [shard_path(official, "scores", b, jobs) for b in range(jobs)]
        theirs = pd.concat(pd.read_csv(path) for path in shards).set_index(KEY)
        scores = pd.read_csv(ours / "scores.csv").set_index(KEY).loc[theirs.index]
    difference = np.abs(scores[EARS] - theirs[EARS]).to_numpy().max()
    print(
        f"{len(pairs)} pairs of {len(groups)} tracks; the official time is that of {len(sample)} "
        f"pairs times {len(pairs) / len(sample):g}"
    )
    print(f"ratio of wall time {official_s[0] / our_s[0]:.1f}, CPU {official_s[1] / our_s[1]:.1f}")
    print(f"largest difference of a score {difference:.1e}, of {len(sample)} pairs")


if __name__ == "__main__":
    main()
