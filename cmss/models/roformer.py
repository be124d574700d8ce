"""Implements a band-split rotary transformer for all instruments.

The spectrum of each frame is split into bands, and a linear layer maps each band to a vector.
Layers with attention along time alternate with layers with attention along frequency. The layers
have rotary positional embeddings (Lu et al. 2023, "Music source separation with Band-Split RoPE
Transformer"). The paper has a network for each instrument. In this module, a single network
separates all instruments. The inputs of the network include the presence of each source and the
direction of arrival. The masks sum to 1 over the sources that are present, so the sum of the
estimates is the mixture.

In shapes, B is the batch size, T the number of samples, F the number of frequency bins, K the
number of frames, G the number of bands, D the number of features, S the number of sources of the
network, and P the largest number of players in an example.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmss.models.band_masks import stereo_features
from cmss.models.network import Network
from cmss.models.outputs import OUTPUTS
from cmss.models.presence import in_places, listed, presence
from cmss.models.record import NetworkRecord, Size
from cmss.transforms.stft import istft, stft

# Number of features of a bin: 4 features for the compressed complex spectra of both channels, and 4
# stereo features.
FEATURES = 8
# Number of values from which the mask of a bin is computed. For each channel, the values are a
# score, and the real and the imaginary part of a refinement.
PARTS = 6
CACHED = 2048  # number of vectors that a block processes together during inference


@dataclass(frozen=True)
class RoformerArguments:
    """Arguments of :class:`Roformer`.

    Args:
        sources: names of the outputs in order. ``Violin`` is a single violin or the first of two
            violins, and ``Violin_2`` is the second violin.
        L: length of a frame in samples.
        hop: number of samples between the starts of consecutive frames.
        bands: groups of neighbouring bands from low to high frequencies. A group is a pair: the
            number of bands and the width of each band in bins. The remaining bins form an
            additional band.
        D: number of features of a band.
        hidden: number of hidden units of the feed-forward layers.
        heads: number of attention heads; each attention head has D / heads features.
        layers: number of pairs of blocks; in each pair, a block along time precedes a block along
            frequency.
        samplerate: sampling rate of the network in Hz.
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
    """Multiplies the spectra of the mixture by a complex mask for each source that is present.

    Shape:
        The mixture has the shape (B, 2, T). The optional bool tensor `present` has the shape (B,
        S); by default, all sources are present. The output has the shape (B, S, 2, T). Outputs of
        absent sources are zero. The sum of the sources is the mixture.
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
        """Separate mixtures (B, 2, T) into sources (B, S, 2, T)."""
        present = presence(present, mixture, len(self.sources))
        level = mixture.square().mean((1, 2), keepdim=True).sqrt() + 1e-8  # RMS, (B, 1, 1)
        spectra = stft(mixture / level, self.window, self.arguments.hop)  # (B, 2, F, K)
        # Masks are computed only for the P players, not for all S sources.
        players, chosen = listed(present)
        masks = self.masks(spectra, present, players, chosen)  # (B, P, 2, F, K)
        estimates = istft(
            masks * spectra.unsqueeze(1), self.window, self.arguments.hop, mixture.shape[-1]
        )
        return in_places(estimates * level.unsqueeze(1), players, len(self.sources))

    def masks(self, spectra: Tensor, present: Tensor, players: Tensor, chosen: Tensor) -> Tensor:
        """Estimate complex masks that sum to 1 over the players.

        Args:
            spectra: spectra of the mixture, a complex array of shape (B, 2, F, K).
            present: whether each source is present, a bool array of shape (B, S).
            players, chosen: results of :func:`listed`.

        Returns:
            The masks, a complex array of shape (B, P, 2, F, K).
        """
        # Powers span ten decades, which is more than half precision can represent.
        with torch.autocast(spectra.device.type, enabled=False):
            features = _features(spectra)  # (B, K, F, FEATURES)
        # (B, K, G, D); the embedding of presence is the same in all frames and bands.
        x = self.into(features) + self.presence(present.to(features.dtype))[:, None, None]
        for pair in self.layers:
            assert isinstance(pair, nn.ModuleList)
            along_time, along_bands = pair
            # Bands become examples of a larger batch: (B, K, G, D) -> (B G, K, D) -> (B, G, K, D)
            x = along_time(x.transpose(1, 2).flatten(0, 1)).unflatten(0, (len(x), -1))
            x = x.transpose(1, 2)
            # Frames become examples of a larger batch: (B, K, G, D) -> (B K, G, D) -> (B, K, G, D)
            x = along_bands(x.flatten(0, 1)).unflatten(0, (len(x), -1))
        x = self.norm(x)
        heads = self.of_source[players]  # (B, P, D, D)
        x = F.silu(torch.einsum("bkgd,bpde->bpkge", x, heads.to(x.dtype)))  # (B, P, K, G, D)
        parts = self.out_of(x).float()  # (B, P, K, F, PARTS)
        # (B, P, 2, F, K) each
        scores, real, imaginary = parts.movedim(-1, 2).transpose(-1, -2).chunk(3, 2)
        absent = ~chosen[..., None, None, None]
        masks = scores.masked_fill(absent, -torch.inf).softmax(1)
        # Subtract the mean of the refinements over the players, so that the masks still sum to 1.
        playing = chosen.float()[..., None, None, None]
        refined = torch.complex(real, imaginary) * playing
        refined = refined - refined.sum(1, keepdim=True) * playing / playing.sum(1, keepdim=True)
        return masks + refined


def band_groups(bins: int, bands: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return all groups (count, width) of bands; the remaining bins form the last band.

    Args:
        bins: number of bins of a spectrum.
        bands: groups of bands, see :class:`RoformerArguments`.

    Raises:
        ValueError: the bands have more bins than the spectrum.
    """
    remaining = bins - sum(count * width for count, width in bands)
    if remaining < 0:
        raise ValueError(f"bands: have {bins - remaining} bins, expected at most {bins}")
    return [*bands, (1, remaining)] if remaining else list(bands)


