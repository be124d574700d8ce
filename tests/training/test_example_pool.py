"""The pool of examples from which a post-filter is trained."""

from collections import Counter

import pytest
import torch

from cmss.models.postfilter_network import PostfilterArguments
from cmss.training.example_pool import ExamplePool
from cmss.training.postfiltering import Example

STEPS, SIZE, BATCH, USES = 200, 12, 3, 4


def pool(make=lambda number: number, steps: int = STEPS, seed: int = 1) -> ExamplePool:
    return ExamplePool(make, SIZE, BATCH, USES, steps, seed)


def test_an_example_is_used_as_often_as_asked_and_made_once():
    made = []
    with pool(lambda number: made.append(number) or number) as drawn:
        used = Counter(number for step in range(STEPS) for number in drawn(step))
    assert made == sorted(set(made))
    assert max(used) < len(made) == STEPS * BATCH // USES + SIZE - 1
    # Away from both ends, the mean is `USES`: 100 examples with 4 uses each, whose standard
    # deviation is 2, have a mean within 0.6 of it.
    inner = [used[number] for number in range(SIZE, SIZE + 100)]
    assert sum(inner) / len(inner) == pytest.approx(USES, abs=0.6)


def test_a_step_is_a_function_of_its_number():
    with pool() as once, pool() as again, pool(seed=2) as other:
        first = [once(step) for step in range(60)]
        assert first[40:] == [again(step) for step in range(40, 60)]
        assert first != [other(step) for step in range(60)]
        for step, drawn in enumerate(first):
            assert all(once.first(step) <= number < once.first(step) + SIZE for number in drawn)


def test_an_error_of_an_example_ends_the_training():
    def make(number: int):
        raise ValueError(f"example {number}")

    with pytest.raises(ValueError, match="example"), pool(make) as drawn:
        drawn(0)


def test_an_example_of_silence_is_finite():
    silence = torch.zeros(2, 20000)
    example = Example.of(silence, silence[None], silence[None], PostfilterArguments(bins=64))
    for values in (example.features, example.mixture.abs(), example.stems.abs()):
        assert torch.isfinite(values).all()
