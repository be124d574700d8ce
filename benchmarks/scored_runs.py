"""Builds Markdown tables of the scores, separation quality and computing time of scored runs.

All runs of a table must have scored the same pairs.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np

from cmss.errors import InputError
from cmss.files.row_file import read_rows
from cmss.models.checkpoint import load_checkpoint
from cmss.models.weights_file import read_weights
from cmss.results.comparison import compare
from cmss.results.rows import EARS, ScoreRow, shard_path
from cmss.results.separation import SeparationRow, read_separation
from cmss.run.folder import PROVENANCE, read_configuration
from cmss.scenes import Pair

ENSEMBLES: dict[str, str] = {"string": "strings", "wind": "winds", "mixed": "mixed"}
"""Dict from a type of ensemble to its name in tables."""
EAR_NAMES = dict(zip(EARS, ("left", "right", "average"), strict=True))
UNTRAINED, FAILED = "untrained", "failed"
"""Reasons why a system has no result: the weights are missing, or a program has failed."""


@dataclass(frozen=True)
class Run:
    """Holds the results of a system on a data set.

    Args:
        name: name of the system.
        remix: name of the remix. `remix` is empty if the system does not separate the mixture.
        scores: scores of all pairs of scene and listener. `scores` is empty if the system has no
            result.
        separation: SDR, SIR and SAR of the stems. `separation` is empty if these ratios have not
            been measured.
        parameters: number of parameters of the system; None if the system has no weights.
        separation_s: time in seconds to separate a minute of music; None if the time has not been
            measured.
        processor: name of the processor on which `separation_s` was measured.
        state: reason why the system has no result, UNTRAINED or FAILED. `state` is empty if the
            system has a result.
    """

    name: str
    remix: str = ""
    scores: tuple[ScoreRow, ...] = ()
    separation: tuple[SeparationRow, ...] = ()
    parameters: int | None = None
    separation_s: float | None = None
    processor: str = ""
    state: str = ""

    def mean(self, ear: str = EARS[-1], keys: set[tuple[str, str]] | None = None) -> float:
        """Return the mean HAAQI over pairs; NaN if there are no pairs.

        Args:
            ear: column of the scores: left ear, right ear, or average of both ears.
            keys: pairs of scene and listener whose scores are averaged. If `keys` is None, the
                scores of all pairs are averaged.
        """
        scores = [getattr(row, ear) for row in self.scores if keys is None or row.key in keys]
        return float(np.mean(scores)) if scores else math.nan

    def measured_as(self, other: "Run") -> "Run":
        """Return a copy of this run with the separation results of another run.

        The stems of both runs must be the same.
        """
        return replace(
            self,
            separation=other.separation,
            separation_s=other.separation_s,
            processor=other.processor,
        )


def read_run(folder: Path, name: str = "") -> Run:
    """Read the results of a run.

    Args:
        folder: folder of a run that evaluate.py has scored in a single job, or that
            merge_results.py has merged.
        name: name of the system; by default the name of the separator in the run.

    Raises:
        InputError: scores or configuration are missing or damaged, or no pair has been scored.
    """
    config = read_configuration(folder)
    rows = read_rows(shard_path(folder, "scores"), ScoreRow)
    if not rows:
        raise InputError(f"{shard_path(folder, 'scores')}: no scores")
    separator = str(config.separator.name)
    try:
        provenance = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        provenance = {}
    # Use the digest as the key, because a run by two installations lists the same weights twice.
    weights = {digest: path for path, digest in provenance.get("weights", {}).items()}
    compute = provenance.get("compute", {})
    seconds = compute.get("separated_s") if weights else None
    return Run(
        name or separator,
        # The separator passthrough returns no stems, so that nothing is remixed.
        "" if separator == "passthrough" else str(config.remix.name),
        tuple(rows),
        tuple(read_separation(folder)),
        sum(parameters(Path(path)) for path in weights.values()) if weights else None,
        60 * compute["separation_s"] / seconds if seconds else None,
        compute.get("processor", ""),
    )


def parameters(path: Path) -> int:
    """Return the number of learned parameters in a weight file."""
    try:
        return sum(parameter.numel() for parameter in load_checkpoint(path).parameters())
    except InputError:
        # The file contains templates, or a network of another project.
        return sum(tensor.numel() for tensor in read_weights(path)[0].values())


def check_same_pairs(runs: Sequence[Run], places: Sequence[Path]) -> None:
    """Check that runs have scored the same pairs.

    Raises:
        InputError: two runs have scored different pairs.
    """
    pairs = [{row.key for row in run.scores} for run in runs]
    for found, place in zip(pairs, places, strict=True):
        if found != pairs[0]:
            raise InputError(f"{place}: scored other pairs than {places[0]}")


def score_table(runs: Sequence[Run]) -> str:
    """Build a table with a row for each run: mean HAAQI, `gap closed` and SDR.

    The function `_gaps` computes the values of `gap closed`. The columns `gap closed` and
    `SDR in dB` are omitted if their values are not known.
    """
    columns = _score_columns(runs)
    if any(run.separation for run in runs):
        columns.append(("SDR in dB", [_ratio(run, "sdr") for run in runs]))
    return markdown(columns)


def system_table(runs: Sequence[Run]) -> str:
    """Build a table of HAAQI, separation quality and computing time of systems."""
    return markdown(
        [
            *_score_columns(runs),
            *(
                (name.upper(), [_ratio(run, name) for run in runs])
                for name in ("sdr", "sir", "sar")
            ),
            ("s per min", [_number(run.separation_s, ".1f") for run in runs]),
            ("parameters", [_number(run.parameters, ",") for run in runs]),
            ("trained", [run.state or ("yes" if run.parameters else "") for run in runs]),
        ]
    )


def figures(runs: Sequence[Run]) -> dict[str, dict[str, dict[str, float | int | None]]]:
    """Return the rounded numbers of the table as nested dicts: system -> remix -> column -> number.

    Runs without separation are listed under the remix `consistent`. Ratios above 100 dB are
    replaced by 999.
    """
    found: dict[str, dict[str, dict[str, float | int | None]]] = {}
    gaps: Sequence[float | None] = _gaps(runs) or [None] * len(runs)
    for run, gap in zip(runs, gaps, strict=True):
        if not run.scores:
            continue
        row: dict[str, float | int | None] = {
            name: round(run.mean(ear), 4) for ear, name in EAR_NAMES.items()
        }
        row["gap_closed"] = None if gap is None else round(gap, 2) + 0.0  # without -0.0
        for name in ("sdr", "sir", "sar"):
            ratio = _median(run, name)
            row[f"{name}_db"] = ratio if ratio is None else min(round(ratio, 1), 999.0)
        seconds = run.separation_s
        row["s_per_minute"] = seconds if seconds is None else round(seconds, 1)
        row["parameters"] = run.parameters
        found.setdefault(run.name, {})[run.remix or "consistent"] = row
    return found


def ensemble_table(runs: Sequence[Run], pairs: Sequence[Pair]) -> str:
    """Build a table of the mean HAAQI by type of ensemble."""
    columns = _names(runs)
    for kind, word in ENSEMBLES.items():
        tracks = ((pair, pair.scene.track) for pair in pairs)
        keys = {
            (pair.scene.id, pair.listener.id) for pair, track in tracks if track.ensemble == kind
        }
        for ear, name in EAR_NAMES.items():
            means = [run.mean(ear, keys) for run in runs]
            columns.append((f"{word} {name}", [_number(mean, ".4f") for mean in means]))
    return markdown(columns)


def difference_table(run: Run, others: Sequence[Run], pairs: Sequence[Pair]) -> str:
    """Build a table that compares a run with all other runs by the difference in mean HAAQI.

    Each row of the table has the difference, the confidence interval of the difference, and the
    p-value.
    """
    rows = [compare(other.scores, run.scores, pairs)[0] for other in others]
    return markdown(
        [
            *_names(others),
            ("difference", [f"{row.difference:+.4f}" for row in rows]),
            ("95 %, from", [_number(row.low, "+.4f") for row in rows]),
            ("to", [_number(row.high, "+.4f") for row in rows]),
            ("p", [_number(row.p, ".4f") for row in rows]),
        ]
    )


def _names(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    return [("system", [run.name for run in runs]), ("remix", [run.remix for run in runs])]


def _score_columns(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    columns = _names(runs)
    for ear, name in EAR_NAMES.items():
        columns.append((name, [_number(run.mean(ear), ".4f") for run in runs]))
    if closed := _gaps(runs):
        columns.append(("gap closed", [_number(gap, "z.2f") for gap in closed]))
    return columns


def _gaps(runs: Sequence[Run]) -> list[float]:
    """Return the fraction of the gap between passthrough and oracle that each run closes.

    The gap is the difference in mean HAAQI. The list is empty if there is no run of passthrough, or
    no run of oracle.
    """
    # If the oracle was run with two remixes, its first run is the upper bound.
    ends = {run.name: run.mean() for run in reversed(runs)}
    if not {"passthrough", "oracle"} <= ends.keys():
        return []
    low, high = ends["passthrough"], ends["oracle"]
    return [(run.mean() - low) / (high - low) for run in runs]


def _ratio(run: Run, name: str) -> str:
    """Return the median of sdr, sir or sar over all sources as text; "" if none was measured."""
    ratio = _median(run, name)
    if ratio is None:
        return ""
    # If a ratio exceeds 100 dB, the only errors are rounding errors.
    return f"{ratio:.1f}" if ratio <= 100 else "> 100"


def _median(run: Run, name: str) -> float | None:
    """Return the median of sdr, sir or sar over all sources in dB; None if none was measured."""
    found = [getattr(row, name) for row in run.separation]
    found = [ratio for ratio in found if not math.isnan(ratio)]
    return median(found) if found else None


def _number(value: float | None, form: str) -> str:
    """Return the text of a table cell, which is empty if there is no value."""
    return "" if value is None or math.isnan(value) else f"{value:{form}}"


def markdown(columns: Sequence[tuple[str, list[str]]], texts: int = 2) -> str:
    """Build a table from columns; a column consists of a heading and a list of cells.

    The first `texts` columns contain text and are aligned to the left. The other columns contain
    numbers and are aligned to the right.
    """
    heads = [head for head, _ in columns]
    rule = ["---"] * texts + ["---:"] * (len(columns) - texts)
    rows = zip(*(cells for _, cells in columns), strict=True)
    return "".join(f"| {' | '.join(line)} |\n" for line in (heads, rule, *rows))
