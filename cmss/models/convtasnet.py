"""Stereo Conv-TasNet, the baseline of the challenge (Luo and Mesgarani 2019).

The names of the parameters are those of the published weights
``cadenzachallenge/ConvTasNet_<Instrument>_<Causal|NonCausal>``, so that their state_dict loads
unchanged. The lineage is Kaituo Xu's Conv-TasNet, Alexandre Defossez' stereo version of it, and
the challenge's copy in pyclarity (all MIT; see NOTICE).

Shapes: B batch, A audio channels, T samples, N filters, K frames, C sources.
"""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmss.models.network import Network
from cmss.models.outputs import ACCOMPANIMENT, TARGET
from cmss.models.record import NetworkRecord, Size
from cmss.models.temporal_blocks import NORMS, ChannelwiseLayerNorm, Depthwise, Pointwise
from cmss.models.temporal_conv_net import TemporalConvNet, tiles
from cmss.transforms.overlap_add import Reach


@dataclass(frozen=True)
class ConvTasNetArguments:
    """Arguments of :class:`ConvTasNet`; the names are those of the paper and the published files.

    Args:
        N: filters of the encoder.
        L: length of a filter in samples; frames overlap by half.
        B: channels between the blocks.
        H: channels inside a block.
        P: kernel size of the depthwise convolutions.
        X: blocks in a repeat; block x has dilation 2**x.
        R: repeats.
        C: sources at the output; the challenge's are target and accompaniment.
        audio_channels: 2 for stereo.
        samplerate: sampling rate in Hz that the network was trained at.
        norm_type: gLN (normalises over time as well, not causal), cLN (per frame) or id.
        causal: pad on the left alone.
        mask_nonlinear: relu or softmax.
    """

    N: int = 256
    L: int = 20
    B: int = 256
    H: int = 512
    P: int = 3
    X: int = 8
    R: int = 3
    C: int = 2
    audio_channels: int = 2
    samplerate: int = 44100
    norm_type: str = "gLN"
    causal: bool = False
    mask_nonlinear: str = "relu"

    def __post_init__(self) -> None:
        if self.norm_type not in NORMS:
            raise ValueError(f"norm_type is one of {', '.join(NORMS)}, not {self.norm_type!r}")
        if self.mask_nonlinear not in ("relu", "softmax"):
            raise ValueError(f"mask_nonlinear is relu or softmax, not {self.mask_nonlinear!r}")
        if self.L % 2:
            raise ValueError(f"L must be even, since frames overlap by half, not {self.L}")


