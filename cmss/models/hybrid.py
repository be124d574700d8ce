"""Implements Hybrid Demucs, which adds the estimates of a waveform U-Net and a spectral U-Net.

The paper is Defossez 2021, "Hybrid Spectrogram and Waveform Source Separation". This module
contains the code that two generations of Demucs share: the third generation
(:mod:`cmss.models.hdemucs`) and the fourth generation (:mod:`cmss.models.htdemucs`). The code is
based on the authors' code, facebookresearch/demucs (MIT licence; see NOTICE). The parameters have
the same names as in the authors' code.

In shapes, B is the batch size, S the number of sources, T the number of samples, C the number of
channels, F the number of frequency bins, and K the number of frames.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmss.models.band_masks import stereo_features
from cmss.models.demucs_layers import BinEmbedding, Decoder, Encoder, LevelArguments, rescale
from cmss.models.network import Network
from cmss.models.presence import in_places, listed, mixture_consistent, of_players, presence
from cmss.transforms.stft import istft, stft


@dataclass(frozen=True)
class HybridArguments:
    """Arguments of the third and the fourth generation of Demucs.

    Arguments that also exist in the authors' code have the same names here.

    Args:
        sources: names of the outputs in order.
        samplerate: sampling rate of the network in Hz.
        channels: number of channels of the first level of the spectral branch.
        channels_time: number of channels of the first level of the waveform branch; if None, the
            number is `channels`.
        growth: ratio of the number of channels of a level to the number of channels of the level
            above.
        nfft: length of a frame in samples; the hop is a quarter of this length.
        depth: number of levels.
        kernel_size, stride: kernel size and stride of the convolutions between levels. These
            convolutions are over frequency in the spectral branch, and over time in the waveform
            branch.
        context: number of neighbours on each side of a position. The first convolution of a decoder
            covers the position and these neighbours, so the kernel size is 2 x `context` + 1.
        norm_starts: first level with group normalisation.
        norm_groups: number of groups of the group normalisation.
        dconv_mode: place of the residual branches: 1 for encoders, 2 for decoders, 3 for both.
        dconv_starts: first level with residual branches. A larger `dconv_starts` saves computation,
            because residual branches of the upper levels require the most computation.
        dconv_depth, dconv_comp, dconv_init: arguments `depth`, `compress` and `start` of
            :class:`cmss.models.demucs_layers.DConv`.
        freq_emb: weight of the frequency embedding. The weighted embedding is added to the output
            of the first level.
        emb_scale: ratio of the learning rate of the frequency embedding to the learning rate of
            other parameters.
        rescale: reference standard deviation for :func:`cmss.models.demucs_layers.rescale`; 0 for
            no rescaling.
        masks: whether the spectral branch estimates masks; False in the paper. If `masks` is false,
            the inputs and outputs of the spectral branch are complex spectra, whose real and
            imaginary parts are separate channels. If `masks` is true, the inputs are levels and
            directions of arrival, and the outputs are masks. The masks sum to 1 over the sources
            that are present. The masks are the same for both audio channels.
        conditioned: whether the network is conditioned on the presence of the sources.
        consistent: whether the difference between the mixture and the sum of the estimates is
            distributed among the sources that are present.
    """

    sources: tuple[str, ...]
    samplerate: int = 44100
    channels: int = 48
    channels_time: int | None = None
    growth: float = 2.0
    nfft: int = 4096
    depth: int = 6
    kernel_size: int = 8
    stride: int = 4
    context: int = 1
    norm_starts: int = 4
    norm_groups: int = 4
    dconv_mode: int = 1
    dconv_starts: int = 0
    dconv_depth: int = 2
    dconv_comp: float = 4
    dconv_init: float = 1e-3
    freq_emb: float = 0.2
    emb_scale: float = 10.0
    rescale: float = 0.1
    masks: bool = False
    conditioned: bool = False
    consistent: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", tuple(self.sources))
        if self.depth < 1:
            raise ValueError(f"depth: expected at least 1, got {self.depth}")
        narrowest = min(self.channels, self.channels_time or self.channels)
        if not 1 <= self.dconv_comp <= narrowest:
            raise ValueError(f"dconv_comp: expected 1 to {narrowest}, got {self.dconv_comp:g}")
        if self.nfft % 8:
            raise ValueError(f"nfft: expected a multiple of 8, got {self.nfft}")

    def lowest(self, channels: int) -> int:
        """Return the number of channels of a branch's lowest level.

        Args:
            channels: number of channels of the branch's first level.
        """
        for _ in range(self.depth - 1):
            channels = int(self.growth * channels)
        return channels


class Hybrid(Network, ABC):
    """Base class of networks with a spectral branch and a waveform branch.

    Subclasses implement :meth:`bottom`, which connects the encoders to the decoders.

    Args:
        arguments: arguments of the network.
        time_stride: stride of the levels below the level where the two branches merge.
        attention_from: first level whose residual branches have attention. If `attention_from` is
            None, no level has attention.
        lstm_from: first level whose residual branches have an LSTM. If `lstm_from` is None, no
            level has an LSTM.

    Shape:
        The mixture has the shape (B, 2, T). The optional bool tensor `present` has the shape (B,
        S); by default, all sources are present. The output has the shape (B, S, 2, T) and is
        exactly aligned with the mixture. Outputs of absent sources are zero. If `consistent` is
        true, the sum of the sources is the mixture.
    """

    window: Tensor

    def __init__(
        self,
        arguments: HybridArguments,
        time_stride: int = 2,
        attention_from: int | None = None,
        lstm_from: int | None = None,
    ) -> None:
        super().__init__(arguments)
        a = arguments
        self.register_buffer("window", torch.hann_window(a.nfft), persistent=False)
        self.hop = a.nfft // 4
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        self.tencoder, self.tdecoder = nn.ModuleList(), nn.ModuleList()
        inputs, inputs_time = 4, 2
        outputs_time = 2 * len(a.sources)
        outputs = len(a.sources) if a.masks else 2 * outputs_time
        width, width_time = a.channels, a.channels_time or a.channels
        self._meeting: int | None = None  # level where the branches merge
        bins = a.nfft // 2
        for level in range(a.depth):
            # The levels of the spectral branch convolve over frequency until a single bin is left.
            # At this level, the two branches merge. Lower levels convolve over time.
            frequency = bins > 1
            last = frequency and bins <= a.kernel_size
            if last:
                width = width_time = max(width, width_time)
            kernel, stride = a.kernel_size, a.stride
            if not frequency:
                kernel, stride = 2 * time_stride, time_stride
            if last:
                kernel, self._meeting = bins, level
            groups = a.norm_groups if level >= a.norm_starts else 0
            dconv = {
                "compress": a.dconv_comp,
                "depth": a.dconv_depth,
                "start": a.dconv_init,
                "attention": attention_from is not None and level >= attention_from,
                "lstm": lstm_from is not None and level >= lstm_from,
            }
            pad = 0 if last else kernel // 4
            spectral = LevelArguments(inputs, width, kernel, stride, frequency, pad, groups, dconv)
            self._add(spectral, outputs, level == 0)
            if frequency:
                waveform = LevelArguments(
                    inputs_time, width_time, a.kernel_size, a.stride, False, a.kernel_size // 4,
                    groups, dconv, last,
                )  # fmt: skip
                self._add(waveform, outputs_time, level == 0, time=True)
                bins = 1 if last else bins // a.stride
            if level == 0:
                self.freq_emb = BinEmbedding(bins, width, a.emb_scale)
            inputs = outputs = width
            inputs_time = outputs_time = width_time
            width, width_time = int(a.growth * width), int(a.growth * width_time)
        if a.rescale:
            rescale(self, a.rescale)
        self.presence = nn.Linear(len(a.sources), inputs, bias=False) if a.conditioned else None
        self.presence_t = (
            nn.Linear(len(a.sources), inputs_time, bias=False)
            if a.conditioned and self._meeting is None
            else None
        )

    def _add(self, level: LevelArguments, outputs: int, final: bool, time: bool = False) -> None:
        """Add the encoder and the decoder of a level to a branch."""
        a = self.arguments
        encoder, decoder = (self.tencoder, self.tdecoder) if time else (self.encoder, self.decoder)
        branches = a.dconv_mode if len(encoder) >= a.dconv_starts else 0
        # Bit 0 of `dconv_mode` stands for the encoders, bit 1 for the decoders.
        encoder.append(Encoder(level, bool(branches & 1)))
        decoder.insert(0, Decoder(level, outputs, bool(branches & 2), a.context, final))

    @abstractmethod
    def bottom(self, x: Tensor, x_time: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the decoders' inputs from the encoders' outputs; the shapes do not change.

        Args:
            x: output of the spectral branch's encoders, an array of shape (B, C, F, K), or (B, C,
                K) if the two branches have merged.
            x_time: output of the waveform branch's encoders, an array of shape (B, C, T).
        """

    def forward(self, mixture: Tensor, present: Tensor | None = None) -> Tensor:
        """Separate mixtures (B, 2, T) into sources (B, S, 2, T)."""
        a = self.arguments
        present = presence(present, mixture, len(a.sources))
        samples = mixture.shape[-1]
        # Spectra and their statistics are computed in float32, even under autocast.
        with torch.autocast(mixture.device.type, enabled=False):
            spectra = self.analyse(mixture)  # complex (B, 2, F, K)
            image, mean, deviation = self._image(spectra)  # (B, 4, F, K), (B, 1 or 4, 1, 1) twice
            signal, mean_time, deviation_time = _normalised(mixture, (1, 2))  # (B, 2, T)
        # (B, S, F, K) with masks, else (B, S 2 2, F, K); waveforms (B, S 2, T)
        image, signal = self._branches(image, signal, present)
        # The outputs are processed further only for the P players, because spectra of all S sources
        # would require most of the computing time.
        players, chosen = listed(present)
        if a.masks:
            scores = of_players(image.float(), players)  # (B, P, F, K)
            masks = scores.masked_fill(~chosen[..., None, None], -torch.inf).softmax(1)
            # (B, P, 1, F, K) * (B, 1, 2, F, K)
            masks, spectra = masks.unsqueeze(2), spectra.unsqueeze(1)
            # Real and imaginary parts are multiplied separately, because a complex product would
            # first convert the masks to complex numbers.
            estimates = torch.complex(masks * spectra.real, masks * spectra.imag)
        else:
            # The channels are the real and imaginary parts of both audio channels.
            image = of_players(
                image.float().unflatten(1, (-1, 2, 2)), players
            )  # (B, P, 2, 2, F, K)
            image = image * deviation.unsqueeze(1)[..., None] + mean.unsqueeze(1)[..., None]
            estimates = torch.view_as_complex(image.movedim(3, -1).contiguous())
        # The estimates of both branches are added as waveforms. `estimates` is complex
        # (B, P, 2, F, K).
        signal = of_players(signal.float().unflatten(1, (-1, 2)), players)  # (B, P, 2, T)
        signal = signal * deviation_time.unsqueeze(1) + mean_time.unsqueeze(1)
        stems = self.synthesise(estimates, samples) + signal  # (B, P, 2, T)
        if a.consistent:
            stems = mixture_consistent(stems, mixture, chosen)
        else:
            stems = stems * chosen[..., None, None]
        return in_places(stems, players, len(a.sources))  # (B, S, 2, T)

    def _image(self, spectra: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the normalised input of the spectral branch.

        If `masks` is true, the input is the result of :func:`stereo_features` for each bin, and
        each feature is normalised separately. If `masks` is false, the input consists of the real
        and the imaginary part of the spectra of both channels. These four parts are normalised
        together.

        Args:
            spectra: spectra of the mixture, a complex array of shape (B, 2, F, K).

        Returns:
            The normalised input (B, 4, F, K), and the mean and the standard deviation of the input
            before normalisation.
        """
        if not self.arguments.masks:
            # (B, 2, F, K, 2) -> (B, 2, 2, F, K) -> (B, 4, F, K)
            parts = torch.view_as_real(spectra).permute(0, 1, 4, 2, 3).flatten(1, 2)
            return _normalised(parts, (1, 2, 3))
        left, right = spectra.unbind(1)  # (B, F, K) each
        cross = left * right.conj()
        power = spectra.real.square() + spectra.imag.square()  # (B, 2, F, K)
        features = stereo_features(power, torch.stack((cross.real, cross.imag), 1))
        return _normalised(features, (2, 3))

    def _branches(self, x: Tensor, x_time: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the encoders, :meth:`bottom` and the decoders of both branches.

        Args:
            x: normalised input of the spectral branch, an array of shape (B, 4, F, K).
            x_time: normalised input of the waveform branch, an array of shape (B, 2, T).
            present: whether each source is present, a bool array of shape (B, S).

        Returns:
            The output of the spectral branch and the output of the waveform branch.
        """
        # The length at each level is stored, because the decoders remove the encoders' padding.
        skips, skips_time, lengths, lengths_time = [], [], [], []
        for level, encoder in enumerate(self.encoder):
            lengths.append(x.shape[-1])
            inject = None  # output of the waveform branch at the level where the branches merge
            if level < len(self.tencoder):
                lengths_time.append(x_time.shape[-1])
                x_time = self.tencoder[level](x_time)  # (B, C, T / stride^(level + 1))
                if level == self._meeting:
                    inject = x_time
                else:
                    skips_time.append(x_time)
            x = encoder(x, inject)  # (B, C, F / stride^(level + 1), K); (B, C, K) after the merge
            if level == 0:
                x = x + self.arguments.freq_emb * self.freq_emb()  # + (C, F, 1)
            skips.append(x)
        if self.presence is not None:
            embedding = self.presence(present.to(x.dtype))  # (B, C)
            x = skips[-1] = x + embedding.view(*embedding.shape, *(1,) * (x.dim() - 2))
        if self.presence_t is not None:
            embedding = self.presence_t(present.to(x.dtype))
            x_time = skips_time[-1] = x_time + embedding.unsqueeze(-1)
        x, x_time = self.bottom(x, x_time)  # the shapes do not change
        # The waveform branch has decoders only above the level where the branches merge.
        apart = len(self.decoder) - len(self.tdecoder)
        for level, decoder in enumerate(self.decoder):
            x, before = decoder(x, skips.pop(), lengths.pop())
            if level < apart:
                continue
            decoder_time = self.tdecoder[level - apart]
            if self._meeting is not None and level == apart:
                # Above the merge, the waveform decoders start from the spectral decoder.
                skip, x_time = None, before.squeeze(2)  # (B, C, 1, K) -> (B, C, K)
            else:
                skip = skips_time.pop()
            x_time, _ = decoder_time(x_time, skip, lengths_time.pop())
        return x, x_time

    def analyse(self, signal: Tensor) -> Tensor:
        """Compute the complex STFT (..., F, K) of signals (..., T) without the highest bin.

        The number of frames K is T / hop, rounded up. Frames are centred on the middle of each hop.
        The convolutions of the waveform branch have the same centres. The signal is reflected at
        both ends.
        """
        frames = -(-signal.shape[-1] // self.hop)
        # Frame 2 of :func:`stft` is centred on sample 2 hop of the padded signal. The padding
        # before the signal is 3/2 hop long. Therefore, the centre of frame 2 is sample hop / 2 of
        # the signal, the middle of its first hop. Therefore, frames 0 and 1 are dropped.
        edge = self.hop // 2 * 3
        padded = _reflected(signal, edge, edge + frames * self.hop - signal.shape[-1])
        spectra = stft(padded, self.window, self.hop)[..., :-1, 2 : 2 + frames]
        return spectra / self.arguments.nfft**0.5  # unitary, as in the authors' code

    def synthesise(self, spectra: Tensor, samples: int) -> Tensor:
        """Invert :meth:`analyse`; the highest bin is set to zero."""
        edge = self.hop // 2 * 3
        padded = F.pad(spectra * self.arguments.nfft**0.5, (2, 2, 0, 1))
        length = spectra.shape[-1] * self.hop + 2 * edge
        return istft(padded, self.window, self.hop, length)[..., edge : edge + samples]


def _reflected(signal: Tensor, before: int, after: int) -> Tensor:
    """Extend a signal by reflection at its ends.

    A signal that is too short for the reflection is first padded with zeros.

    Args:
        signal: the signal, an array of shape (B, C, T).
        before: number of samples to add at the start.
        after: number of samples to add at the end.
    """
    missing = max(before, after) - signal.shape[-1] + 1
    if missing > 0:
        zeros_after = min(after, missing)
        zeros_before = missing - zeros_after
        signal = F.pad(signal, (zeros_before, zeros_after))
        before, after = before - zeros_before, after - zeros_after
    return F.pad(signal, (before, after), mode="reflect")


def _normalised(x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Scale a tensor to zero mean and unit standard deviation over some axes.

    Returns:
        The scaled tensor, and the mean and the standard deviation before scaling.
    """
    mean, deviation = x.mean(axes, keepdim=True), x.std(axes, keepdim=True)
    # This is the authors' constant against division by zero.
    return (x - mean) / (1e-5 + deviation), mean, deviation
