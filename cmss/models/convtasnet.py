"""Stereo Conv-TasNet, the baseline of the challenge (Luo and Mesgarani 2019).

The names of the parameters are those of the published weights
``cadenzachallenge/ConvTasNet_<Instrument>_<Causal|NonCausal>``, so that their state_dict loads
unchanged. The lineage is Kaituo Xu's Conv-TasNet, Alexandre Defossez' stereo version of it, and
the challenge's copy in pyclarity (all MIT; see NOTICE).

Shapes: B batch, A audio channels, T samples, N filters, K frames, C sources.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmss.models.network import Network
from cmss.models.outputs import ACCOMPANIMENT, TARGET
from cmss.transforms.overlap_add import Reach

EPSILON = 1e-8


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
        frames = self.encoder(mixture).mT
        estimates = self.decoder(frames, self.separator(frames))
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
    """Learned synthesis by overlap-add: frames (B, K, N), masks (B, C, K, N) -> (B, C, A, T)."""

    def __init__(self, N: int, L: int, audio_channels: int) -> None:
        super().__init__()
        self.L, self.audio_channels = L, audio_channels
        self.basis_signals = nn.Linear(N, audio_channels * L, bias=False)

    def forward(self, frames: Tensor, masks: Tensor) -> Tensor:
        """(B, K, N), (B, C, K, N) -> (B, C, A, (K + 1) L / 2)."""
        masked = frames.unsqueeze(1) * masks
        B, C, K, _ = masked.shape
        segments = self.basis_signals(masked).view(B, C, K, self.audio_channels, 2, self.L // 2)
        segments = segments.permute(0, 1, 3, 4, 2, 5)  # (B, C, A, half, K, L/2)
        first, second = segments[:, :, :, 0], segments[:, :, :, 1]
        # Frames overlap by half: the second half of frame k meets the first half of frame k + 1.
        summed = F.pad(first, (0, 0, 0, 1)) + F.pad(second, (0, 0, 1, 0))
        return summed.flatten(-2)


class MaskNetwork(nn.Module):
    """Frames (B, K, N) -> masks (B, C, K, N)."""

    def __init__(self, arguments: ConvTasNetArguments) -> None:
        super().__init__()
        a = arguments
        self.C, self.mask_nonlinear = a.C, a.mask_nonlinear
        self.network = nn.Sequential(
            ChannelwiseLayerNorm(a.N),
            Pointwise(a.N, a.B),
            temporal_conv_net(a.B, a.H, a.P, a.X, a.R, a.norm_type, a.causal),
            Pointwise(a.B, a.C * a.N),
        )

    def forward(self, frames: Tensor) -> Tensor:
        """(B, K, N) -> (B, C, K, N)."""
        scores = self.network(frames).unflatten(-1, (self.C, -1)).transpose(1, 2)
        return F.relu(scores) if self.mask_nonlinear == "relu" else F.softmax(scores, dim=1)


def temporal_conv_net(
    B: int, H: int, P: int, X: int, R: int, norm_type: str, causal: bool
) -> nn.Sequential:
    """R repeats of X residual blocks whose dilation doubles; (batch, K, B) -> (batch, K, B).

    Channels come last: a 1x1 convolution is then a product of matrices, the others read along.
    """
    return nn.Sequential(
        *(
            nn.Sequential(*(TemporalBlock(B, H, P, 2**x, norm_type, causal) for x in range(X)))
            for _ in range(R)
        )
    )


class TemporalBlock(nn.Module):
    """1x1 convolution up to H channels, depthwise dilated convolution, 1x1 back, and the input."""

    def __init__(self, B: int, H: int, P: int, dilation: int, norm_type: str, causal: bool) -> None:
        super().__init__()
        self.net = nn.Sequential(
            Pointwise(B, H),
            PReLU(),
            NORMS[norm_type](H),
            DepthwiseSeparableConv(H, B, P, dilation, norm_type, causal),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, K, B) -> (batch, K, B)."""
        up, prelu, norm, down = self.net
        assert isinstance(norm, Norm | Identity)
        return x + down(norm.normalise(prelu(up(x))), norm)


