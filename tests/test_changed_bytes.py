"""Metadata with random bytes changed: read, or refused with a line for each problem."""

import pytest
from hypothesis import HealthCheck, given, settings

from tests.support.changed_bytes import CHANGES, NAMES, changed, read_all, write_data


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("changed") / "data")


def test_the_unchanged_folder_is_valid(root):
    with changed(root, []):
        read_all(root)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_file_and_one_of_noise(root, name):
    for put in (b"", bytes(range(256)), b"\xff\xfe", b"[" * 100_000):
        with changed(root, [(name, 0.0, 10**9, put)]):
            read_all(root)


@settings(
    max_examples=40,
    deadline=10_000,  # ms: no input may hang
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(CHANGES)
def test_changed_bytes_are_read_or_refused(root, changes):
    with changed(root, changes):
        read_all(root)
