"""`model=gains` and `separator=gains`: a gain for each source, the smallest possible network."""

from dataclasses import dataclass

import torch

from cmss.models.network import Network
from cmss.models.outputs import OUTPUTS
from cmss.models.record import NetworkRecord, Size


@dataclass(frozen=True)
class GainsArguments:
    """Arguments of :class:`Gains`."""

    sources: tuple[str, ...]
    samplerate: int = 8000


class Gains(Network):
    """Multiplies the mixture by a gain for each source: (B, 2, T) -> (B, S, 2, T)."""

    model_name = "gains"

    def __init__(self, arguments: GainsArguments) -> None:
        super().__init__(arguments)
        self.gains = torch.nn.Parameter(torch.full((len(arguments.sources), 1, 1), 0.2))

    def forward(self, mixture, present=None):  # noqa: ARG002
        """Estimate all sources; `present`, bool (B, S), is not used."""
        return self.gains * mixture.unsqueeze(1)


class PlainGains(torch.nn.Module):
    """The same as a plain torch module, for `model.target=cmss_example.gains.PlainGains`."""

    def __init__(self, sources: int = 8) -> None:
        super().__init__()
        self.gains = torch.nn.Parameter(torch.full((sources, 1, 1), 0.2))

    def forward(self, mixture):
        """Estimate all sources: (B, 2, T) -> (B, S, 2, T)."""
        return self.gains * mixture.unsqueeze(1)


RECORD = NetworkRecord(
    name="gains",
    network=Gains,
    arguments=GainsArguments,
    summary="a gain for each source",
    sizes={"small": Size({"sources": OUTPUTS}, "waveform", {"power": 2})},
)
