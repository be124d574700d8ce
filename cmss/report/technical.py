"""Writes a draft of the technical report that the challenge requires with a submission.

The draft, technical_report.md, contains the data that a run records: system, number of parameters,
computing time, training data, causality and scores. The authors must add the other sections of the
technical report.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from cmss.errors import InputError
from cmss.files.atomic import write_text
from cmss.models.weights_file import read_weights

TECHNICAL_REPORT = "technical_report.md"


def write_technical_report(
    folder: Path, name: str, provenance: Mapping[str, Any], summary: pd.DataFrame | None
) -> Path:
    """Write the draft of the technical report for a run.

    Args:
        folder: the run's folder.
        name: name of the submission.
        provenance: provenance of the run, see :func:`cmss.run.folder.save_provenance`.
        summary: mean scores, see :func:`cmss.results.summarise`; None if the run has no scores.

    Returns:
        Path of technical_report.md.
    """
    weights = [_network(Path(path), digest) for path, digest in provenance["weights"].items()]
    configuration = provenance["configuration"]
    environment = Environment(
        loader=PackageLoader("cmss", "report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    text = environment.get_template(f"{TECHNICAL_REPORT}.jinja").render(
        name=name,
        provenance=provenance,
        configuration=configuration,
        members=_members(configuration["separator"]),
        weights=weights,
        parameters=sum(network["parameters"] or 0 for network in weights),
        compute=_compute(provenance.get("compute")),
        summary=[] if summary is None else summary[summary.group != "listener"].to_dict("records"),
    )
    write_text(folder / TECHNICAL_REPORT, text)
    return folder / TECHNICAL_REPORT


def _members(separator: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the name and the weight of each separator of an ensemble of separators.

    Args:
        separator: section `separator` of the configuration. If the separator is not an ensemble,
            the returned list contains only this separator, with a weight of 1.
    """
    members = separator.get("members") or [separator]
    return [{"name": member["name"], "weight": member.get("weight", 1.0)} for member in members]


def _network(path: Path, digest: str) -> dict[str, Any]:
    """Describe a weight file: name, digest, number of parameters and training data.

    If the file cannot be read, the number of parameters is None and the training data are empty.

    Args:
        path: path of the weight file.
        digest: SHA-256 of the weight file.
    """
    known: dict[str, Any] = {"parameters": None, "data": ""}
    try:
        tensors, header = read_weights(path)
        known["parameters"] = sum(tensor.numel() for tensor in tensors.values())
        known["data"] = header.get("data", "")
    except InputError:
        pass
    return {"file": f"{path.parent.name}/{path.name}", "digest": digest[:12], **known}


def _compute(measured: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the computing time of the system in seconds per minute of music.

    Args:
        measured: computing times and durations of music, see
            :func:`cmss.run.folder.save_provenance`.

    Returns:
        Dict with the name of the processor, the time for the separation and the time for the
        hearing aid; None if the times were not measured.
    """
    if not measured or not measured["separated_s"] or not measured["enhanced_s"]:
        return None
    return {
        "processor": measured["processor"],
        "separation": 60 * measured["separation_s"] / measured["separated_s"],
        "hearing_aid": 60 * measured["hearing_aid_s"] / measured["enhanced_s"],
    }
