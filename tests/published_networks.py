"""Networks of random weights and small width in the form in which the challenge's are published."""

from collections.abc import Iterable
from pathlib import Path

import torch
from recipes.cad2.task2.ConvTasNet.local.tasnet import ConvTasNetStereo

OWNER = "cadenzachallenge"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def write_networks(folder: Path, instruments: Iterable[str]) -> None:
    """`ConvTasNet_<Instrument>_NonCausal/` for each, whose estimates are as loud as their input.

    The masks see normalised frames, so that a network is linear in level and its last layer scales
    it.
    """
    torch.manual_seed(1)
    noise = 0.01 * torch.randn(1, 2, 44100)
    for instrument in instruments:
        network = ConvTasNetStereo(N=16, L=20, B=8, H=16, P=3, X=2, R=1, C=2, audio_channels=2)
        with torch.no_grad():
            network.decoder.basis_signals.weight *= 0.01 / network(noise)[0, 0].std()
        network.save_pretrained(folder / f"ConvTasNet_{instrument}_NonCausal")


def fill_hub_cache(cache: Path, instruments: Iterable[str]) -> None:
    """The same as the hub's client leaves them behind after it has downloaded branch `main`."""
    for instrument in instruments:
        repository = cache / f"models--{OWNER}--ConvTasNet_{instrument}_NonCausal"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text(COMMIT)
        snapshots = repository / "snapshots"
        write_networks(snapshots, [instrument])
        (snapshots / f"ConvTasNet_{instrument}_NonCausal").rename(snapshots / COMMIT)
