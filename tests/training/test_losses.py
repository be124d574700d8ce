import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from cmss.models.band_masks import BandMasks
from cmss.models.convtasnet import ConvTasNet, ConvTasNetArguments
from cmss.models.fourier_convtasnet import FourierConvTasNet, FourierConvTasNetArguments
from cmss.models.outputs import ACCOMPANIMENT, TARGET
from cmss.training.losses import (
    MaskLoss,
    WaveformLoss,
    multi_resolution_stft_loss,
)
from cmss.training.mixtures import Batch
from cmss.training.modulation import modulation_distance
from cmss.training.remix_loss import RemixLoss, inverse_bandwidth
from cmss.transforms.bands import band_interpolation

ARGUMENTS = FourierConvTasNetArguments(
    ("Cello", "Viola", "Violin"), L=128, hop=32, Q=10, B=8, H=10, X=2, R=1, samplerate=8000
)
FLOOR_DB = -60.0


@pytest.fixture(scope="module")
def model() -> FourierConvTasNet:
    torch.manual_seed(0)
    network = FourierConvTasNet(ARGUMENTS)
    with torch.no_grad():
        network.scores.weight *= 5
    return network


def batch_of(*index: list[int], samples: int = 900) -> Batch:
    """Noise for each player, nothing where the index is -1."""
    generator = torch.Generator().manual_seed(1)
    rows = torch.tensor(index)
    stems = 0.05 * torch.randn(*rows.shape, 2, samples, generator=generator)
    stems *= torch.tensor([1.0, 0.2, 3.0])[: rows.shape[1], None, None]
    gains = 10 ** (torch.tensor([-10.0, 3.0, 6.0]) / 20)[: rows.shape[1]]
    return Batch(stems * (rows >= 0)[..., None, None], rows, gains.expand(rows.shape))


BATCH = batch_of([0, 2, 1], [1, 2, -1], [2, -1, -1])


def compressed(spectra: Tensor) -> Tensor:
    """The same phase, the square root of the magnitude; zero stays zero."""
    return torch.polar(spectra.abs().sqrt(), spectra.angle())


def remix_loss_by_complex_numbers(model: FourierConvTasNet, batch: Batch, remix: float) -> float:
    """Compute RemixLoss by its definition, one example after the other, in double precision."""
    model.double()
    frequencies = model.analyse(torch.zeros(1, dtype=torch.float64)).shape[-2]
    total = torch.zeros(frequencies, dtype=torch.float64)
    for stems, index, gains in zip(batch.stems.double(), batch.index, batch.gains, strict=True):
        numbers = [int(number) for number in index if number >= 0]
        stems = stems[: len(numbers)]
        rms = stems.sum(0).square().mean().sqrt()
        spectra = model.analyse(stems / (rms * model.window.square().sum().sqrt()))
        mixture = spectra.sum(0)
        present = torch.zeros(1, len(model.sources), dtype=torch.bool)
        present[0, numbers] = True
        masks = model.masks(mixture[None], present)[0].to(model.to_bins)
        masks = model.spread(masks).mT[numbers].unsqueeze(1)
        estimates = masks.sqrt() * compressed(mixture)  # (players, 2, F, K)
        error = (estimates - compressed(spectra)).abs().square()
        total += error.sum((0, 1)).mean(-1)
        gains = gains[: len(numbers), None, None, None]
        floor = 10 ** (FLOOR_DB / 10)
        got, wanted = (
            (gains * parts).sum(0).abs().square().sum(0) + floor
            for parts in (masks * mixture, spectra)
        )
        total += remix * (got.log() - wanted.log()).abs().mean(-1)
    model.float()
    weight = inverse_bandwidth(frequencies, model.sample_rate_hz).double()
    return float((total * weight).mean() / len(batch.stems))


@pytest.mark.parametrize("remix", [0.0, 1.0, 2.5])
@torch.no_grad()
def test_remix_loss_equals_its_definition(model, remix):
    loss = RemixLoss(remix, FLOOR_DB)(model, BATCH)
    expected = remix_loss_by_complex_numbers(model, BATCH, remix)
    assert expected > 0.1
    assert loss.item() == pytest.approx(expected, rel=1e-4)


@torch.no_grad()
def test_a_source_alone_costs_nothing(model):
    """Its mask is one, so the estimate is the mixture and the mixture the source."""
    alone = RemixLoss()(model, batch_of([1], [0], [2])).item()
    # Not exactly zero, because a constant of 1e-6 is added to masks before the root is taken.
    assert abs(alone) < 1e-5 * RemixLoss()(model, BATCH).item()