class DepthwiseSeparableConv(nn.Module):
    """A dilated convolution per channel, then a 1x1 convolution: (batch, K, H) -> (batch, K, B)."""

    def __init__(self, H: int, B: int, P: int, dilation: int, norm_type: str, causal: bool) -> None:
        super().__init__()
        # The published state_dicts count the causal networks' trimming as a member.
        trim = [nn.Identity()] if causal else []
        self.net = nn.Sequential(
            Depthwise(H, P, dilation, causal), *trim, PReLU(), NORMS[norm_type](H), Pointwise(H, B)
        )

    def forward(self, x: Tensor, norm: "Norm | Identity") -> Tensor:
        """(batch, K, H), normalised but for the scale and offset of `norm` -> (batch, K, B)."""
        depthwise, *_, prelu, own, pointwise = self.net
        assert isinstance(own, Norm | Identity)
        return pointwise(own.normalise(prelu(depthwise(x, norm))), own)


class Pointwise(nn.Conv1d):
    """1x1 convolution with channels last: (batch, K, channels) -> (batch, K, filters)."""

    def __init__(self, channels: int, filters: int, bias: bool = False) -> None:
        super().__init__(channels, filters, 1, bias=bias)

    def forward(self, x: Tensor, norm: "Norm | Identity | None" = None) -> Tensor:
        """(batch, K, channels) -> (batch, K, filters), after the scale and offset of `norm`.

        Those are taken into the weights: two passes less over the data, four less over gradients.
        """
        weight, bias = self.weight.squeeze(-1), self.bias
        if isinstance(norm, Norm):
            weight, bias = weight * norm.gamma.flatten(), weight @ norm.beta.flatten()
        return F.linear(x, weight, bias)


class Depthwise(nn.Conv1d):
    """Dilated convolution of each channel, as many frames out as in: (batch, K, channels)."""

    def __init__(self, channels: int, P: int, dilation: int, causal: bool) -> None:
        super().__init__(channels, channels, P, dilation=dilation, groups=channels, bias=False)
        reach = (P - 1) * dilation
        self.before = reach if causal else reach // 2
        self.after = reach - self.before

    def forward(self, x: Tensor, norm: "Norm | Identity | None" = None) -> Tensor:
        """(batch, K, channels) -> the same shape, after the scale and offset of `norm`."""
        weight = self.weight.squeeze(1).T  # (P, channels)
        if not isinstance(norm, Norm):
            return self._convolve(x, weight)
        scaled = self._convolve(x, weight * norm.gamma.flatten())
        # The offset meets the padding's zeros at both ends, so it is a function of time.
        ones = x.new_ones(1, x.shape[1], 1)
        return scaled + self._convolve(ones, weight * norm.beta.flatten())

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        padded = F.pad(x, (0, 0, self.before, self.after))
        (step,), frames = self.dilation, x.shape[1]
        y = padded[:, :frames] * weight[0]
        for tap in range(1, len(weight)):
            y = y + padded[:, tap * step : tap * step + frames] * weight[tap]
        return y


class PReLU(nn.PReLU):
    """nn.PReLU, whose gradient for the one slope is slow, as one comparison."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same."""
        return torch.where(x > 0, x, self.weight * x)


class Norm(nn.Module):
    """A scale and an offset per channel, kept as (1, channels, 1) as in the published weights."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, channels, 1))
        self.beta = nn.Parameter(torch.zeros(1, channels, 1))

    def normalise(self, x: Tensor) -> Tensor:
        """(batch, K, channels) -> the same shape, before scale and offset."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(batch, K, channels) -> the same shape."""
        return torch.addcmul(self.beta.mT, self.normalise(x), self.gamma.mT)


class ChannelwiseLayerNorm(Norm):
    """cLN: each frame is normalised over its channels."""

    def normalise(self, x: Tensor) -> Tensor:
        """(batch, K, channels) -> the same shape, before scale and offset."""
        return F.layer_norm(x, x.shape[2:], eps=EPSILON)


class GlobalLayerNorm(Norm):
    """gLN: each excerpt is normalised over channels and frames together."""

    def normalise(self, x: Tensor) -> Tensor:
        """(batch, K, channels) -> the same shape, before scale and offset."""
        return F.layer_norm(x, x.shape[1:], eps=EPSILON)


class Identity(nn.Identity):
    """No normalisation; takes the number of channels like the others."""

    def __init__(self, channels: int) -> None:  # noqa: ARG002
        super().__init__()

    def normalise(self, x: Tensor) -> Tensor:
        """The same."""
        return x


NORMS: dict[str, type[nn.Module]] = {
    "gLN": GlobalLayerNorm,
    "cLN": ChannelwiseLayerNorm,
    "id": Identity,
}
