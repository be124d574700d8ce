"""Networks of random weights and small width in the form in which the challenge's are published."""

from collections.abc import Iterable
from pathlib import Path

import torch

from benchmarks.official import OWNER, random_network

TINY = {"N": 16, "L": 20, "B": 8, "H": 16, "P": 3, "X": 2, "R": 1}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def write_networks(folder: Path, instruments: Iterable[str]) -> None:
    """`ConvTasNet_<Instrument>_NonCausal/` for each, whose estimates are as loud as their input."""
    torch.manual_seed(1)
    for instrument in instruments:
        random_network(TINY).save_pretrained(folder / f"ConvTasNet_{instrument}_NonCausal")


def fill_hub_cache(cache: Path, instruments: Iterable[str]) -> None:
    """The same as the hub's client leaves them behind after it has downloaded branch `main`."""
    for instrument in instruments:
        repository = cache / f"models--{OWNER}--ConvTasNet_{instrument}_NonCausal"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text(COMMIT)
        snapshots = repository / "snapshots"
        write_networks(snapshots, [instrument])
        (snapshots / f"ConvTasNet_{instrument}_NonCausal").rename(snapshots / COMMIT)