@torch.no_grad()
def test_the_right_stem_costs_less_than_another():
    """The network assigns the mixture to the source that plays; the other source is silent."""
    batch = batch_of([0, 1])
    silent = Batch(batch.stems * torch.tensor([1.0, 0.0])[:, None, None], batch.index, batch.gains)
    swapped = Batch(silent.stems.flip(1), batch.index, batch.gains)
    steered = FourierConvTasNet(ARGUMENTS)
    steered.scores.weight.zero_()
    steered.scores.bias.copy_(torch.tensor([20.0, 0.0, 0.0]).repeat_interleave(
        steered.to_bins.shape[1]))  # fmt: skip
    right, wrong = (RemixLoss()(steered, b).item() for b in (silent, swapped))
    assert right < 0.01 * wrong


@torch.no_grad()
def test_remix_loss_does_not_depend_on_the_level(model):
    louder = Batch(20 * BATCH.stems, BATCH.index, BATCH.gains)
    assert RemixLoss()(model, louder).item() == pytest.approx(
        RemixLoss()(model, BATCH).item(), rel=1e-4
    )


@torch.no_grad()
def test_remix_loss_does_not_depend_on_the_order_of_the_players(model):
    turned = Batch(BATCH.stems.flip(1), BATCH.index.flip(1), BATCH.gains.flip(1))
    assert RemixLoss()(model, turned).item() == pytest.approx(
        RemixLoss()(model, BATCH).item(), rel=1e-4
    )


@pytest.mark.parametrize("silent", ["one stem", "an example", "everything", "a channel"])
@pytest.mark.parametrize("bfloat16", [False, True])
def test_gradients_are_finite_where_nothing_sounds(silent, bfloat16):
    torch.manual_seed(0)
    model = FourierConvTasNet(ARGUMENTS)
    stems = BATCH.stems.clone()
    where = {
        "one stem": stems[0, 0], "an example": stems[1], "everything": stems,
        "a channel": stems[:, :, 1],
    }  # fmt: skip
    where[silent].zero_()
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        loss = RemixLoss()(model, Batch(stems, BATCH.index, BATCH.gains))
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@torch.no_grad()
def test_modulations_of_the_remix_are_added_with_their_weight(model):
    """By hand: the remix of the network's own estimates against that of the stems."""
    batch = batch_of([0, 2, 1], samples=9000)
    plain, weighted = (RemixLoss(modulation=w)(model, batch).item() for w in (0.0, 3.0))
    estimates = model(batch.mixture, batch.present(3)).gather(
        1, batch.index[..., None, None].expand_as(batch.stems)
    )
    gains = batch.gains[..., None, None]
    got, wanted = ((gains * signals).sum(1) for signals in (estimates, batch.stems))
    distance = modulation_distance(got, wanted, model.sample_rate_hz).item()
    assert distance > 0.01
    assert weighted - plain == pytest.approx(3 * distance, rel=1e-3)


@torch.no_grad()
def test_a_few_steps_against_the_gradient_lower_the_remix_loss():
    torch.manual_seed(0)
    model = FourierConvTasNet(ARGUMENTS)
    loss = RemixLoss()
    with torch.enable_grad():
        before = loss(model, BATCH)
        before.backward()
    for parameter in model.parameters():
        parameter -= 1e-2 * parameter.grad
    assert loss(model, BATCH) < before


def test_inverse_bandwidth_is_that_of_glasberg_and_moore():
    weight = inverse_bandwidth(5, 8000)
    assert weight.mean() == pytest.approx(1)
    # Table of the paper's formula: 24.7 Hz at 0, 132.6 Hz at 1 kHz, 456.5 Hz at 4 kHz.
    assert (weight[0] / weight[1]).item() == pytest.approx(132.64 / 24.7, rel=1e-3)
    assert (weight[0] / weight[4]).item() == pytest.approx(456.46 / 24.7, rel=1e-3)


# Loss of the masks.


class Masks(BandMasks):
    """Masks that are the same everywhere."""

    def __init__(self, values: list[float]) -> None:
        weights = band_interpolation(65, 10)
        arguments = SimpleNamespace(sources=("a", "b"), samplerate=8000)
        super().__init__(arguments, 128, 32, weights / weights.sum(0), weights)
        self.values = torch.tensor(values)

    def masks(self, spectra: Tensor, present: Tensor) -> Tensor:
        shape = (*present.shape, spectra.shape[-1], self.to_bands.shape[1])
        return self.values[:, None, None].expand(shape)


def in_phase(*levels: float) -> Batch:
    """The same noise from every player at other levels, so that magnitudes add up."""
    noise = 0.1 * torch.randn(1, 1, 2, 4000, generator=torch.Generator().manual_seed(0))
    stems = noise * torch.tensor(levels)[None, :, None, None]
    index = torch.arange(len(levels))[None]
    return Batch(stems, index, torch.ones(1, len(levels)))


