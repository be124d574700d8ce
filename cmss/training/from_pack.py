"""Trains a network from a packed file of notes and scores, with PyTorch and NumPy alone.

    python -m cmss.training.from_pack FILE.npz FOLDER [model=NAME size=SIZE loop.steps=N ...]

FILE.npz is a file of `metadata_tools.pack`, and FOLDER the folder for state, log and weights. The
keys, their defaults and the written files are those of `train.py data=rendered`, so a training can
be continued by either program. On a machine that lacks libraries of this package, the values of the
keys are not checked, so try a training of a few steps before.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cmss.machine import stand_ins

SECTIONS = {"mixtures": "train.yaml", "loop": "train.yaml", "data": "data/rendered.yaml"}
"""Sections of the configuration, and the files in cmss/conf that have their defaults."""
SINGLE: dict[str, Any] = {
    "model": "convtasnet",
    "size": "small",
    "instrument": None,
    "init_from": None,
    "device": None,
    "seed": 1,
    "threads": None,
}
"""Keys that belong to no section: `threads` is the number of threads that render mixtures."""


def defaults(section: str) -> dict[str, Any]:
    """Read the values of a section of a configuration file, without a library for YAML."""
    path = Path(__file__).parents[1] / "conf" / SECTIONS[section]
    lines = path.read_text(encoding="utf-8").splitlines()
    first = lines.index(next(line for line in lines if line.split("#")[0].strip() == f"{section}:"))
    values = {}
    for line in lines[first + 1 :]:
        text = line.split("#")[0].rstrip()
        if text and not text.startswith(" "):
            break
        if text:
            key, _, value = text.strip().partition(": ")
            values[key] = _value(value.strip())
    return values


def _value(text: str) -> Any:
    """Convert the text of a value; a text that is no number, true, false or null stays a text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def configuration(words: Sequence[str]) -> dict[str, Any]:
    """Return the default configuration with the values of words KEY=VALUE.

    Raises:
        ValueError: a word has no such key; the message begins with the key.
    """
    config: dict[str, Any] = {name: defaults(name) for name in SECTIONS}
    config["loss"] = {}
    config.update(SINGLE)
    for word in words:
        key, equals, value = word.lstrip("+").partition("=")
        section, _, name = key.rpartition(".")
        values: Any = config.get(section) if section else config
        known = isinstance(values, dict) and (name in values or section == "loss")
        if not equals or not known or isinstance(config.get(key), dict):
            raise ValueError(f"{key}: no such key, expected KEY=VALUE with a key of train.py")
        values[name] = _value(value)
    return config


def train_from_pack(pack: Path, folder: Path, config: dict[str, Any]) -> Path:
    """Train a network, or continue its training, and return the path of the best weights.

    Args:
        pack: packed file of notes and scores.
        folder: folder for the state, the log and the weights.
        config: configuration of :func:`configuration`.

    Raises:
        InputError: a file cannot be read, or a value is not valid.
        FloatingPointError: the loss or its gradient is not finite.
    """
    # These modules import libraries that may be missing, so they are imported after `install`.
    from cmss.machine.device import device_named
    from cmss.machine.processor import cores
    from cmss.models.outputs import player_index
    from cmss.rendering.effects import EffectSettings
    from cmss.rendering.material import load_material
    from cmss.settings import from_settings
    from cmss.training.loop import LoopSettings, train
    from cmss.training.mixtures import MixtureSettings
    from cmss.training.presets import preset
    from cmss.training.rendered import rendered_mixtures

    instrument, seed = config["instrument"], config["seed"]
    effects = {key: value for key, value in config["data"].items() if key != "name"}
    loop = from_settings(LoopSettings, {**config["loop"], "haaqi_every": 0}, "loop")
    size = preset(config["model"], config["size"])
    model = size.initial_network(seed, instrument, config["init_from"])
    material = load_material(pack).at_rate(model.sample_rate_hz, str(pack))
    training, validation, data = rendered_mixtures(
        material,
        from_settings(EffectSettings, effects, "data"),
        player_index(model.sources, instrument),
        from_settings(MixtureSettings, config["mixtures"], "mixtures"),
        seed,
        instrument,
        config["threads"] or cores(),
    )
    folder = folder / (instrument or "")
    folder.mkdir(parents=True, exist_ok=True)
    shown = {key: value for key, value in config.items() if key not in ("device", "threads")}
    notes = {"training": json.dumps(shown), "data": data}
    loss = size.build_loss(config["loss"])
    model = model.to(device_named(config["device"]))
    return train(model, loss, training, validation, loop, folder, notes=notes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status, which is 2 if the input cannot be used."""
    words = [*(sys.argv[1:] if arguments is None else arguments)]
    if len(words) < 2 or any("=" in word for word in words[:2]):
        print(__doc__)
        return 0 if words in (["-h"], ["--help"]) else 2
    if missing := stand_ins.install():
        print(f"not installed, and not needed for the training: {', '.join(missing)}")
    from cmss.command_line import exit_status
    from cmss.errors import InputError

    def work() -> None:
        try:
            config = configuration(words[2:])
        except ValueError as error:
            raise InputError(str(error)) from error
        print(train_from_pack(Path(words[0]), Path(words[1]), config))

    return exit_status(work, "from_pack")


if __name__ == "__main__":
    sys.exit(main())
