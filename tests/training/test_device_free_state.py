"""A training that began on a GPU or with an earlier version continues, and keeps its state."""

import pytest
import torch

from tests.support.tiny_run import training_data

TRAIN = (
    "loop.validation_batches=1", "loop.validate_every=1", "mixtures.batch_size=1",
    "mixtures.segment_s=0.1", "mixtures.semitones=0", "loop.precision=float32",
)  # fmt: skip
FILTER = (
    "separator=nmf", "separator.iterations=1", "held_out=2", "training.batch_size=1",
    "training.frames=24", "+postfilter.channels=4", "save_every_s=0", "training.steps=2",
)  # fmt: skip


OLD_NAMES = {
    "train": {"training": None},
    "fit_postfilter": {"model": "network", "optimizer": "optimiser"},
}
"""Of the states that earlier versions wrote, by the present ones; None: it had no such."""


def as_if_old_from_gpu(path, names, monkeypatch) -> None:
    """Write a state again under other names, its tensors marked as a GPU's, which needs none."""
    kept = torch.load(path, weights_only=True)
    kept = {names.get(name, name): value for name, value in kept.items()}
    kept.pop(None, None)
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda _: "cuda:0")
        torch.save(kept, path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU it would load anyway")
@pytest.mark.parametrize("recipe", ["train", "fit_postfilter"])
def test_a_training_goes_on_without_the_gpu_and_version_that_it_began_on(
    recipe, server, tmp_path, monkeypatch
):
    root = training_data(tmp_path / "data")
    common = [f"path.root={root}", "path.exp_folder=exp"]
    if recipe == "train":
        common += [*TRAIN, f"path.valid_file={root}/metadata/music.train.json",
                   f"path.valid_music_dir={root}/audio/train"]  # fmt: skip
        server.succeed(recipe, *common, "loop.steps=1", cwd=tmp_path)
        as_if_old_from_gpu(tmp_path / "exp/state.pt", OLD_NAMES[recipe], monkeypatch)
        server.succeed(recipe, *common, "loop.steps=2", cwd=tmp_path)
        assert len((tmp_path / "exp/log.csv").read_text().splitlines()) == 3
    else:
        server.succeed(recipe, *common, *FILTER, cwd=tmp_path)
        state = tmp_path / "exp/state.pt"
        first = (tmp_path / "exp/postfilter.safetensors").read_bytes()
        as_if_old_from_gpu(state, OLD_NAMES[recipe], monkeypatch)
        server.succeed(recipe, *common, *FILTER, cwd=tmp_path)
        # Nothing was left to do: the weights are those of the state.
        assert (tmp_path / "exp/postfilter.safetensors").read_bytes() == first


def test_no_message_advises_to_delete_a_state(server, tmp_path):
    root = training_data(tmp_path / "data")
    (tmp_path / "exp").mkdir()
    torch.save({"step": 3, "training": "another"}, tmp_path / "exp/state.pt")
    done = server.run(
        "fit_postfilter", f"path.root={root}", "path.exp_folder=exp", *FILTER, cwd=tmp_path
    )
    assert done.status == 2
    assert done.stderr.startswith(
        "exp/state.pt: not the state of this training (the state belongs to the training another"
    )
    assert "choose another path.exp_folder" in done.stderr
    assert "remove" not in done.stderr
    assert "delete" not in done.stderr