def test_mask_loss_wants_ratios_of_magnitudes():
    # The constant under the ratio, and float32.
    assert MaskLoss()(Masks([0.25, 0.75]), in_phase(1.0, 3.0)).item() < 1e-5


@pytest.mark.parametrize(("exponent", "expected"), [(0.0, 0.1), (1.0, (0.1 * 9 + 0.1) / 2)])
def test_mask_loss_weighs_soft_sources_by_what_they_lack_in_energy(exponent, expected):
    loss = MaskLoss(exponent)(Masks([0.35, 0.85]), in_phase(1.0, 3.0))
    assert loss.item() == pytest.approx(expected, rel=1e-3)


def test_mask_loss_takes_large_ratios_for_ten():
    """Players out of phase: the mixture is a hundredth of either."""
    loss = MaskLoss()(Masks([10.0, 10.0]), in_phase(1.01, -1.0))
    assert loss.item() < 1e-4


def test_mask_loss_of_silence_is_finite():
    assert MaskLoss()(Masks([0.5, 0.5]), in_phase(1.0, 0.0)).isfinite()
    assert MaskLoss()(Masks([0.5, 0.5]), in_phase(0.0, 0.0)) == 0


# Loss of the waveforms.


class Known(torch.nn.Module):
    def __init__(self, estimates: Tensor) -> None:
        super().__init__()
        self.estimates = estimates

    @property
    def sources(self) -> tuple[str, ...]:
        return (TARGET, ACCOMPANIMENT)

    def forward(self, mixture: Tensor, present: Tensor) -> Tensor:  # noqa: ARG002
        return self.estimates.expand(len(mixture), -1, -1, -1)


def test_waveform_loss_wants_target_and_accompaniment():
    # Two voices of the target, then two others and none.
    index = torch.tensor([[0, 0, 1], [1, 0, -1]])
    stems = torch.tensor([[1.0, 2.0, 4.0], [8.0, 16.0, 0.0]])[..., None, None].expand(-1, -1, 2, 6)
    batch = Batch(stems, index, torch.ones(2, 3))
    wanted = torch.tensor([[3.0, 4.0], [16.0, 8.0]])[..., None, None].expand(-1, -1, 2, 6)
    assert WaveformLoss()(Known(wanted), batch) == 0
    assert WaveformLoss()(Known(wanted + 0.5), batch) == 0.5
    assert WaveformLoss()(Known(wanted.flip(1)), batch) > 1


def test_waveform_loss_trains_the_official_network():
    torch.manual_seed(0)
    model = ConvTasNet(ConvTasNetArguments(N=8, B=6, H=8, X=2, R=1))
    batch = batch_of([0, 1, 1], [1, 0, -1])
    WaveformLoss()(model, batch).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_waveform_loss_of_squares():
    batch = Batch(torch.ones(1, 2, 2, 6), torch.tensor([[0, 1]]), torch.ones(1, 2))
    assert WaveformLoss(2)(Known(torch.full((1, 2, 2, 6), 3.0)), batch) == 4


def test_what_an_absent_output_gives_does_not_count():
    batch = Batch(torch.ones(1, 1, 2, 6), torch.tensor([[0]]), torch.ones(1, 1))
    wanted = torch.tensor([1.0, 9.0])[None, :, None, None].expand(-1, -1, 2, 6)
    assert WaveformLoss()(Known(wanted), batch) == 0


@pytest.mark.parametrize("silent", [False, True])
def test_spectra_of_estimates_that_are_right_cost_next_to_nothing(silent):
    """1e-4 is the root of the constant that keeps the gradient finite."""
    wanted = torch.zeros(1, 2, 3000) if silent else batch_of([0], samples=3000).stems[0]
    estimates = wanted.clone().requires_grad_()
    loss = multi_resolution_stft_loss(estimates, wanted)
    loss.backward()
    assert loss.item() == pytest.approx(1e-4, rel=1e-2)
    assert estimates.grad.isfinite().all()


def test_spectra_at_twice_the_level():
    """Spectral convergence 1, and log 2 for the difference of the log magnitudes.

    Two per cent, since the edges' frames are not above the floor by the same ratio.
    """
    wanted = batch_of([0], samples=3000).stems[0]
    loss = multi_resolution_stft_loss(2 * wanted, wanted)
    assert loss.item() == pytest.approx(1 + math.log(2), rel=0.02)


def test_spectral_loss_is_added_with_its_weight():
    torch.manual_seed(0)
    model = ConvTasNet(ConvTasNetArguments(N=8, B=6, H=8, X=2, R=1))
    batch = batch_of([0, 1, 1], samples=3000)
    plain, one, two = (WaveformLoss(spectral=s)(model, batch).item() for s in (0.0, 1.0, 2.0))
    assert one > plain
    assert two - one == pytest.approx(one - plain, rel=1e-4)
