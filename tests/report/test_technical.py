"""The draft of the technical report: provenance and scores of a run in Markdown."""

import pandas as pd
import torch

from cmss.models.weights_file import write_weights
from cmss.report import write_technical_report

CONFIGURATION = {
    "separator": {"name": "oracle", "causality": "noncausal"},
    "remix": {"name": "official"},
    "enhancer": {"crossover_frequencies": [500, 1000]},
}
SUMMARY = pd.DataFrame(
    {
        "group": ["overall", "listener"],
        "name": ["all", "L5001"],
        "pairs": [4, 4],
        "left_haaqi": [0.25, 0.25],
        "right_haaqi": [0.75, 0.75],
        "avg_haaqi": [0.5, 0.5],
    }
)


def draft(folder, **changes) -> str:
    provenance = {"configuration": CONFIGURATION, "weights": {}, "cmss": "1", "revision": None}
    path = write_technical_report(folder, "submission_T1", provenance | changes, SUMMARY)
    return path.read_text(encoding="utf-8")


def test_of_a_system_without_training(tmp_path):
    text = draft(tmp_path)
    assert text.startswith("# Technical report: submission_T1\n")
    assert "**Separator**: oracle.\n" in text
    assert "**Steps after it**: none.\n" in text
    assert "3 bands" in text
    assert "The system has no trained weights." in text
    assert "Not measured." in text
    # The many listeners are only in summary.csv.
    assert "| overall: all | 4 | 0.2500 | 0.7500 | 0.5000 |\n" in text
    assert "L5001" not in text


def test_of_an_ensemble_with_weights(tmp_path):
    path = tmp_path / "nets" / "a.safetensors"
    write_weights(path, {"x": torch.zeros(1200), "y": torch.zeros(3, 4)}, {"data": "train: 2 h"})
    separator = {
        "name": "ensemble",
        "causality": "causal",
        "members": [{"name": "convtasnet", "weight": 0.7}, {"name": "waveunet", "weight": 0.3}],
        "steps": [{"name": "directions", "iterations": 4}, {"name": "postfilter"}],
    }
    text = draft(
        tmp_path,
        configuration=CONFIGURATION | {"separator": separator},
        weights={str(path): "0123456789abcdef", "gone.safetensors": "f" * 64},
        compute={"processor": "P", "separation_s": 3, "separated_s": 30, "hearing_aid_s": 1,
            "enhanced_s": 120},
    )  # fmt: skip
    assert "ensemble, of convtasnet (weight 0.7), waveunet (weight 0.3).\n" in text
    assert "**Steps after it**: directions, postfilter.\n" in text
    assert "| nets/a.safetensors | 0123456789ab | 1,212 |\n" in text
    assert "not stated in the file" in text
    assert "\n1,212 in total.\n" in text
    assert "on P: 6.0 s for the separation, once per track, and 0.5 s for\n" in text
    assert "- nets/a.safetensors: train: 2 h\n" in text
    assert "no part looks ahead by more than 5 ms" in text
    # The path of the file is private.
    assert str(tmp_path) not in text
