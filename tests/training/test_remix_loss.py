import numpy as np
import pytest
import torch
from torch import Tensor

from cmss.models.waveunet import WaveUNet, WaveUNetArguments
from cmss.training.mixtures import Batch
from cmss.training.modulation import modulation_distance
from cmss.training.remix_loss import EstimatesRemixLoss, inverse_bandwidth

RATE_HZ, SAMPLES, FLOOR_DB = 5000, 6000, -60.0
LENGTH = 512  # the power of two nearest to 93 ms


def noise(*shape: int, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


BATCH = Batch(
    noise(2, 2, 2, SAMPLES) * torch.tensor([[1.0, 0.5], [0.3, 0.0]])[..., None, None],
    torch.tensor([[0, 2], [1, -1]]),
    torch.tensor([[2.0, 0.5], [1.0, 3.0]]),
)


class Given:
    """A network that returns given estimates."""

    sources = ("Cello", "Viola", "Violin")
    sample_rate_hz = RATE_HZ

    def __init__(self, estimates: Tensor) -> None:
        self.estimates = estimates

    def __call__(self, mixture: Tensor, present: Tensor) -> Tensor:
        assert present.shape == (len(mixture), 3)
        return self.estimates


def loss_of(estimates: Tensor, batch: Batch = BATCH, **weights: float) -> float:
    return EstimatesRemixLoss(floor_db=FLOOR_DB, **weights)(Given(estimates), batch).item()


def spectra(signal: np.ndarray) -> np.ndarray:
    """Hann frames, the first centred on sample 0: (samples,) -> (bins, frames)."""
    window = np.hanning(LENGTH + 1)[:-1]
    padded = np.pad(signal, LENGTH // 2)
    starts = range(0, len(padded) - LENGTH + 1, LENGTH // 2)
    frames = np.stack([np.fft.rfft(window * padded[s : s + LENGTH]) for s in starts], 1)
    return frames / np.sqrt(np.sum(window**2))


@pytest.mark.parametrize("remix", [0.0, 0.7])
def test_it_is_what_the_docstring_says(remix):
    estimates = noise(2, 3, 2, SAMPLES, seed=3)
    total, bins = 0.0, 0
    weight = inverse_bandwidth(LENGTH // 2 + 1, RATE_HZ).double().numpy()
    for row in range(2):
        level = np.sqrt(np.mean(BATCH.mixture[row].double().numpy() ** 2))
        wanted, got, error = 0.0, 0.0, 0.0
        for player, output in enumerate(BATCH.index[row].tolist()):
            if output < 0:
                continue
            gain = BATCH.gains[row, player].item()
            stem = BATCH.stems[row, player].double().numpy() / level
            estimate = estimates[row, output].double().numpy() / level
            S, E = (np.stack([spectra(x) for x in signal]) for signal in (stem, estimate))
            wanted, got = wanted + gain * S, got + gain * E
            compressed = [X * (np.abs(X) ** 2 + 1e-4) ** -0.25 for X in (S, E)]
            error = error + np.sum(np.abs(compressed[1] - compressed[0]) ** 2, 0)
        powers = [np.log(np.sum(np.abs(X) ** 2, 0) + 10 ** (FLOOR_DB / 10)) for X in (got, wanted)]
        error = error + remix * np.abs(powers[0] - powers[1])
        total, bins = total + np.sum(weight[:, None] * error), bins + error.size
    assert loss_of(estimates, remix=remix, modulation=0.0) == pytest.approx(total / bins, rel=1e-4)


def test_the_true_stems_cost_nothing():
    wanted = BATCH.targets(3)
    assert abs(loss_of(wanted)) < 1e-5 * loss_of(wanted.flip(1))


def test_modulations_of_the_remix_are_added_with_their_weight():
    estimates = noise(2, 3, 2, SAMPLES, seed=3)
    plain, weighted = (loss_of(estimates, modulation=w) for w in (0.0, 3.0))
    gains = (BATCH.gains * (BATCH.index >= 0))[..., None, None]
    given = estimates.gather(
        1, BATCH.index.clamp(min=0)[..., None, None].expand(-1, -1, 2, SAMPLES)
    )
    got, wanted = ((gains * signals).sum(1) for signals in (given, BATCH.stems))
    distance = modulation_distance(got, wanted, RATE_HZ).item()
    assert distance > 0.01
    assert weighted - plain == pytest.approx(3 * distance, rel=1e-3)


def test_it_does_not_depend_on_the_level_or_the_order_of_the_players():
    estimates = noise(2, 3, 2, SAMPLES, seed=3)
    louder = Batch(20 * BATCH.stems, BATCH.index, BATCH.gains)
    turned = Batch(BATCH.stems.flip(1), BATCH.index.flip(1), BATCH.gains.flip(1))
    usual = loss_of(estimates)
    assert loss_of(20 * estimates, louder) == pytest.approx(usual, rel=1e-4)
    assert loss_of(estimates, turned) == pytest.approx(usual, rel=1e-4)


def test_what_an_absent_output_gives_does_not_count():
    estimates = noise(2, 3, 2, SAMPLES, seed=3)
    changed = estimates.clone()
    changed[0, 1], changed[1, [0, 2]] = 5.0, -2.0
    assert loss_of(changed) == loss_of(estimates)


@pytest.mark.parametrize("silent", ["one stem", "an example", "everything", "a channel"])
def test_gradients_are_finite_where_nothing_sounds(silent):
    torch.manual_seed(0)
    arguments = WaveUNetArguments(
        Given.sources, samplerate=RATE_HZ, levels=3, filters=4, down_kernel=5, up_kernel=3,
        difference=False, conditioned=True,
    )  # fmt: skip
    model, stems = WaveUNet(arguments), BATCH.stems.clone()
    {
        "one stem": stems[0, 0], "an example": stems[1], "everything": stems,
        "a channel": stems[:, :, 1],
    }[silent].zero_()  # fmt: skip
    loss = EstimatesRemixLoss()(model, Batch(stems, BATCH.index, BATCH.gains))
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
