import pytest

from tests.support.tiny_challenge import TinyChallenge


@pytest.fixture
def tiny(tmp_path):
    return TinyChallenge(tmp_path)
