"""Mean scores of groups of pairs."""

from collections.abc import Iterable
from dataclasses import asdict

import pandas as pd

from cmss.results.rows import EARS, ScoreRow
from cmss.scenes import Pair


def summarise(rows: Iterable[ScoreRow], pairs: Iterable[Pair]) -> pd.DataFrame:
    """Compute mean scores overall and by ensemble, number of players and listener.

    Returns:
        Columns group ("overall", "ensemble", "instruments", "listener"), name, pairs (number of
        pairs) and the three means. Ensembles are string, wind and mixed. The number of instruments
        is the number of players: two violins count twice.
    """
    tracks = {(pair.scene.id, pair.listener.id): pair.scene.track for pair in pairs}
    scores = pd.DataFrame(
        {
            "overall": "all",
            "ensemble": tracks[row.key].ensemble,
            "instruments": len(tracks[row.key].sources),
            **asdict(row),
        }
        for row in rows
    )
    groups = []
    for group in ("overall", "ensemble", "instruments", "listener"):
        grouped = scores.groupby(group)[EARS]
        means = grouped.mean()
        means.insert(0, "pairs", grouped.size())
        means.insert(0, "name", means.index.astype(str))
        means.insert(0, "group", group)
        groups.append(means)
    return pd.concat(groups, ignore_index=True)


def format_summary(summary: pd.DataFrame) -> str:
    """Format the summary as a plain-text table, with scores to four decimals."""
    return summary.to_string(index=False, float_format="{:.4f}".format)
