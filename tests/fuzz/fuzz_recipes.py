"""Each recipe's entry, with values of every type for every key of its configuration.

Separation is replaced by the mixture itself, networks to train are tiny, and the data are two
tracks of half a second.
"""

import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from hydra.core.global_hydra import GlobalHydra
from hypothesis import strategies as st

import cmss.pipeline
from cmss.models.checkpoint import build, save_checkpoint
from cmss.models.outputs import OUTPUTS
from cmss.separators import SEPARATORS as REGISTERED
from cmss.training.presets import PRESETS
from tests.fuzz.attempts import attempt
from tests.fuzz.targets import Target
from tests.fuzz.values import key_of, overrides
from tests.support.recipe_calls import keys
from tests.support.stages import import_recipe, run_in_this_process
from tests.support.tiny_challenge import TinyChallenge
from tests.support.tiny_run import write_metadata

SEPARATORS = sorted({"ensemble", *REGISTERED} - {"module"})
ALL_SEPARATORS = "enhance, every separator"

CALLS = {
    "enhance": ("path.root=data", "path.exp_folder=new", "separator=passthrough"),
    ALL_SEPARATORS: ("path.root=data", "path.exp_folder=new"),
    "evaluate": ("evaluate.jobs=1",),
    "merge_results": ("report=false",),
    "train": (
        "path.root=data", "loop.steps=1", "loop.validation_batches=1", "mixtures.batch_size=1",
        "mixtures.segment_s=0.2", "mixtures.semitones=0", "mixtures.cents=0",
    ),
    "fit": (
        "path.root=data", "members=[{name:oracle},{name:oracle}]", "edges_hz=[1000]",
        "priors=[1e-6]", "steps=[[{name:directions,iterations:1}]]", "haaqi_pairs=1",
    ),
    "fit_postfilter": (
        "path.root=data", "separator=oracle", "held_out=2", "training.steps=1",
        "training.batch_size=1", "training.frames=4", "+postfilter.channels=4",
    ),
    "fit_dictionaries": (
        "path.root=data", "dictionaries.components=3", "dictionaries.iterations=2",
    ),
}  # fmt: skip
"""What each target is called with, before the words of an input."""


def program_of(target: str) -> str:
    return target.partition(",")[0]


def write_data(root: Path) -> None:
    """Two tracks, as splits valid and train, with one scene and one listener each."""
    root.mkdir(parents=True)
    tiny = TinyChallenge(root)
    tiny.files["scene_listeners_file"] = {"S50001": ["L5001"], "S50002": ["L5999"]}
    write_metadata(tiny)
    for path in (root / "metadata").glob("*.valid.json"):
        shutil.copy(path, path.with_name(path.name.replace("valid", "train")))
    shutil.copytree(root / "audio", root / "train")
    (root / "train").rename(root / "audio/train")


def write_template(folder: Path) -> None:
    """What the current folder of each input holds: data, a scored run, weights, a list of pairs."""
    write_data(folder / "data")
    network = build("fourier_convtasnet", {"sources": OUTPUTS, "B": 4, "H": 4, "X": 1, "R": 1})
    save_checkpoint(folder / "net.safetensors", "fourier_convtasnet", network)
    (folder / "pairs.csv").write_text("scene,listener\nS50001,L5001\n", encoding="utf-8")
    for program, words in (
        ("enhance", ("path.root=data", "separator=passthrough", "stems=true")),
        ("evaluate", ("evaluate.jobs=1",)),
    ):
        done = attempt(lambda p=program, w=words: call(p, *w), folder, 600, 600)
        assert done.is_accepted, done.text


def call(program: str, *words: str) -> int:
    """A recipe in this process, as `python recipes/cad2/<program>.py WORDS`."""
    small = {"sources": OUTPUTS, "B": 4, "H": 4, "X": 1, "R": 1}
    chosen = PRESETS["convtasnet", "small"]
    tiny = asdict(build("fourier_convtasnet", small).arguments)
    PRESETS["convtasnet", "small"] = replace(chosen, arguments=tiny)
    cmss.pipeline.separate_track = _mixture_for_each
    GlobalHydra.instance().clear()
    status = run_in_this_process(program, *words)
    return 1 if status is None else status


def _mixture_for_each(_: Any, track: Any, mixture: Any) -> Any:
    return dict.fromkeys(track.sources, mixture)


def _inputs(target: str) -> st.SearchStrategy[list[str]]:
    def keys_with(*more: str) -> list[str]:
        return sorted(keys(program_of(target), *CALLS[target], *more))

    if target != ALL_SEPARATORS:
        return overrides(keys_with())
    # Every key of the section, once more for each separator.
    return st.one_of(
        [
            overrides([key for key in keys_with(f"separator={name}") if "separator" in key]).map(
                lambda words, name=name: [f"separator={name}", *words]
            )
            for name in SEPARATORS
        ]
    )


def _is_long(words: list[str]) -> bool:
    """Whether a number asks for much work, which is nothing to refuse: steps=1000000."""
    for word in words:
        value = word.partition("=")[2].strip("'[]")
        try:
            if float(value) >= 100:
                return True
        except ValueError:
            continue
    # These start a compiler, or processes that import everything anew.
    return any(key_of(word) in ("compile", "evaluate.jobs", "evaluate") for word in words)


def recipe_targets(template: Path) -> list[Target]:
    """One target for each recipe.

    Args:
        template: a folder for :func:`write_template`.
    """
    torch.set_num_threads(1)
    for program in {program_of(target) for target in CALLS}:
        import_recipe(program)
    write_template(template)

    def prepare(_: Any, folder: Path) -> None:
        shutil.copytree(template, folder, dirs_exist_ok=True)

    def work(name: str) -> Callable[[list[str]], int]:
        return lambda words: call(program_of(name), *CALLS[name], *words)

    return [
        Target(
            name,
            _inputs(name),
            prepare,
            work(name),
            lambda words: " ".join(map(key_of, words)),
            _is_long,
        )
        for name in CALLS
    ]
