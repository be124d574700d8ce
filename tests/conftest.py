"""What holds for all tests."""

import pytest
import torch

from tests.support.learned_templates import write_templates
from tests.support.stage_server import stage_server


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
    "test_fuzz_texts", "test_official_scores", "test_fuzz", "test_every_training_key",
    "test_benchmark_system_runs", "test_changes", "test_faults", "test_cluster",
    "test_read_only_installation", "test_desk_requests",
)  # fmt: skip
"""Test modules that take 20 s or more, in the order in which they are run.

In a new clone, the first module compiles the functions that numba caches. The second module needs
none of them, so that the second process does not compile the same functions at the same time.
"""


def pytest_collection_modifyitems(items):
    """Run long modules first, so that no process waits for a long one at the end."""
    order = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.stem, len(LONG)))
