"""A band-split rotary transformer that is told who plays.

The spectrum of each frame is cut into bands, each band becomes a vector, and attention goes in turn
along time and along frequency, with rotary positions (Lu et al. 2023, "Music source separation with
Band-Split RoPE Transformer"). Here one network serves all instruments: it hears who plays, sees
which way the sound comes from, and its masks sum to one over the players, so that its estimates sum
to the mixture.

Shapes: B batch, T samples, F frequency bins, K frames, G bands, D features, S sources of the
network, P players of an example.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmss.models.network import Network
from cmss.models.outputs import OUTPUTS
from cmss.models.presence import in_places, listed, presence
from cmss.models.record import NetworkRecord, Size
from cmss.models.stereo_features import stereo_features
from cmss.transforms.stft import istft, stft

FEATURES = 8  # of a bin: both channels' compressed spectra, their levels, and the direction
PARTS = 6  # of a mask in a bin: in each channel a score and a complex refinement


@dataclass(frozen=True)
class RoformerArguments:
    """Arguments of :class:`Roformer`.

    Args:
        sources: names of the outputs in order; ``Violin`` is also the first of two violins,
            ``Violin_2`` the second.
        L: length of a frame in samples.
        hop: samples from frame to frame.
        bands: (count, width) of groups of neighbouring bands from low to high, widths in bins; one
            more band takes the bins that are left.
        D: features of a band.
        hidden: units between the layers of a feed-forward part.
        heads: of attention, each D / heads wide.
        layers: pairs of attention along time and along frequency.
        samplerate: sampling rate in Hz that the network works at.
    """

    sources: tuple[str, ...]
    L: int = 2048
    hop: int = 512
    bands: tuple[tuple[int, int], ...] = ((30, 2), (25, 4), (20, 8), (12, 16), (7, 32), (4, 64))
    D: int = 128
    hidden: int = 256
    heads: int = 4
    layers: int = 6
    samplerate: int = 22050

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", tuple(self.sources))
        object.__setattr__(self, "bands", tuple((int(n), int(w)) for n, w in self.bands))


class Roformer(Network):
    """Complex masks on the mixture's spectra, one for each source that is present.

    Shape:
        - mixture (B, 2, T); present, bool (B, S), all by default
        - output (B, S, 2, T); absent sources are zero, present ones sum to the mixture
    """

    model_name = "roformer"
    window: Tensor

    def __init__(self, arguments: RoformerArguments) -> None:
        super().__init__(arguments)
        a = arguments
        self.register_buffer("window", torch.hann_window(a.L), persistent=False)
        bands = band_groups(a.L // 2 + 1, a.bands)
        self.into = BandsIn(bands, FEATURES, a.D)
        self.presence = nn.Linear(len(a.sources), a.D, bias=False)
        self.layers = nn.ModuleList(
            nn.ModuleList(Block(a.D, a.hidden, a.heads) for _ in range(2)) for _ in range(a.layers)
        )
        self.norm = nn.RMSNorm(a.D)
        self.of_source = nn.Parameter(torch.randn(len(a.sources), a.D, a.D) * a.D**-0.5)
        self.out_of = BandsOut(bands, a.D, PARTS)

    def forward(self, mixture: Tensor, present: Tensor | None = None) -> Tensor:
        """(B, 2, T) -> (B, S, 2, T)."""
        present = presence(present, mixture, len(self.sources))
        level = mixture.square().mean((1, 2), keepdim=True).sqrt() + 1e-8
        spectra = stft(mixture / level, self.window, self.arguments.hop)
        players, chosen = listed(present)
        masks = self.masks(spectra, present, players, chosen)
        estimates = istft(
            masks * spectra.unsqueeze(1), self.window, self.arguments.hop, mixture.shape[-1]
        )
        return in_places(estimates * level.unsqueeze(1), players, len(self.sources))

    def masks(self, spectra: Tensor, present: Tensor, players: Tensor, chosen: Tensor) -> Tensor:
        """Complex masks that sum to one over the players.

        Args:
            spectra: of the mixture, complex (B, 2, F, K).
            present: bool (B, S).
            players, chosen: of :func:`listed`.

        Returns:
            complex (B, P, 2, F, K).
        """
        with torch.autocast(spectra.device.type, enabled=False):  # powers span ten decades
            features = _features(spectra)
        x = self.into(features) + self.presence(present.to(features.dtype))[:, None, None]
        for pair in self.layers:
            assert isinstance(pair, nn.ModuleList)
            along_time, along_bands = pair
            x = along_time(x.transpose(1, 2).flatten(0, 1)).unflatten(0, (len(x), -1))
            x = x.transpose(1, 2)
            x = along_bands(x.flatten(0, 1)).unflatten(0, (len(x), -1))
        x = self.norm(x)
        heads = self.of_source[players]  # (B, P, D, D)
        x = F.silu(torch.einsum("bkgd,bpde->bpkge", x, heads.to(x.dtype)))
        parts = self.out_of(x).float()  # (B, P, K, F, PARTS)
        scores, real, imaginary = parts.movedim(-1, 2).transpose(-1, -2).chunk(3, 2)
        absent = ~chosen[..., None, None, None]
        shares = scores.masked_fill(absent, -torch.inf).softmax(1)
        # What the refinements add to one player they take from the others.
        playing = chosen.float()[..., None, None, None]
        refined = torch.complex(real, imaginary) * playing
        refined = refined - refined.sum(1, keepdim=True) * playing / playing.sum(1, keepdim=True)
        return shares + refined


def band_groups(bins: int, bands: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """(count, width) of all groups, the bins left over as a band of their own.

    Raises:
        ValueError: more bins in bands than there are.
    """
    left = bins - sum(count * width for count, width in bands)
    if left < 0:
        raise ValueError(f"bands: take {bins - left} bins, but there are {bins}")
    return [*bands, (1, left)] if left else list(bands)


def _features(spectra: Tensor) -> Tensor:
    """Complex (B, 2, F, K) -> (B, K, F, FEATURES)."""
    left, right = spectra.unbind(1)
    power = torch.stack((left, right), 1).abs().square()
    cross = left * right.conj()
    seen = stereo_features(power, torch.stack((cross.real, cross.imag), 1))
    parts = torch.view_as_real(spectra) * (power + 1e-6).pow(-0.35).unsqueeze(-1)
    parts = parts.movedim(-1, 2).flatten(1, 2)
    return torch.cat((parts, seen), 1).permute(0, 3, 2, 1)


class BandsIn(nn.Module):
    """From the features of its bins to those of each band: (B, K, F, features) -> (B, K, G, D)."""

    def __init__(self, bands: Sequence[tuple[int, int]], features: int, D: int) -> None:
        super().__init__()
        self.bands = bands
        self.weights = nn.ParameterList(
            torch.randn(count, width * features, D) * (width * features) ** -0.5
            for count, width in bands
        )
        self.bias = nn.Parameter(torch.zeros(sum(count for count, _ in bands), D))

    def forward(self, x: Tensor) -> Tensor:
        """(B, K, F, features) -> (B, K, G, D)."""
        sizes = [count * width for count, width in self.bands]
        groups = [
            torch.einsum("bkgi,gid->bkgd", part.unflatten(2, (len(weight), -1)).flatten(3), weight)
            for part, weight in zip(x.split(sizes, 2), self.weights, strict=True)
        ]
        return torch.cat(groups, 2) + self.bias


class BandsOut(nn.Module):
    """From the features of each band to parts of its bins: (..., G, D) -> (..., F, parts)."""

    def __init__(self, bands: Sequence[tuple[int, int]], D: int, parts: int) -> None:
        super().__init__()
        self.counts = [count for count, _ in bands]
        self.parts = parts
        # Near zero, so that masks start as equal shares.
        self.weights = nn.ParameterList(
            torch.randn(count, D, width * parts) * 0.1 * D**-0.5 for count, width in bands
        )
        self.bias = nn.ParameterList(torch.zeros(count, width * parts) for count, width in bands)

    def forward(self, x: Tensor) -> Tensor:
        """(..., G, D) -> (..., F, parts)."""
        groups = [
            (torch.einsum("...gd,gdi->...gi", part, weight) + bias)
            .unflatten(-1, (-1, self.parts))
            .flatten(-3, -2)
            for part, weight, bias in zip(
                x.split(self.counts, -2), self.weights, self.bias, strict=True
            )
        ]
        return torch.cat(groups, -2)


class Block(nn.Module):
    """Attention along an axis, and a feed-forward part: (M, N, D) -> the same."""

    def __init__(self, D: int, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.RMSNorm(D)
        self.qkv = nn.Linear(D, 3 * D, bias=False)
        self.joined = nn.Linear(D, D, bias=False)
        self.norm = nn.RMSNorm(D)
        self.up = nn.Linear(D, hidden)
        self.down = nn.Linear(hidden, D)

    def forward(self, x: Tensor) -> Tensor:
        """(M, N, D) -> (M, N, D)."""
        x = x + self._attend(self.attention_norm(x))
        return x + self.down(F.gelu(self.up(self.norm(x))))

    def _attend(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        turns = rotations(x.shape[1], q.shape[-1], x.device)
        y = F.scaled_dot_product_attention(rotate(q, turns), rotate(k, turns), v)
        return self.joined(y.transpose(1, 2).flatten(2))


def rotations(positions: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines of rotary positions (Su et al. 2021), (positions, width / 2) each."""
    slowness = torch.arange(0, width, 2, device=device) / width
    angles = torch.arange(positions, device=device)[:, None] * 10000.0**-slowness
    return angles.cos(), angles.sin()


def rotate(x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """Turn pairs of features by their position: (..., positions, width) -> the same."""
    cosine, sine = (turn.to(x.dtype) for turn in turns)
    first, second = x.chunk(2, -1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), -1)


# fmt: off
RECORD = NetworkRecord(
    name="roformer",
    network=Roformer,
    arguments=RoformerArguments,
    summary="masks by attention along time and along frequency bands",
    sizes={
        "small": Size({"sources": OUTPUTS}, "estimates_remix"),
    },
    licence="mit",
)
# fmt: on
