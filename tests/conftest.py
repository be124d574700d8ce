"""What holds for all tests."""

import gc

import pytest
import torch

from tests.support.learned_templates import write_templates
from tests.support.stage_server import stage_server

# Each full garbage collection visits all objects of the imported libraries, of which none becomes
# garbage. It takes 0.2 s, and happens while modules are imported and in each call of a program.
gc.disable()


def pytest_collection_finish():
    """Exclude all objects until now from garbage collections."""
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Small tensors: a second thread costs more in waiting than it saves, more so when shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def learned(tmp_path_factory):
    """Dictionaries by kind, see :func:`tests.support.learned_templates.write_templates`."""
    return write_templates(tmp_path_factory.mktemp("templates"))


@pytest.fixture(scope="session")
def server():
    """Runs stages in forks of one process, which imports their libraries once."""
    with stage_server() as running:
        yield running


LONG = (
    "test_end_to_end", "test_postfiltering", "test_every_key", "test_benchmark_chain",
    "test_fuzz_texts", "test_official_scores", "test_fuzz", "test_overrides",
    "test_every_training_key", "test_benchmark_system_runs", "test_changes", "test_faults",
    "test_cluster", "test_read_only_installation", "test_desk_requests", "test_train_recipe",
    "test_every_separator", "test_compiled", "test_fit_recipe", "test_suggestions",
)  # fmt: skip
"""Test modules that take 15 s or more, in the order in which they are run.

In a new clone, the first module compiles the functions that numba caches. The second module needs
none of them, so that the second process does not compile the same functions at the same time.
"""


def pytest_collection_modifyitems(items):
    """Run long modules first, so that no process waits for a long one at the end."""
    order = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.stem, len(LONG)))
