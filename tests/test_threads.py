"""Independent computations on several cores: the same results, in order, in the same modes."""

import os
import threading

import numpy as np
import pytest
import torch

from cmss.machine.threads import for_each, in_threads
from cmss.run.configuration import default_separator
from cmss.separators import build_separator
from cmss.transforms.overlap_add import overlap_add
from tests.support.separation import RATE_HZ, noise, sources


@pytest.fixture
def threads():
    """Return a function that sets the number of threads, which is restored afterwards."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("number", [1, 2, 5])
def test_results_are_in_order(threads, number):
    threads(number)
    assert [*in_threads(lambda x: x * x, range(20))] == [x * x for x in range(20)]
    assert [*in_threads(lambda x: x, [])] == []


def test_calls_run_at_the_same_time_and_on_a_single_core_each(threads):
    threads(3)
    meeting = threading.Barrier(3, timeout=30)

    def meet(_: int) -> tuple[int, int]:
        meeting.wait()  # raises after 30 s unless three calls wait at the same time
        nested = {*in_threads(lambda _: threading.get_ident(), range(4))}
        return torch.get_num_threads(), len(nested)

    assert [*in_threads(meet, range(3))] == [(1, 1)] * 3
    assert torch.get_num_threads() == 3


def test_with_a_gpu_calls_are_made_in_turn(threads):
    threads(3)
    assert {*in_threads(lambda _: threading.get_ident(), range(4), "cuda")} == {
        threading.get_ident()
    }


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("autocast", [False, True])
def test_threads_have_the_modes_of_their_caller(threads, inference, autocast):
    threads(2)
    with torch.inference_mode(inference), torch.autocast("cpu", torch.bfloat16, autocast):
        modes = [
            *in_threads(
                lambda _: (
                    torch.is_inference_mode_enabled(),
                    torch.is_grad_enabled(),
                    (torch.ones(2, 2) @ torch.ones(2, 2)).dtype,
                ),
                range(4),
            )
        ]
    expected = torch.bfloat16 if autocast else torch.float32
    assert modes == [(inference, not inference, expected)] * 4


def test_an_error_in_a_thread_is_raised_and_later_calls_work(threads):
    threads(2)

    def fail(number: int) -> None:
        if number == 3:
            raise ValueError(f"number {number}")

    with pytest.raises(ValueError, match="number 3"):
        for_each(fail, range(8))
    assert [*in_threads(abs, [-1, -2])] == [1, 2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork processes")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_forks_start_their_own_threads(threads):
    threads(2)
    assert [*in_threads(abs, [-1, -2])] == [1, 2]
    child = os.fork()
    if not child:
        os._exit([*in_threads(abs, [-3, -4])] != [3, 4])
    assert os.waitpid(child, 0)[1] == 0


def test_the_number_of_threads_does_not_change_segments(threads):
    signal = torch.from_numpy(noise(5000))
    results = []
    for number in (1, 3):
        threads(number)
        results.append(overlap_add(lambda x: torch.tanh(x), signal, 1000, 100))
    assert torch.equal(*results)


def test_the_number_of_threads_changes_the_default_by_rounding_alone(threads):
    mixture, track = noise(RATE_HZ), sources("Oboe", "Flute")
    separator = build_separator(
        {**default_separator(), "device": "cpu", "precision": "float32"}, RATE_HZ
    )
    stems = []
    for number in (1, 3):
        threads(number)
        stems.append(np.stack([*separator.separate(mixture, track).values()]))
    # Sums of float32 in another order, amplified by the logarithms of masks near zero.
    assert np.sum((stems[1] - stems[0]) ** 2) < 1e-6 * np.sum(stems[0] ** 2)
