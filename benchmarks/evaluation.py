"""Compare the computing time and the scores of our evaluation with the official evaluation.

    python -m benchmarks.evaluation exp/default --jobs 2

Both programs use `--jobs` processes to score the enhanced signals of a complete run. The folder of
the run is not modified. Each excerpt of the run must cover its entire sound file, because the
official program always compares a signal with the entire reference file.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from benchmarks import RECIPES
from cmss.results.rows import EARS, shard_path
from cmss.run.folder import CONFIGURATION
from cmss.scenes import MetadataPaths

KEY = ["scene", "listener"]


def timed(
    commands: Sequence[Sequence[str]], folder: Path, environment: Mapping[str, str] | None = None
) -> tuple[float, float, float]:
    """Run programs in parallel; return wall time, CPU time and largest peak memory in MiB."""
    before = os.times()
    start = time.perf_counter()
    programs = [
        subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
        for command in commands
    ]
    peak_kib = 0
    for program in programs:
        _, status, usage = os.wait4(program.pid, 0)
        if status:
            sys.exit(f"{' '.join(program.args)}: status {status}")  # type: ignore[arg-type]
        peak_kib = max(peak_kib, usage.ru_maxrss)
    after = os.times()
    cpu_s = after.children_user + after.children_system
    cpu_s -= before.children_user + before.children_system
    return time.perf_counter() - start, cpu_s, peak_kib / 1024


def main() -> None:
    """Run the command: measure the time of both programs, and compare their scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a run of enhance.py")
    parser.add_argument(
        "--jobs", type=int, default=2, help="number of processes; default: %(default)s"
    )
    parser.add_argument("--ours-only", action="store_true", help="measure only our program")
    options = parser.parse_args()
    config = OmegaConf.load(options.run / CONFIGURATION)
    enhanced = (options.run / "enhanced_signals").absolute()
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name, side) for side in ("ours", "official")]
        for folder in folders:
            folder.mkdir()
            (folder / "enhanced_signals").symlink_to(enhanced)
        ours, official = folders
        (ours / CONFIGURATION).write_text((options.run / CONFIGURATION).read_text())
        command = [sys.executable, str(RECIPES / "evaluate.py"), f"path.exp_folder={ours}"]
        measured = timed([[*command, f"evaluate.jobs={options.jobs}"]], ours)
        show("ours", *measured)
        if options.ours_only:
            return
        paths = [f"path.{f.name}={config.path[f.name]}" for f in fields(MetadataPaths)]
        program = "from recipes.cad2.task2.baseline.evaluate import run_calculate_aq as f; f()"
        command = [sys.executable, "-c", program, *paths, f"path.exp_folder={official}"]
        command.append(f"evaluate.batch_size={options.jobs}")
        peer = timed([[*command, f"evaluate.batch={b}"] for b in range(options.jobs)], official)
        show("official", *peer)
        shards = (shard_path(official, "scores", b, options.jobs) for b in range(options.jobs))
        theirs = pd.concat(pd.read_csv(path) for path in shards).set_index(KEY)
        scores = pd.read_csv(ours / "scores.csv").set_index(KEY)
        difference = np.abs(scores[EARS] - theirs[EARS].loc[scores.index]).to_numpy().max()
    print(
        f"ratio of wall time {peer[0] / measured[0]:.1f}, of CPU time {peer[1] / measured[1]:.1f}"
    )
    print(f"{len(scores)} pairs, largest difference of a score {difference:.1e}")


def show(side: str, wall_s: float, cpu_s: float, peak_mib: float) -> None:
    """Print the time and memory of one program."""
    print(f"{side:8} {wall_s:7.1f} s wall {cpu_s:7.1f} s CPU {peak_mib:6.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
