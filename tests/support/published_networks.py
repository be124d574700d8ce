"""Small networks with random weights in the format of the challenge's published networks."""

from collections.abc import Iterable
from pathlib import Path

import torch

from benchmarks.official import OWNER, random_network

TINY = {"N": 16, "L": 20, "B": 8, "H": 16, "P": 3, "X": 2, "R": 1}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def write_networks(folder: Path, instruments: Iterable[str]) -> None:
    """Write `ConvTasNet_<Instrument>_NonCausal/`; estimates have the level of the input."""
    torch.manual_seed(1)
    for instrument in instruments:
        random_network(TINY).save_pretrained(folder / f"ConvTasNet_{instrument}_NonCausal")


def fill_hub_cache(cache: Path, instruments: Iterable[str]) -> None:
    """Write the same as the hub's client stores them after a download of the branch `main`."""
    for instrument in instruments:
        repository = cache / f"models--{OWNER}--ConvTasNet_{instrument}_NonCausal"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text(COMMIT)
        snapshots = repository / "snapshots"
        write_networks(snapshots, [instrument])
        (snapshots / f"ConvTasNet_{instrument}_NonCausal").rename(snapshots / COMMIT)
