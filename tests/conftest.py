"""What holds for all tests."""

import pytest
import torch
from stage_server import stage_server


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Small tensors: a second thread costs more in waiting than it saves, more so when shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def server():
    """Runs stages in forks of one process, which imports their libraries once."""
    with stage_server() as running:
        yield running
