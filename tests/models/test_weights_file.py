import pytest
import torch

from cmss.models.checkpoint import load_checkpoint, save_checkpoint
from cmss.models.roformer import Roformer, RoformerArguments
from cmss.models.weights_file import eight_bits, read_weights, write_weights
from cmss.training.compress import main


def test_rows_are_within_half_a_step_and_others_in_half_precision(tmp_path):
    torch.manual_seed(0)
    rows = torch.randn(5, 3, 40) * torch.logspace(-6, 3, 15).view(5, 3, 1)
    rows[0, 0] = 0
    written = {"rows": rows, "bias": torch.randn(7), "none": torch.zeros(0, 4)}
    write_weights(tmp_path / "w.safetensors", eight_bits(written), {"model": "any"})
    read, header = read_weights(tmp_path / "w.safetensors")
    assert header == {"model": "any"}
    assert read.keys() == written.keys()
    half_a_step = rows.abs().amax(-1, keepdim=True) / 127 / 2
    assert ((read["rows"] - rows).abs() <= 1.001 * half_a_step).all()
    torch.testing.assert_close(read["bias"], written["bias"].half().float(), rtol=0, atol=0)


def test_rows_of_a_kernel_are_its_filters_and_short_ones_have_half_precision(tmp_path):
    torch.manual_seed(0)
    written = {"pointwise": torch.randn(6, 24, 1), "depthwise": torch.randn(6, 1, 3)}
    compressed = eight_bits(written)
    assert compressed["pointwise"].dtype == torch.int8
    assert compressed["pointwise/scale"].shape == (6, 1, 1)
    write_weights(tmp_path / "w.safetensors", compressed, {})
    read, _ = read_weights(tmp_path / "w.safetensors")
    half_a_step = written["pointwise"].abs().amax((1, 2), keepdim=True) / 127 / 2
    assert ((read["pointwise"] - written["pointwise"]).abs() <= 1.001 * half_a_step).all()
    torch.testing.assert_close(read["depthwise"], written["depthwise"].half().float())


def test_a_compressed_network_has_half_the_size_and_similar_estimates(tmp_path, capsys):
    torch.manual_seed(0)
    arguments = RoformerArguments(("Cello", "Viola"), L=512, hop=128, bands=((32, 4),), D=64,
                                  layers=1)  # fmt: skip
    network = Roformer(arguments)
    paths = [tmp_path / f"{name}.safetensors" for name in ("half", "eight")]
    save_checkpoint(paths[0], "roformer", network, torch.float16)
    assert main([str(path) for path in paths]) == 0
    assert "MB" in capsys.readouterr().out
    sizes = [path.stat().st_size for path in paths]
    assert sizes[1] < 0.56 * sizes[0]
    mixture = 0.1 * torch.randn(1, 2, 6000)
    with torch.no_grad():
        before, after = (load_checkpoint(path)(mixture) for path in paths)
    # Noise 45 dB below the weights, in a few consecutive layers.
    assert (after - before).square().sum() < 1e-3 * before.square().sum()


def test_other_files_are_not_compressed(tmp_path, capsys):
    (tmp_path / "w.safetensors").write_bytes(b"no")
    assert main([str(tmp_path / "w.safetensors"), str(tmp_path / "out.safetensors")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("name", ["missing.safetensors"])
def test_a_missing_file_is_named(tmp_path, capsys, name):
    assert main([str(tmp_path / name), str(tmp_path / "out.safetensors")]) == 2
    assert f"{name}: no such file" in capsys.readouterr().err
