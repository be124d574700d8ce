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


LONG = ("test_end_to_end", "test_benchmark_chain", "test_toy_network", "test_postfiltering",
    "test_every_key", "test_fuzz_texts", "test_command_line")  # fmt: skip
"""Test modules that take half a minute or more."""


def pytest_collection_modifyitems(items):
    """Run long modules first, so that no process waits for a long one at the end."""
    items.sort(key=lambda item: item.path.stem not in LONG)
