"""Factorisations compared with scikit-learn, with explicit loops and with each other."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import non_negative_factorization

from cmss.nmf.factors import (
    divergence_of,
    initial_activations,
    product,
    update_activations,
    update_templates,
)
from cmss.nmf.plca import Latent, em_step
from cmss.nmf.smooth import update_smooth_activations

DIVERGENCES = pytest.mark.parametrize("divergence", ["kl", "is"])
LAGS = pytest.mark.parametrize("lags", [1, 2, 5])


def roughness(H: torch.Tensor) -> float:
    """The sum of d_IS(h[n - 1], h[n]) over components and frames, which smoothing minimises."""
    ratio = H[:, :-1] / H[:, 1:]
    return float((ratio - ratio.log() - 1).sum())


def positive(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 + torch.rand(*shape, dtype=torch.float64, generator=generator)


@DIVERGENCES
def test_equals_scikit_learn_from_the_same_start(divergence):
    V, W, H = positive(12, 20), positive(1, 12, 4, seed=1), positive(4, 20, seed=2)
    expected_W, expected_H, _ = non_negative_factorization(
        V.numpy(), W=W[0].numpy().copy(), H=H.numpy().copy(), init="custom", **scikit(divergence)
    )
    for _ in range(30):
        W = update_templates(V, W, H, divergence)
        H = update_activations(V, W, H, divergence)
    # The same steps in float64: rounding alone.
    np.testing.assert_allclose(W[0].numpy(), expected_W, rtol=1e-9)
    np.testing.assert_allclose(H.numpy(), expected_H, rtol=1e-9)


@DIVERGENCES
def test_equals_scikit_learn_with_given_templates(divergence):
    """In scikit-learn the second factor can be fixed, so all matrices are transposed."""
    V, W = positive(12, 20), positive(1, 12, 4, seed=1)
    expected, _, _ = non_negative_factorization(
        V.T.numpy(), H=W[0].T.numpy().copy(), update_H=False, **scikit(divergence)
    )
    H = torch.full((4, 20), float(V.mean() / 4) ** 0.5, dtype=V.dtype)  # where it starts
    for _ in range(30):
        H = update_activations(V, W, H, divergence)
    np.testing.assert_allclose(H.T.numpy(), expected, rtol=1e-9)


def scikit(divergence: str) -> dict:
    """Thirty multiplicative steps for four components."""
    losses = {"kl": "kullback-leibler", "is": "itakura-saito"}
    settings = {"n_components": 4, "solver": "mu", "max_iter": 30, "tol": 0}
    return {"beta_loss": losses[divergence], **settings}


@LAGS
def test_the_model_equals_the_sum_written_out(lags):
    W, H = positive(lags, 3, 2), positive(2, 4, seed=1)
    expected = np.zeros((3, 4))
    for lag in range(lags):
        for frame in range(lag, 4):
            for component in range(2):
                expected[:, frame] += W[lag, :, component].numpy() * float(
                    H[component, frame - lag]
                )
    np.testing.assert_allclose(product(W, H).numpy(), expected, rtol=1e-12)


@DIVERGENCES
@LAGS
def test_updates_equal_the_split_gradient(divergence, lags):
    """A multiplicative update is the ratio of the gradient's negative and positive parts.

    Autograd's gradient of the positive part P = sum of L (KL) or log L (IS), and of the whole.
    """
    V, W, H = positive(6, 9), positive(lags, 6, 3, seed=1), positive(3, 9, seed=2)
    W.requires_grad_()
    H.requires_grad_()
    L = product(W, H)
    positive_part = L.sum() if divergence == "kl" else L.log().sum()
    negative_part = (V * L.log()).sum() if divergence == "kl" else -(V / L).sum()
    rising = torch.autograd.grad(positive_part, (W, H), retain_graph=True)
    falling = torch.autograd.grad(negative_part, (W, H))
    exponent = 1 if divergence == "kl" else 0.5
    updates = (update_templates, update_activations)
    for factor, up, down, update in zip((W, H), rising, falling, updates, strict=True):
        expected = factor * (down / up) ** exponent
        torch.testing.assert_close(update(V, W, H, divergence), expected, rtol=1e-10, atol=0)


@DIVERGENCES
@LAGS
def test_the_divergence_never_rises(divergence, lags):
    V, W, H = positive(15, 30), positive(lags, 15, 4, seed=1), positive(4, 30, seed=2)
    before = divergence_of(V, product(W, H), divergence)
    for _ in range(40):
        W = update_templates(V, W, H, divergence)
        middle = divergence_of(V, product(W, H), divergence)
        H = update_activations(V, W, H, divergence)
        after = divergence_of(V, product(W, H), divergence)
        # Rounding of a sum of 450 terms.
        assert after <= middle + 1e-11
        assert middle <= before + 1e-11
        before = after


@DIVERGENCES
def test_what_templates_made_is_found_again(divergence):
    """Two templates of three lags, an activation each: exact data have divergence zero."""
    W = positive(3, 20, 2) ** 4
    truth = torch.zeros(2, 40, dtype=torch.float64)
    truth[0, [3, 20]], truth[1, [10, 30]] = 1.0, 2.0
    V = product(W, truth) + 1e-6
    H = initial_activations(V, W)
    for _ in range(2000 if divergence == "is" else 500):
        H = update_activations(V, W, H, divergence)
    # The floor of 1e-6 in V, and how far multiplicative steps come towards zero.
    torch.testing.assert_close(H, truth, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("lags", [1, 3])
def test_first_activations_have_the_sum_of_each_frame(lags):
    V, W = positive(5, 8), positive(lags, 5, 3, seed=1)
    H = initial_activations(V, W)
    torch.testing.assert_close(W.sum() * H[0], V.sum(0))
    torch.testing.assert_close(H, H[:1].expand(3, -1))


# Smooth activations.


@pytest.mark.parametrize("frames", [1, 2, 9, 10])
def test_without_smoothness_it_is_itakura_saito_nmf(frames):
    V, W, H = positive(12, frames), positive(1, 12, 4, seed=1), positive(4, frames, seed=2)
    smooth = plain = H
    for _ in range(20):
        smooth = update_smooth_activations(V, W, smooth, 0.0)
        plain = update_activations(V, W, plain, "is")
    torch.testing.assert_close(smooth, plain, rtol=1e-10, atol=0)


@pytest.mark.parametrize("smoothness", [0.1, 1, 30])
@pytest.mark.parametrize("frames", [1, 2, 3, 20])
def test_divergence_and_penalty_together_never_rise(smoothness, frames):
    V, W, H = positive(15, frames) ** 3, positive(1, 15, 4, seed=1), positive(4, frames, seed=2)

    def cost() -> float:
        return divergence_of(V, product(W, H), "is") + smoothness * roughness(H)

    before = cost()
    for _ in range(40):
        H = update_smooth_activations(V, W, H, smoothness)
        after = cost()
        # Rounding of some hundred terms.
        assert after <= before + 1e-10
        before = after


def test_a_step_ends_where_the_bound_has_no_slope():
    """With one component the bound is exact, and repeated steps converge to a stationary point."""
    V, W = positive(6, 7), positive(1, 6, 1, seed=1)
    H = positive(1, 7, seed=2)
    for _ in range(500):
        H = update_smooth_activations(V, W, H, 2.0)
    H.requires_grad_()
    L, ratio = W[0] @ H, H[:, :-1] / H[:, 1:]
    cost = (V / L + L.log()).sum() + 2.0 * (ratio - ratio.log()).sum()
    (slope,) = torch.autograd.grad(cost, H)
    # Steps of a fixed-point iteration that has converged.
    assert slope.abs().max() < 1e-9


def test_much_smoothness_makes_steady_activations():
    V, W = positive(30, 50) ** 3, positive(1, 30, 3, seed=1)
    rough = smooth = initial_activations(V, W)
    for _ in range(200):
        rough = update_smooth_activations(V, W, rough, 0.0)
        smooth = update_smooth_activations(V, W, smooth, 100.0)
    assert roughness(smooth) < 0.01 * roughness(rough)


# PLCA.


def normalised(W, H) -> Latent:
    """KL-NMF's factors, scaled to probabilities."""
    counts = W[0].sum(0)[:, None] * H
    prior = counts.sum(1)
    return Latent(W[0] / W[0].sum(0), prior / prior.sum(), counts / prior[:, None])


