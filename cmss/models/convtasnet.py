"""Implements the stereo Conv-TasNet, the baseline of the challenge (Luo and Mesgarani 2019).

The paper is "Conv-TasNet: Surpassing Ideal Time-Frequency Magnitude Masking for Speech Separation",
IEEE/ACM TASLP 27(8). Parameters have the same names as in the published weights
``cadenzachallenge/ConvTasNet_<Instrument>_<Causal|NonCausal>``, so that these weights can be loaded
unchanged. The code is based on three sources: Kaituo Xu's Conv-TasNet, the stereo version of this
code by Alexandre Defossez, and the challenge's copy of the stereo version in pyclarity. The licence
of all three sources is MIT; see NOTICE.

In shapes, B is the batch size, A the number of audio channels, T the number of samples, N the
number of filters, K the number of frames, and C the number of output sources.
"""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmss.models.network import Network
from cmss.models.outputs import ACCOMPANIMENT, TARGET
from cmss.models.record import NetworkRecord, Size
from cmss.models.temporal_blocks import NORMS, Depthwise, Norm, Pointwise
from cmss.models.temporal_conv_net import TemporalConvNet, tiles
from cmss.transforms.overlap_add import Reach


@dataclass(frozen=True)
class ConvTasNetArguments:
    """Arguments of :class:`ConvTasNet`, with the names of the paper and of the published files.

    Args:
        N: number of filters of the encoder.
        L: length of a filter in samples; consecutive frames overlap by half.
        B: number of channels between blocks.
        H: number of channels inside a block.
        P: kernel size of the depthwise convolutions.
        X: number of blocks in a repeat; the dilation of block x is 2**x.
        R: number of repeats.
        C: number of output sources. The networks of the challenge have two outputs: target and
            accompaniment.
        audio_channels: number of audio channels, 2 for stereo.
        samplerate: sampling rate in Hz at which the network was trained.
        norm_type: type of normalisation: gLN (over channels and time, which is not causal), cLN
            (over channels) or id (no normalisation).
        causal: whether convolutions are padded only on the left.
        mask_nonlinear: activation function of the masks, relu or softmax.
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
            raise ValueError(
                f"norm_type: expected one of {', '.join(NORMS)}, got {self.norm_type!r}"
            )
        if self.mask_nonlinear not in ("relu", "softmax"):
            raise ValueError(
                f"mask_nonlinear: expected relu or softmax, got {self.mask_nonlinear!r}"
            )
        if self.L % 2:
            raise ValueError(f"L: expected even, because frames overlap by half, got {self.L}")


class ConvTasNet(Network):
    """Multiplies the output of a learned filterbank by masks that dilated convolutions estimate.

    Shape:
        The input has the shape (B, A, T) with any T. The output has the shape (B, C, A, T). Like
        the official code, the network sets output samples after the last full frame to zero.
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
        """Receptive field in samples; None with gLN, which normalises over the full input."""
        a = self.arguments
        if a.norm_type == "gLN":
            return None
        layers = [module for module in self.modules() if isinstance(module, Depthwise)]
        hop = a.L // 2
        # A sample lies in two frames. The first frame begins less than two hops before the sample.
        # The second frame ends less than L samples after the sample.
        past = (sum(layer.before for layer in layers) + 2) * hop
        future = sum(layer.after for layer in layers) * hop + a.L - 1
        return Reach(past, future, hop)

    def forward(self, mixture: Tensor, present: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Separate mixtures (B, A, T) into sources (B, C, A, T); `present` has no effect."""
        length = mixture.shape[-1]
        if length < self.arguments.L:
            mixture = F.pad(mixture, (0, self.arguments.L - length))
        # Encoder and decoder run in float32 under autocast, because the precision of bfloat16
        # would limit the signal-to-noise ratio of the waveforms.
        exact = partial(torch.autocast, mixture.device.type, enabled=False)
        with exact():
            frames = self.encoder(mixture).mT  # (B, K, N)
        features = self.separator.features(frames)  # (batch, K, B)
        # Masks (B, C, K, N) are large. They are computed in tiles of frames, and only the segments
        # of waveforms are kept.
        segments = []
        for tile in tiles(frames):
            masks = self.separator.masks(features[:, tile])
            with exact():
                segments.append(self.decoder.segments(frames[:, tile], masks))
        # (B, C, K, A*L) -> (B, C, A, (K + 1) L / 2)
        estimates = self.decoder.overlap_add(torch.cat(segments, dim=2))
        return F.pad(estimates, (0, mixture.shape[-1] - estimates.shape[-1]))[..., :length]


class Encoder(nn.Module):
    """Applies a learned analysis filterbank with non-negative outputs."""

    def __init__(self, L: int, N: int, audio_channels: int) -> None:
        super().__init__()
        self.conv1d_U = nn.Conv1d(audio_channels, N, L, stride=L // 2, bias=False)

    def forward(self, mixture: Tensor) -> Tensor:
        """Encode signals (B, A, T) as filter outputs (B, N, K)."""
        return F.relu(self.conv1d_U(mixture))


class Decoder(nn.Module):
    """Converts masked frames to waveforms with a learned synthesis filterbank."""

    def __init__(self, N: int, L: int, audio_channels: int) -> None:
        super().__init__()
        self.L, self.audio_channels = L, audio_channels
        self.basis_signals = nn.Linear(N, audio_channels * L, bias=False)

    def segments(self, frames: Tensor, masks: Tensor) -> Tensor:
        """Synthesise segments (B, C, K, A*L) from frames (B, K, N) and masks (B, C, K, N)."""
        return self.basis_signals(frames.unsqueeze(1) * masks)

    def overlap_add(self, segments: Tensor) -> Tensor:
        """Overlap-add segments (B, C, K, A*L) to waveforms (B, C, A, (K + 1) L / 2)."""
        # (B, C, K, A*L) -> (B, C, K, A, 2 halves, L / 2) -> (B, C, A, 2, K, L / 2)
        segments = segments.unflatten(-1, (self.audio_channels, 2, self.L // 2))
        segments = segments.permute(0, 1, 3, 4, 2, 5)
        first, second = segments[:, :, :, 0], segments[:, :, :, 1]  # (B, C, A, K, L / 2) each
        # Frames overlap by half: the second half of frame k is added to the first half of k + 1.
        summed = F.pad(first, (0, 0, 0, 1)) + F.pad(second, (0, 0, 1, 0))  # (B, C, A, K + 1, L / 2)
        return summed.flatten(-2)


class MaskNetwork(nn.Module):
    """Estimates masks from the outputs of the encoder.

    In the shapes of this class, B is the number of channels between blocks.
    """

    def __init__(self, arguments: ConvTasNetArguments) -> None:
        super().__init__()
        a = arguments
        self.C, self.mask_nonlinear = a.C, a.mask_nonlinear
        self.network = nn.Sequential(
            Norm(a.N, "cLN"),
            Pointwise(a.N, a.B),
            TemporalConvNet(a.B, a.H, a.P, a.X, a.R, a.norm_type, a.causal),
            Pointwise(a.B, a.C * a.N),
        )

    def features(self, frames: Tensor) -> Tensor:
        """Compute features (batch, K, B) from frames (batch, K, N); B is the argument `B`."""
        norm, bottleneck, blocks, _ = self.network
        return blocks(torch.cat([bottleneck(norm(frames[:, tile])) for tile in tiles(frames)], 1))

    def masks(self, features: Tensor) -> Tensor:
        """Compute masks (batch, C, K, N) from features (batch, K, B), separately for each frame."""
        # (batch, K, C N) -> (batch, K, C, N) -> (batch, C, K, N)
        scores = self.network[-1](features).unflatten(-1, (self.C, -1)).transpose(1, 2)
        return F.relu(scores) if self.mask_nonlinear == "relu" else F.softmax(scores, dim=1)


# fmt: off
RECORD = NetworkRecord(
    name="convtasnet",
    network=ConvTasNet,
    arguments=ConvTasNetArguments,
    summary="Conv-TasNet: masks on learned filters by temporal convolutions",
    sizes={
        # These are the sizes of the challenge's training recipe (conf.yml of its ConvTasNet).
        "paper": Size({"R": 4, "X": 10}, "waveform", {"power": 1}),
        # These are the sizes of the causal networks in the same recipe.
        "causal": Size(
            {"R": 4, "X": 10, "causal": True, "norm_type": "cLN"}, "waveform", {"power": 1}
        ),
    },
    receptive_field="bounded",
)
# fmt: on
