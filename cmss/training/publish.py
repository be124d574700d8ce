"""A trained network as a folder that the Hugging Face hub can keep.

    python -m cmss.training.publish exp/train/convtasnet_small/best.safetensors FOLDER

FOLDER gets the weights as they are, their arguments (config.json) and a model card (README.md),
written from what training left: the header of the weights, and the log beside them, log.csv or
what is called like the weights themselves. `from_pretrained(FOLDER)` and
`separator.weights_from=FOLDER` take it; `hf upload NAME FOLDER` puts it on the hub.
"""

import argparse
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cmss.command_line import exit_status
from cmss.errors import InputError
from cmss.files.atomic import atomic_folder
from cmss.files.text import read_table
from cmss.models.checkpoint import load_checkpoint
from cmss.models.network import WEIGHTS, Network
from cmss.models.outputs import TARGET
from cmss.models.registry import RECORDS
from cmss.models.weights_file import read_weights

MEASURED = ("step", "seconds", "validation_loss", "sdr_improvement_db")

CARD = """
# {title}

Takes a stereo recording of classical chamber music apart into {what}, so that it can be rebalanced
for a listener with a hearing loss: task 2 of the
[Second Cadenza Challenge](https://cadenzachallenge.org/docs/cadenza2/intro). Trained and used with
the Python package `cmss`.

| network | |
| --- | --- |
{network}

## Training

| training | |
| --- | --- |
{training}

{settings}
## Use

```python
from {module} import {kind}

network = {kind}.from_pretrained("{folder}")  # or its name on the hub
{call}
```

A mixture is (batch, 2, samples), `present`, where it is taken, says which outputs have a player,
bool (batch, outputs), and estimates are (batch, outputs, 2, samples).

In a system for the challenge, for all scenes of a data set:

    python recipes/cad2/enhance.py path.root=DATA separator={separator} {weights_from}
"""

SETTINGS = """The configuration:

```yaml
{settings}
```
"""


@dataclass(frozen=True)
class TrainingRecord:
    """What training left beside a network.

    Args:
        settings: the configuration, YAML; empty if the header of the weights has none.
        data: what it was trained on, in words.
        log: rows of log.csv.
    """

    settings: str
    data: str
    log: Sequence[dict[str, str]]

    @property
    def instrument(self) -> str | None:
        """The one that the network was trained for, if there is one."""
        found = re.search(r"^instrument: (\w+)$", self.settings, re.MULTILINE)
        return found[1] if found and found[1] != "null" else None


def read_record(weights: Path) -> TrainingRecord:
    """What training left beside some weights.

    Raises:
        InputError: the weights or their log cannot be read.
    """
    _, header = read_weights(weights)
    logs = (weights.with_suffix(".csv"), weights.with_name("log.csv"))
    log = next((_read_log(path) for path in logs if path.is_file()), [])
    return TrainingRecord(header.get("training", ""), header.get("data", ""), log)


def _read_log(path: Path) -> list[dict[str, str]]:
    rows = [row for _, row in read_table(path, MEASURED).rows]
    try:
        for row in rows:
            for name in MEASURED:
                float(row[name])
    except ValueError as error:
        raise InputError(f"{path}: not the log of a training: {name}: {error}") from error
    return rows


def publish(weights: Path, folder: Path, data: str = "", licence: str = "mit") -> None:
    """Write the folder, whole or not at all.

    Args:
        weights: as train.py wrote them.
        folder: a new one.
        data: more about what the network was trained on, such as names and licences.
        licence: of the weights, as the hub names it.

    Raises:
        InputError: the weights cannot be read, or the folder is there.
    """
    if folder.exists():
        raise InputError(f"{folder}: exists, expected a new folder")
    network, record = load_checkpoint(weights), read_record(weights)
    record = TrainingRecord(
        record.settings, "; ".join(filter(None, (data, record.data))), record.log
    )
    card = network.generate_model_card()
    card.data["license"] = licence
    about = {"weights": f"{weights.stat().st_size / 1e6:.1f} MB", "licence": licence}
    card.text = _text(network, record, about, folder.name)
    with atomic_folder(folder) as temporary:
        shutil.copyfile(weights, temporary / WEIGHTS)
        network.save_config(temporary)
        card.save(temporary / "README.md")


def _text(network: Network, record: TrainingRecord, about: Mapping[str, str], folder: str) -> str:
    """A model card below its header; `about` adds to what is said about the network."""
    kind, rate_hz, reach = type(network), network.sample_rate_hz, network.reach
    single = TARGET in network.sources
    instrument = record.instrument or "one instrument"
    rows = {
        "model": f"`{network.model_name}`, its arguments in `config.json`",
        "parameters": f"{sum(parameter.numel() for parameter in network.parameters()):,}",
        "input": f"stereo mixture at {rate_hz} Hz",
        "outputs": ", ".join(network.sources),
        "looks ahead": "over all of the mixture"
        if reach is None
        else f"{1e3 * reach.future / rate_hz:.1f} ms",
        **about,
    }
    return CARD.format(
        title=f"{kind.__name__} for {instrument}" if single else kind.__name__,
        what=f"{instrument} and the rest" if single else "its instruments",
        network=_rows(rows),
        training=_rows(_training(record)),
        settings=SETTINGS.format(settings=record.settings.rstrip()) if record.settings else "",
        module=kind.__module__,
        kind=kind.__name__,
        folder=folder,
        # Which sources play concerns networks of several.
        call="estimates = network(mixture)" if single else "estimates = network(mixture, present)",
        separator=next(
            record.name
            for record in RECORDS
            if record.separates and isinstance(network, record.network)
        ),
        # Folders of one instrument each, by its name, lie in one.
        weights_from=f"separator.weights_from={'.' if single else folder}",
    )


def _training(record: TrainingRecord) -> dict[str, str]:
    rows = {"data": record.data or "not recorded"}
    if record.log:
        last = record.log[-1]
        best = min(record.log, key=lambda row: float(row["validation_loss"]))
        rows |= {
            "trained for": f"{last['step']} steps, {float(last['seconds']) / 3600:.1f} h",
            "taken from": f"step {best['step']}, where the loss on validation was lowest",
            "loss on validation": best["validation_loss"],
            "improvement in SDR on validation": f"{float(best['sdr_improvement_db']):.2f} dB",
        }
        heard = [row for row in record.log if row.get("haaqi")]
        rows |= {f"HAAQI on validation, step {row['step']}": row["haaqi"] for row in heard[-1:]}
    return rows


def _rows(cells: Mapping[str, str]) -> str:
    return "\n".join(f"| {name} | {value} |" for name, value in cells.items())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m cmss.training.publish",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("weights", type=Path, metavar="FILE.safetensors")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a new one")
    parser.add_argument("--data", default="", metavar="TEXT",
        help="more about what it was trained on: names, licences")  # fmt: skip
    parser.add_argument("--licence", default="mit", metavar="ID",
        help="of the weights, as the hub names it; default: %(default)s")  # fmt: skip
    options = parser.parse_args(arguments)

    def work() -> str:
        publish(options.weights, options.folder, options.data, options.licence)
        return str(options.folder)

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
