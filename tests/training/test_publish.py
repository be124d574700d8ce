"""Published folders: weights and model card."""

import pytest
import torch
from huggingface_hub import ModelCard

from cmss.errors import InputError
from cmss.files.digests import file_sha256
from cmss.models.checkpoint import build, load_checkpoint, save_checkpoint
from cmss.models.convtasnet import ConvTasNet
from cmss.models.fourier_convtasnet import FourierConvTasNet
from cmss.models.outputs import OUTPUTS
from cmss.separators import build_separator
from cmss.training.publish import main, publish
from tests.support.separation import noise, sources

SMALL = {"sources": OUTPUTS, "B": 8, "H": 8, "X": 1, "R": 1}
LOG = """step,seconds,training_loss,validation_loss,sdr_improvement_db,haaqi
500,1800,1.9,1.8,4.25,
1000,3600,1.5,1.4,6.125,0.7321
1500,5400,1.3,1.6,6.5,
"""


def trained(folder, model="fourier_convtasnet", arguments=SMALL, **notes):
    """As train.py leaves it."""
    torch.manual_seed(0)
    save_checkpoint(
        folder / "best.safetensors", model, build(model, arguments), torch.float16, notes
    )
    (folder / "log.csv").write_text(LOG)
    return folder / "best.safetensors"


@torch.no_grad()
def test_weights_come_back_to_the_bit(tmp_path):
    weights = trained(tmp_path / "run")
    publish(weights, tmp_path / "small")
    names = sorted(path.name for path in (tmp_path / "small").iterdir())
    assert names == ["README.md", "config.json", "model.safetensors"]
    assert file_sha256(tmp_path / "small" / "model.safetensors") == file_sha256(weights)
    loaded = FourierConvTasNet.from_pretrained(tmp_path / "small")
    mixture = torch.from_numpy(noise())[None]
    assert torch.equal(loaded(mixture), load_checkpoint(weights)(mixture))


def test_the_card_says_what_training_left(tmp_path):
    weights = trained(
        tmp_path / "run",
        training="model: convtasnet\ninstrument: null\nseed: 7\n",
        data="train: 12 tracks, 1.5 h",
    )
    publish(weights, tmp_path / "small", data="recordings of my own", licence="cc0-1.0")
    card = ModelCard.load(tmp_path / "small" / "README.md")
    assert (card.data.license, card.data.library_name) == ("cc0-1.0", "cmss")
    for line in (
        "# FourierConvTasNet",
        f"| outputs | {', '.join(OUTPUTS)} |",
        "| input | stereo mixture at 22050 Hz |",
        "| look-ahead | the entire mixture |",
        "| licence | cc0-1.0 |",
        "| data | recordings of my own; train: 12 tracks, 1.5 h |",
        "| duration | 1500 steps, 1.5 h |",
        "| best validation | step 1000, with the lowest loss |",
        "| validation loss | 1.4 |",
        "| SDR improvement on validation | 6.12 dB |",
        "| HAAQI on validation, step 1000 | 0.7321 |",
        "seed: 7",
        'network = FourierConvTasNet.from_pretrained("small")  # or its name on the hub',
        "    python recipes/cad2/enhance.py path.root=DATA separator=convtasnet "
        "separator.weights_from=small",
    ):
        assert line in card.text.splitlines()


def test_the_card_of_a_network_of_one_instrument_without_a_log(tmp_path):
    arguments = {"N": 8, "B": 4, "H": 4, "X": 1, "R": 1, "causal": True, "norm_type": "cLN"}
    weights = trained(tmp_path / "run", "convtasnet", arguments, training="instrument: Oboe\n")
    (tmp_path / "run" / "log.csv").unlink()
    publish(weights, tmp_path / "Oboe")
    text = ModelCard.load(tmp_path / "Oboe" / "README.md").text
    assert "\n# ConvTasNet for Oboe\n" in text
    assert "into Oboe and the accompaniment" in text
    assert "| look-ahead | 0.4 ms |" in text  # filters of 20 samples
    assert "| data | not recorded |" in text
    assert "separator=convtasnet separator.weights_from=." in text


def test_the_code_of_the_card_runs(tmp_path):
    publish(trained(tmp_path / "run"), tmp_path / "small")
    text = ModelCard.load(tmp_path / "small" / "README.md").text
    code = text.split("```python\n")[1].split("```")[0]
    mixture, present = torch.zeros(1, 2, 3000), torch.ones(1, len(OUTPUTS), dtype=torch.bool)
    names = {"mixture": mixture, "present": present}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        exec(code, names)
    assert names["estimates"].shape == (1, len(OUTPUTS), 2, 3000)


def test_separators_take_what_was_published(tmp_path):
    """One network for all by its folder, those of one instrument by the folder that holds them."""
    publish(trained(tmp_path / "run"), tmp_path / "small")
    arguments = {"N": 8, "B": 4, "H": 4, "X": 1, "R": 1}
    publish(trained(tmp_path / "run", "convtasnet", arguments), tmp_path / "each" / "Oboe")
    ConvTasNet.from_pretrained(tmp_path / "each" / "Oboe")
    for folder, weights in (("small", "small"), ("each", "each/Oboe")):
        settings = {"name": "convtasnet", "weights_from": str(tmp_path / folder), "device": "cpu"}
        separator = build_separator(settings, 44100)
        assert separator.separate(noise(), sources("Oboe"))["source_1"].shape == (2, 3000)
        path = tmp_path / weights / "model.safetensors"
        assert separator.weights == {str(path): file_sha256(path)}


def test_what_is_there_is_not_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="there: exists, expected a new folder"):
        publish(trained(tmp_path / "run"), tmp_path / "there")


def test_a_log_of_something_else_is_refused_and_leaves_nothing(tmp_path):
    weights = trained(tmp_path / "run")
    (tmp_path / "run" / "log.csv").write_text("step,loss\n1,2\n")
    with pytest.raises(InputError, match=r"log\.csv: column missing: seconds, "):
        publish(weights, tmp_path / "small")
    assert not (tmp_path / "small").exists()


def test_the_log_of_weights_in_the_package_is_called_as_they_are(tmp_path):
    weights = trained(tmp_path / "run")
    weights.with_suffix(".csv").write_text(LOG.replace("1500,5400", "1800,5400"))
    publish(weights, tmp_path / "small")
    assert "| duration | 1800 steps" in (tmp_path / "small" / "README.md").read_text()


def test_the_command(tmp_path, capsys):
    weights = trained(tmp_path / "run")
    assert main([str(weights), str(tmp_path / "small"), "--data", "mine"]) == 0
    assert "| data | mine |" in (tmp_path / "small" / "README.md").read_text()
    assert main([str(tmp_path / "none.safetensors"), str(tmp_path / "other")]) == 2
    assert capsys.readouterr().err == f"{tmp_path / 'none.safetensors'}: no such file\n"
