import json
from dataclasses import asdict

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from cmss.errors import InputError
from cmss.files.digests import file_sha256
from cmss.models.checkpoint import build, load_checkpoint, save_checkpoint
from cmss.models.registry import models
from tests.support.each_network import EACH, SMALL, network
from tests.support.tensors import noise


@EACH
@torch.no_grad()
def test_what_was_saved_is_loaded(name, tmp_path):
    model, path = network(name), tmp_path / "weights.safetensors"
    model.train()
    save_checkpoint(path, name, model)
    loaded = load_checkpoint(path)
    assert type(loaded) is type(model)
    assert loaded.arguments == model.arguments
    assert not loaded.training
    mixture = noise(1, 2, 400)
    assert torch.equal(loaded(mixture), model.eval()(mixture))


@EACH
@torch.no_grad()
def test_half_precision_differs_by_its_rounding(name, tmp_path):
    model, path = network(name), tmp_path / "weights.safetensors"
    save_checkpoint(path, name, model, torch.float16)
    loaded = load_checkpoint(path)
    for key, value in model.state_dict().items():
        # float16 has 11 significant bits; numbers below 6e-5 are subnormal, with steps of 2**-24.
        stored = loaded.state_dict()[key]
        assert stored.dtype == value.dtype
        torch.testing.assert_close(stored, value, rtol=2**-11, atol=2**-25)
    mixture = noise(1, 2, 400)
    expected = model(mixture)
    error = (loaded(mixture) - expected).square().sum() / expected.square().sum()
    assert error < 1e-5  # -50 dB: the error of each weight is at most -66 dB


def test_half_precision_halves_the_file(tmp_path):
    model = build("convtasnet", {**SMALL["convtasnet"], "H": 200})
    for name, dtype in (("full", None), ("half", torch.float16)):
        save_checkpoint(tmp_path / name, "convtasnet", model, dtype)
    ratio = (tmp_path / "half").stat().st_size / (tmp_path / "full").stat().st_size
    assert ratio == pytest.approx(0.5, abs=0.05)


def test_the_header_says_what_it_is_and_keeps_notes(tmp_path):
    model, path = network(), tmp_path / "new" / "weights.safetensors"
    save_checkpoint(path, "convtasnet", model, notes={"training": "seed: 1", "model": "mine"})
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    assert header["model"] == "convtasnet"
    assert json.loads(header["arguments"]) == asdict(model.arguments)
    assert header["training"] == "seed: 1"


def test_equal_weights_give_equal_digests(tmp_path):
    paths = [tmp_path / "first", tmp_path / "second", tmp_path / "third"]
    models = [network(), network(), network()]
    with torch.no_grad():
        models[2].decoder.basis_signals.weight[0, 0] += 1
    for path, model in zip(paths, models, strict=True):
        # Enough notes that a random order would be found.
        save_checkpoint(path, "convtasnet", model, notes=dict.fromkeys("qwertz", "é"))
    digests = [file_sha256(path) for path in paths]
    assert digests[0] == digests[1] != digests[2]


# Files that cannot be used.


def problem(path) -> str:
    with pytest.raises(InputError) as caught:
        load_checkpoint(path)
    (line,) = caught.value.problems
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line.removeprefix(f"{path}: ")


def test_missing(tmp_path):
    assert problem(tmp_path / "none.safetensors") == "no such file"


def test_a_folder(tmp_path):
    assert problem(tmp_path).startswith("not a readable safetensors file")


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.999])
def test_cut_short(tmp_path, kept):
    path = tmp_path / "weights.safetensors"
    save_checkpoint(path, "convtasnet", network())
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    assert problem(path).startswith("not a readable safetensors file")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"model": "open-unmix"}])
def test_checkpoint_of_an_unknown_network(tmp_path, metadata):
    path = tmp_path / "weights.safetensors"
    save_file(network().state_dict(), path, metadata)
    assert f"expected one of {', '.join(models())}" in problem(path)


@pytest.mark.parametrize(
    "arguments", [None, "{", "[1]", '{"L": 21}', '{"unknown": 1}', '{"N": "many"}']
)
def test_arguments_that_build_nothing(tmp_path, arguments):
    path = tmp_path / "weights.safetensors"
    header = {"model": "convtasnet"} | ({"arguments": arguments} if arguments else {})
    save_file(network().state_dict(), path, header)
    assert problem(path) == "header key 'arguments' does not fit the model"


def test_weights_of_another_size(tmp_path):
    path = tmp_path / "weights.safetensors"
    arguments = json.dumps({**SMALL["convtasnet"], "N": 13})
    save_file(network().state_dict(), path, {"model": "convtasnet", "arguments": arguments})
    assert problem(path).startswith("weights do not fit the arguments in its header (")