def test_plca_with_given_spectra_is_kullback_leibler_nmf_up_to_scale():
    """Compare each step; V and templates have any sum, probabilities sum to one."""
    V, W, H = 3 * positive(12, 20), positive(1, 12, 4, seed=1), positive(4, 20, seed=2)
    # Once updated, the activations' model has the sum of V, as probabilities do from the start.
    H = update_activations(V, W, H, "kl")
    latent = normalised(W, H)
    for _ in range(20):
        H = update_activations(V, W, H, "kl")
        latent = em_step(V / V.sum(), latent, learn_spectra=False)
        expected = normalised(W, H)
        for probability, wanted in zip(latent, expected, strict=True):
            torch.testing.assert_close(probability, wanted, rtol=1e-10, atol=0)
        torch.testing.assert_close(V.sum() * latent.joint(), product(W, H), rtol=1e-10, atol=0)


def test_where_nmf_stands_still_so_does_plca_and_the_other_way_round():
    V = product(positive(1, 8, 2, seed=3) ** 3, positive(2, 10, seed=4)) + 0.1 * positive(8, 10)
    W, H = positive(1, 8, 2, seed=1), positive(2, 10, seed=2)
    for _ in range(5000):
        W = update_templates(V, W, H, "kl")
        H = update_activations(V, W, H, "kl")
    latent = normalised(W, H)
    moved = em_step(V, latent, learn_spectra=True)
    for before, after in zip(latent, moved, strict=True):
        # Remaining change after this number of steps.
        torch.testing.assert_close(after, before, rtol=0, atol=1e-9)


def test_each_step_of_plca_makes_the_spectrogram_likelier():
    V = positive(12, 20) ** 3
    latent = normalised(positive(1, 12, 4, seed=1), positive(4, 20, seed=2))
    before = -np.inf
    for _ in range(50):
        likelihood = float((V * latent.joint().log()).sum())
        assert likelihood >= before - 1e-10
        before = likelihood
        latent = em_step(V, latent, learn_spectra=True)
        for probability in (latent.spectra.sum(0), latent.prior.sum(), latent.times.sum(1)):
            torch.testing.assert_close(probability, torch.ones_like(probability))
