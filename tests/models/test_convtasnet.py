from dataclasses import asdict, replace

import pytest
import torch
from recipes.cad2.task2.ConvTasNet.local.tasnet import ConvTasNetStereo

from cmss.models.convtasnet import ConvTasNet, ConvTasNetArguments
from cmss.transforms.overlap_add import in_pieces
from tests.support.tensors import noise, randomised

NON_CAUSAL = ConvTasNetArguments(N=24, L=20, B=16, H=20, X=3, R=2)
CAUSAL = replace(NON_CAUSAL, causal=True, norm_type="cLN")
BOTH = pytest.mark.parametrize("arguments", [NON_CAUSAL, CAUSAL], ids=["non-causal", "causal"])


def official(arguments: ConvTasNetArguments) -> ConvTasNetStereo:
    return ConvTasNetStereo(**asdict(arguments)).eval()


@BOTH
def test_the_official_state_dict_loads_with_all_keys_unchanged(arguments):
    weights = official(arguments).state_dict()
    ours = ConvTasNet(arguments)
    ours.load_state_dict(weights, strict=True)
    assert list(ours.state_dict()) == list(weights)
    assert all(torch.equal(ours.state_dict()[key], weights[key]) for key in weights)


@BOTH
def test_the_official_module_loads_ours(arguments):
    official(arguments).load_state_dict(ConvTasNet(arguments).state_dict(), strict=True)


@pytest.mark.parametrize("samples", [20, 29, 30, 31, 640, 1001])
@pytest.mark.parametrize(
    "arguments",
    [
        NON_CAUSAL,
        CAUSAL,
        replace(NON_CAUSAL, norm_type="cLN"),
        replace(CAUSAL, norm_type="gLN"),
        replace(NON_CAUSAL, norm_type="id", mask_nonlinear="softmax", C=4),
        replace(NON_CAUSAL, audio_channels=1, L=16),
    ],
    ids=["gLN", "causal cLN", "cLN", "causal gLN", "id softmax", "mono"],
)
@torch.no_grad()
def test_outputs_equal_the_official_ones(arguments, samples):
    theirs = randomised(official(arguments))
    ours = ConvTasNet(arguments).eval()
    ours.load_state_dict(theirs.state_dict())
    mixture = noise(2, arguments.audio_channels, samples)
    expected = theirs(mixture)
    scale = expected.abs().max()
    assert scale > 0
    torch.testing.assert_close(ours(mixture) / scale, expected / scale, rtol=0, atol=1e-5)


@BOTH
@pytest.mark.parametrize("samples", [1, 7, 19])
@torch.no_grad()
def test_signals_shorter_than_a_filter_are_padded_with_zeros(arguments, samples):
    """The official module fails for such signals."""
    model = randomised(ConvTasNet(arguments))
    mixture = noise(1, 2, samples)
    padded = torch.nn.functional.pad(mixture, (0, arguments.L - samples))
    output = model(mixture)
    assert output.shape == (1, 2, 2, samples)
    torch.testing.assert_close(output, model(padded)[..., :samples])
    with pytest.raises(RuntimeError):
        official(arguments)(mixture)


@pytest.mark.parametrize(
    ("X", "R", "expected"),
    # The published weights, and those of the challenge's training recipe. A block has
    # 2 B H + 7 H + 2; encoder, first norm, bottleneck, masks and decoder together 217,600.
    [(8, 3, 6_595_120), (10, 4, 10_846_800)],
)
@pytest.mark.parametrize("causal", [False, True])
def test_number_of_parameters(X, R, expected, causal):
    arguments = ConvTasNetArguments(
        N=256, L=20, B=256, H=512, P=3, X=X, R=R, C=2, causal=causal,
        norm_type="cLN" if causal else "gLN",
    )  # fmt: skip
    with torch.device("meta"):
        models = ConvTasNet(arguments), ConvTasNetStereo(**asdict(arguments))
    ours, theirs = (sum(p.numel() for p in model.parameters()) for model in models)
    assert ours == theirs == expected


FINITE = pytest.mark.parametrize(
    "arguments",
    [CAUSAL, replace(CAUSAL, L=6, X=2), replace(NON_CAUSAL, norm_type="cLN", X=2)],
    ids=["causal", "shorter filters", "both sides"],
)


@FINITE
@pytest.mark.parametrize("at", [600, 605, 611])
@torch.no_grad()
def test_estimates_depend_on_the_receptive_field_only(arguments, at):
    """A change of one sample changes estimates within the receptive field, up to its ends, only."""
    model = randomised(ConvTasNet(arguments))
    before = noise(1, 2, 1200)
    after = before.clone()
    after[..., at] += 3
    change = (model(after) - model(before)).abs().amax((0, 1, 2))
    reach = model.reach
    changed = change.nonzero()
    first, last = int(changed.min()), int(changed.max())
    assert at - reach.future <= first <= at - reach.future + reach.hop
    assert at + reach.past - 3 * reach.hop <= last <= at + reach.past


def test_gln_has_an_unbounded_receptive_field():
    """It normalises over the excerpt, with causal and with other convolutions."""
    for arguments in (NON_CAUSAL, replace(CAUSAL, norm_type="gLN")):
        model = randomised(ConvTasNet(arguments))
        assert model.reach is None
        before = noise(1, 2, 3000)
        after = before.clone()
        after[..., 2900:] = 0
        with torch.no_grad():
            assert (model(after) - model(before)).abs().amax((0, 1, 2))[:2000].min() > 0


@FINITE
@pytest.mark.parametrize("segment", [1, 100, 333, 5000])
@pytest.mark.parametrize("samples", [5, 1187])
@torch.no_grad()
def test_pieces_equal_the_full_signal(arguments, segment, samples):
    model = randomised(ConvTasNet(arguments))
    signal = noise(2, samples)
    whole = model(signal[None])[0]
    pieces = in_pieces(lambda x: model(x)[0], signal, segment, model.reach)
    # Matrix products of other sizes sum in another order.
    torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-5 * float(whole.abs().max()))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"norm_type": "BN"}, "norm_type"), ({"mask_nonlinear": "tanh"}, "relu"), ({"L": 21}, "even")],
)
def test_invalid_arguments_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        ConvTasNetArguments(**wrong)
