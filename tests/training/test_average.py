from pathlib import Path

import pytest
import torch

from cmss.files.digests import sha256
from cmss.models.checkpoint import build, load_checkpoint, save_checkpoint
from cmss.models.weights_file import read_weights
from cmss.training.average import main

SMALL = {"sources": ("Cello", "Viola"), "n_fft": 64, "hop": 16, "bands": 16, "dims": (2, 4)}


def network(seed, **arguments):
    torch.manual_seed(seed)
    module = build("multichannel_unet", {**SMALL, **arguments})
    for statistics in (b for key, b in module.named_buffers() if "running" in key):
        statistics.uniform_(0.5, 2)
    return module


def saved(folder, name, module):
    path = folder / f"{name}.safetensors"
    save_checkpoint(path, "multichannel_unet", module, notes={"training": name})
    return str(path)


def test_each_weight_is_the_mean_and_the_header_that_of_the_last(tmp_path, capsys):
    before, after = network(0), network(1)
    files = [saved(tmp_path, "before", before), saved(tmp_path, "after", after)]
    mean = tmp_path / "mean.safetensors"
    assert main([*files, str(mean)]) == 0
    assert "the mean of 2 files" in capsys.readouterr().out
    of_both = load_checkpoint(mean).state_dict()
    header = read_weights(mean)[1]
    assert header["training"] == "after"
    names = [f"{Path(file).name} sha256 {sha256([Path(file).read_bytes()])}" for file in files]
    assert header["mean_of"].splitlines() == names
    assert str(tmp_path) not in "".join(header.values())
    states = before.state_dict(), after.state_dict()
    assert of_both.keys() == states[0].keys()
    for key, value in of_both.items():
        expected = (states[0][key] + states[1][key]) / 2
        torch.testing.assert_close(value, expected.to(value.dtype), rtol=1e-6, atol=1e-7)


def test_another_network_is_refused_by_name_and_nothing_written(tmp_path, capsys):
    files = [saved(tmp_path, "one", network(0)), saved(tmp_path, "wider", network(0, dims=(2, 6)))]
    mean = tmp_path / "mean.safetensors"
    assert main([*files, str(mean)]) == 2
    message = capsys.readouterr().err
    assert "wider.safetensors: expected weights of the same network as" in message
    assert message.count("\n") == 1
    assert not mean.exists()


@pytest.mark.parametrize("content", [None, b"no"])
def test_what_cannot_be_read_is_named(tmp_path, capsys, content):
    bad = tmp_path / "bad.safetensors"
    if content is not None:
        bad.write_bytes(content)
    good = saved(tmp_path, "good", network(0))
    assert main([good, str(bad), str(tmp_path / "mean.safetensors")]) == 2
    assert "bad.safetensors: " in capsys.readouterr().err