class ConvTasNet(Network):
    """Masks on a learned filterbank, estimated by a stack of dilated convolutions.

    Shape:
        - input (B, A, T), any T
        - output (B, C, A, T); samples after the last whole frame are zero, as in the official code
    """

    model_name = "convtasnet"

    def __init__(self, arguments: ConvTasNetArguments) -> None:
        super().__init__(arguments)
        a = arguments
        self.encoder = Encoder(a.L, a.N, a.audio_channels)
        self.separator = MaskNetwork(a)
        self.decoder = Decoder(a.N, a.L, a.audio_channels)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_normal_(parameter)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the outputs in order."""
        if self.arguments.C <= 2:
            return (TARGET, ACCOMPANIMENT)[: self.arguments.C]
        return tuple(f"source_{number + 1}" for number in range(self.arguments.C))

    @property
    def reach(self) -> Reach | None:
        """Some frames before and after, and their filters; all of the mixture with gLN."""
        a = self.arguments
        if a.norm_type == "gLN":
            return None
        layers = [module for module in self.modules() if isinstance(module, Depthwise)]
        hop = a.L // 2
        # A sample lies in two frames, the first of which begins less than two hops before it.
        past = (sum(layer.before for layer in layers) + 2) * hop
        future = sum(layer.after for layer in layers) * hop + a.L - 1
        return Reach(past, future, hop)

    def forward(self, mixture: Tensor, present: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """(B, A, T) -> (B, C, A, T); who is present makes no difference to this network."""
        length = mixture.shape[-1]
        if length < self.arguments.L:
            mixture = F.pad(mixture, (0, self.arguments.L - length))
        # Waveforms keep their 24 bits where products are of less.
        exact = partial(torch.autocast, mixture.device.type, enabled=False)
        with exact():
            frames = self.encoder(mixture).mT
        features = self.separator.features(frames)
        # Masks and what they let through are large, waveforms are small.
        segments = []
        for tile in tiles(frames):
            masks = self.separator.masks(features[:, tile])
            with exact():
                segments.append(self.decoder.segments(frames[:, tile], masks))
        estimates = self.decoder.overlap_add(torch.cat(segments, dim=2))
        return F.pad(estimates, (0, mixture.shape[-1] - estimates.shape[-1]))[..., :length]


class Encoder(nn.Module):
    """Learned analysis filterbank: (B, A, T) -> (B, N, K), not negative."""

    def __init__(self, L: int, N: int, audio_channels: int) -> None:
        super().__init__()
        self.conv1d_U = nn.Conv1d(audio_channels, N, L, stride=L // 2, bias=False)

    def forward(self, mixture: Tensor) -> Tensor:
        """(B, A, T) -> (B, N, K)."""
        return F.relu(self.conv1d_U(mixture))


class Decoder(nn.Module):
    """Learned synthesis by overlap-add: masked frames (B, C, K, N) -> (B, C, A, T)."""

    def __init__(self, N: int, L: int, audio_channels: int) -> None:
        super().__init__()
        self.L, self.audio_channels = L, audio_channels
        self.basis_signals = nn.Linear(N, audio_channels * L, bias=False)

    def segments(self, frames: Tensor, masks: Tensor) -> Tensor:
        """Frames (B, K, N), masks (B, C, K, N) -> what to add up, (B, C, K, A L)."""
        return self.basis_signals(frames.unsqueeze(1) * masks)

    def overlap_add(self, segments: Tensor) -> Tensor:
        """(B, C, K, A L) -> (B, C, A, (K + 1) L / 2)."""
        segments = segments.unflatten(-1, (self.audio_channels, 2, self.L // 2))
        segments = segments.permute(0, 1, 3, 4, 2, 5)  # (B, C, A, half, K, L/2)
        first, second = segments[:, :, :, 0], segments[:, :, :, 1]
        # Frames overlap by half: the second half of frame k meets the first half of frame k + 1.
        summed = F.pad(first, (0, 0, 0, 1)) + F.pad(second, (0, 0, 1, 0))
        return summed.flatten(-2)


class MaskNetwork(nn.Module):
    """Frames (B, K, N) -> masks (B, C, K, N), by way of features (B, K, B)."""

    def __init__(self, arguments: ConvTasNetArguments) -> None:
        super().__init__()
        a = arguments
        self.C, self.mask_nonlinear = a.C, a.mask_nonlinear
        self.network = nn.Sequential(
            ChannelwiseLayerNorm(a.N),
            Pointwise(a.N, a.B),
            TemporalConvNet(a.B, a.H, a.P, a.X, a.R, a.norm_type, a.causal),
            Pointwise(a.B, a.C * a.N),
        )

    def features(self, frames: Tensor) -> Tensor:
        """(B, K, N) -> (B, K, B)."""
        norm, bottleneck, blocks, _ = self.network
        return blocks(torch.cat([bottleneck(norm(frames[:, tile])) for tile in tiles(frames)], 1))

    def masks(self, features: Tensor) -> Tensor:
        """(B, K, B) -> (B, C, K, N), each frame for itself."""
        scores = self.network[-1](features).unflatten(-1, (self.C, -1)).transpose(1, 2)
        return F.relu(scores) if self.mask_nonlinear == "relu" else F.softmax(scores, dim=1)


# fmt: off
RECORD = NetworkRecord(
    name="convtasnet",
    network=ConvTasNet,
    arguments=ConvTasNetArguments,
    summary="masks on learned filters by temporal convolutions",
    sizes={
        # Sizes of the challenge's training recipe (conf.yml of its ConvTasNet).
        "paper": Size({"R": 4, "X": 10}, "waveform", {"power": 1}),
        # As that recipe trains the causal ones.
        "causal": Size(
            {"R": 4, "X": 10, "causal": True, "norm_type": "cLN"}, "waveform", {"power": 1}
        ),
    },
    receptive_field="bounded",
)
# fmt: on
