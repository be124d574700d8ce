import pytest
import torch

from cmss.errors import InputError
from cmss.training.state import load_state, save_state


def test_what_was_saved_comes_back_and_no_file_is_nothing(tmp_path):
    taken = []
    load_state(tmp_path / "state.pt", taken.append)
    assert taken == []
    save_state(tmp_path / "state.pt", {"step": 3, "weights": torch.arange(4)})
    load_state(tmp_path / "state.pt", taken.append)
    assert taken[0]["step"] == 3
    assert taken[0]["weights"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "content", [b"", b"something else", b"PK\x03\x04abc", bytes(range(256))]
)  # each raises an error of another kind in torch.load
def test_a_file_of_something_else_is_refused_and_stays(tmp_path, content):
    path = tmp_path / "state.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"state\.pt: cannot be read as the state of this tr"):
        load_state(path, print, "this")
    assert path.read_bytes() == content


def test_what_does_not_fit_is_refused(tmp_path):
    save_state(tmp_path / "state.pt", {"step": 3})
    with pytest.raises(InputError, match="not the state of a training of this network"):
        load_state(tmp_path / "state.pt", lambda kept: kept["model"])
