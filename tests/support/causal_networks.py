"""Causal Conv-TasNets of the challenge, one for each instrument, with random weights."""

from pathlib import Path

import torch

from cmss.models.checkpoint import build, save_checkpoint

CAUSAL = {"N": 16, "B": 8, "H": 12, "X": 3, "R": 2, "causal": True, "norm_type": "cLN"}


def write_network(folder: Path, instrument: str, **arguments) -> None:
    """Write a network with random weights, whose estimates have the level of the input."""
    torch.manual_seed(len(instrument))
    network = build("convtasnet", {**CAUSAL, **arguments}).eval()
    noise = 0.01 * torch.randn(1, 2, 8000)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
        network.decoder.basis_signals.weight *= 0.01 / network(noise)[0, 0].std()
    save_checkpoint(folder / instrument / "best.safetensors", "convtasnet", network)