def _features(spectra: Tensor) -> Tensor:
    """Compute features (B, K, F, FEATURES) of each bin from complex spectra (B, 2, F, K)."""
    left, right = spectra.unbind(1)
    power = torch.stack((left, right), 1).abs().square()
    cross = left * right.conj()
    stereo = stereo_features(power, torch.stack((cross.real, cross.imag), 1))  # (B, 4, F, K)
    # Raise magnitudes to the power 0.3, and keep the phase: X * |X|^-0.7.
    parts = torch.view_as_real(spectra) * (power + 1e-6).pow(-0.35).unsqueeze(-1)
    parts = parts.movedim(-1, 2).flatten(1, 2)  # (B, 4, F, K)
    return torch.cat((parts, stereo), 1).permute(0, 3, 2, 1)


class BandsIn(nn.Module):
    """Maps the bins of each band to a vector by a linear layer.

    The layers map features of shape (B, K, F, features) to vectors of shape (B, K, G, D).
    """

    def __init__(self, bands: Sequence[tuple[int, int]], features: int, D: int) -> None:
        super().__init__()
        self.bands = bands
        self.weights = nn.ParameterList(
            torch.randn(count, width * features, D) * (width * features) ** -0.5
            for count, width in bands
        )
        self.bias = nn.Parameter(torch.zeros(sum(count for count, _ in bands), D))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer of each band; return vectors (B, K, G, D)."""
        sizes = [count * width for count, width in self.bands]
        # The layers of bands with equal width are computed as a single product:
        # (B, K, count, width features) x (count, width features, D)
        groups = [
            torch.einsum("bkgi,gid->bkgd", part.unflatten(2, (len(weight), -1)).flatten(3), weight)
            for part, weight in zip(x.split(sizes, 2), self.weights, strict=True)
        ]
        return torch.cat(groups, 2) + self.bias


class BandsOut(nn.Module):
    """Maps the vector of each band to values of the band's bins by a linear layer.

    The layers map vectors of shape (..., G, D) to values of shape (..., F, parts), with `parts`
    values for each bin.
    """

    def __init__(self, bands: Sequence[tuple[int, int]], D: int, parts: int) -> None:
        super().__init__()
        self.counts = [count for count, _ in bands]
        self.parts = parts
        # The initial weights are small, so that all masks are initially almost equal.
        self.weights = nn.ParameterList(
            torch.randn(count, D, width * parts) * 0.1 * D**-0.5 for count, width in bands
        )
        self.bias = nn.ParameterList(torch.zeros(count, width * parts) for count, width in bands)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer of each band; return values (..., F, parts)."""
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
    """Applies attention along the axis N of an input (M, N, D), then a feed-forward layer."""

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
        """Apply the block; the shape (M, N, D) does not change."""
        if torch.is_grad_enabled():
            return self._block(x)
        # Examples are independent. They are processed in small groups, which stay in the caches of
        # the processor.
        result = torch.empty_like(x)
        at_once = max(CACHED // x.shape[1], 1)
        for given, out in zip(x.split(at_once), result.split(at_once), strict=True):
            out.copy_(self._block(given))
        return result

    def _block(self, x: Tensor) -> Tensor:
        x = x + self._attend(self.attention_norm(x))
        return x + self.down(F.gelu(self.up(self.norm(x))))

    def _attend(self, x: Tensor) -> Tensor:
        # (M, N, 3 D) -> q, k and v of shape (M, heads, N, D / heads) each
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        turns = rotations(x.shape[1], q.shape[-1], x.device)
        y = attention(rotate(q, turns), rotate(k, turns), v)
        return self.joined(y.transpose(1, 2).flatten(2))


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Compute scaled dot-product attention; inputs and output have shape (M, heads, N, width)."""
    if torch.is_grad_enabled() or q.device.type != "cpu" or q.dtype != torch.bfloat16:
        return F.scaled_dot_product_attention(q, k, v)
    # PyTorch's function multiplies in float32 on the CPU. For sequences as short as these, two
    # products of matrices in bfloat16 take two thirds of the time. Autocast would compute the
    # softmax in float32.
    with torch.autocast("cpu", enabled=False):
        return (q * q.shape[-1] ** -0.5 @ k.mT).softmax(-1) @ v


def rotations(positions: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the cosines and sines of rotary positional embeddings.

    Both results have the shape (positions, width).

    The embeddings are those of Su et al. 2021. The sines of the first half of the features have a
    negative sign, because :func:`rotate` adds the products.
    """
    exponents = torch.arange(0, width, 2, device=device) / width
    angles = torch.arange(positions, device=device)[:, None] * 10000.0**-exponents
    cosine, sine = angles.cos(), angles.sin()
    return torch.cat((cosine, cosine), -1), torch.cat((-sine, sine), -1)


def rotate(x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate pairs of features by an angle that depends on the position.

    A pair consists of a feature of the first half and the corresponding feature of the second half.

    Args:
        x: features, an array of shape (..., positions, width).
        turns: result of :func:`rotations`.

    Returns:
        The rotated features, an array of shape (..., positions, width).
    """
    cosine, sine = (turn.to(x.dtype) for turn in turns)
    first, second = x.chunk(2, -1)
    return torch.addcmul(x * cosine, torch.cat((second, first), -1), sine)


# fmt: off
RECORD = NetworkRecord(
    name="roformer",
    network=Roformer,
    arguments=RoformerArguments,
    summary="band-split rotary transformer: masks by attention along time and frequency bands",
    sizes={
        "small": Size({"sources": OUTPUTS}, "estimates_remix"),
    },
    licence="mit",
    data=("SCORES", "NOTES", "SYNTHETIC_NOTES"),
)
# fmt: on
