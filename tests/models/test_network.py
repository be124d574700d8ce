"""Networks as folders in the format of the Hugging Face hub."""

import json
from dataclasses import asdict

import pytest
import torch
from huggingface_hub import ModelCard
from recipes.cad2.task2.ConvTasNet.local.tasnet import ConvTasNetStereo

from cmss.errors import InputError
from cmss.models.checkpoint import load_checkpoint
from cmss.models.convtasnet import ConvTasNet
from cmss.models.registry import models
from cmss.models.waveunet import WaveUNet
from tests.support.each_network import EACH, network
from tests.support.published_networks import write_networks
from tests.support.tensors import noise


def test_names_of_models_are_the_keys_of_the_registry():
    assert {name: kind.model_name for name, (kind, _) in models().items()} == {
        n: n for n in models()
    }


@EACH
@torch.no_grad()
def test_a_published_network_is_loaded(name, tmp_path):
    model = network(name)
    model.save_pretrained(tmp_path / "net")
    config = json.loads((tmp_path / "net" / "config.json").read_text())
    assert config.pop("model") == name
    assert models()[name][1](**config) == model.arguments
    mixture = noise(1, 2, 400)
    for loaded in (
        type(model).from_pretrained(tmp_path / "net"),
        load_checkpoint(tmp_path / "net" / "model.safetensors"),
    ):
        assert type(loaded) is type(model)
        assert loaded.arguments == model.arguments
        assert not loaded.training
        assert torch.equal(loaded(mixture), model(mixture))
    card = ModelCard.load(tmp_path / "net" / "README.md")
    assert (card.data.library_name, card.data.license) == ("cmss", "mit")


@torch.no_grad()
def test_the_challenges_program_and_ours_read_each_others_conv_tasnet(tmp_path):
    ours = network("convtasnet")
    ours.save_pretrained(tmp_path / "ours")
    theirs = ConvTasNetStereo.from_pretrained(str(tmp_path / "ours"))
    assert {key: getattr(theirs, key) for key in "NLBHPXRC"} == {
        key: value for key, value in asdict(ours.arguments).items() if len(key) == 1
    }
    mixture = noise(1, 2, 400)
    # Tolerance: the difference between both programs, see test_convtasnet.
    torch.testing.assert_close(theirs(mixture), ours(mixture), rtol=1e-4, atol=1e-6)

    write_networks(tmp_path, ["Oboe"])
    theirs = ConvTasNetStereo.from_pretrained(str(tmp_path / "ConvTasNet_Oboe_NonCausal"))
    ours = ConvTasNet.from_pretrained(tmp_path / "ConvTasNet_Oboe_NonCausal")
    mixture = 0.01 * mixture
    torch.testing.assert_close(ours(mixture), theirs(mixture), rtol=1e-4, atol=1e-6)


def folder_with(tmp_path, **config):
    network("convtasnet").save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    return tmp_path


def problem(kind, folder) -> str:
    with pytest.raises(InputError) as caught:
        kind.from_pretrained(folder)
    (line,) = caught.value.problems
    assert line.startswith(str(folder))
    assert "\n" not in line
    return line.removeprefix(str(folder))


def test_another_model_is_refused(tmp_path):
    said = problem(WaveUNet, folder_with(tmp_path))
    assert said == ": config.json: model: 'convtasnet', expected 'waveunet'"


@pytest.mark.parametrize("config", [{"L": 21}, {"depth": 1}, {"N": "many"}])
def test_arguments_that_build_nothing_are_refused(tmp_path, config):
    said = problem(ConvTasNet, folder_with(tmp_path, **config))
    assert said.startswith(": config.json: the entries are not valid arguments of convtasnet (")


def test_weights_of_another_size_are_refused(tmp_path):
    said = problem(ConvTasNet, folder_with(tmp_path, N=13))
    expected = "/model.safetensors: weights do not fit the network that config.json describes ("
    assert said.startswith(expected)


def test_damaged_weights_and_missing_files_are_refused(tmp_path):
    folder = folder_with(tmp_path)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    assert problem(ConvTasNet, folder).startswith(
        "/model.safetensors: not a readable safetensors file"
    )
    weights.unlink()
    assert problem(ConvTasNet, folder) == "/model.safetensors: no such file"
    (folder / "config.json").unlink()
    assert problem(ConvTasNet, folder) == ": no config.json, so not a published network"
