import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cmss.models.presence import in_places, listed, mixture_consistent, presence
from tests.support.tensors import noise


def test_all_sources_are_present_by_default():
    mixture = noise(2, 2, 5)
    assert torch.equal(presence(None, mixture, 3), torch.ones(2, 3, dtype=torch.bool))
    given = torch.tensor([[True, False, False], [False, True, True]])
    assert presence(given, mixture, 3) is given


@pytest.mark.parametrize("present", [[[False] * 4], [[True] * 4, [False] * 4]])
def test_an_example_without_sources_is_refused(present):
    with pytest.raises(ValueError, match="without any source"):
        presence(torch.tensor(present), noise(len(present), 2, 5), 4)


@settings(deadline=None, max_examples=30)
@given(rows=st.lists(st.lists(st.booleans(), min_size=4, max_size=4).filter(any), min_size=2,
                     max_size=2))  # fmt: skip
def test_consistent_estimates_are_the_nearest_that_sum_to_the_mixture(rows):
    present, mixture, estimates = torch.tensor(rows), noise(2, 2, 6), noise(2, 4, 2, 6)
    got = mixture_consistent(estimates, mixture, present)
    torch.testing.assert_close(got.sum(1), mixture)
    assert (got[~present] == 0).all()
    # Nearest: the correction is orthogonal to all changes that keep the sum, so it is equal in all.
    for row, playing in enumerate(present):
        added = (got - estimates)[row, playing]
        torch.testing.assert_close(added, added[:1].expand_as(added))


def test_consistent_estimates_are_unchanged():
    estimates = noise(1, 3, 2, 6)
    everyone = torch.ones(1, 3, dtype=torch.bool)
    got = mixture_consistent(estimates, estimates.sum(1), everyone)
    torch.testing.assert_close(got, estimates)


def test_listed_has_each_source_that_is_present_once():
    players, chosen = listed(torch.tensor([[True, False, True, True], [False, True, False, False]]))
    assert players[0].tolist() == [0, 2, 3]
    assert chosen.tolist() == [[True, True, True], [True, False, False]]
    assert players[1, 0] == 1
    assert len(set(players[1].tolist())) == 3


def test_estimates_of_the_players_are_placed_at_their_sources():
    players, chosen = listed(torch.tensor([[False, True, True], [False, False, True]]))
    estimates = torch.randn(2, 2, 2, 5) * chosen[..., None, None]
    output = in_places(estimates, players, 3)
    assert torch.equal(output[0, 1:], estimates[0])
    assert torch.equal(output[1, 2], estimates[1, 0])
    assert not output[0, 0].any()
    assert not output[1, :2].any()
