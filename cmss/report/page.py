"""The HTML page of a run: a folder with index.html, which needs no server and no network."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from cmss.audio import write_flac
from cmss.files.atomic import atomic_folder
from cmss.models.outputs import output_name
from cmss.report import figures
from cmss.report.data import RunScores, read_run
from cmss.report.panels import hearing, png, time_and_frequency
from cmss.report.recordings import equally_loud, versions
from cmss.results import compare_folders
from cmss.run.scoring import Scorer
from cmss.scenes import Pair, SoundFiles

REPORT = "report"
SHOWN = 10
"""Number of the best pairs, and of the worst pairs, that are shown with sounds."""

Progress = Callable[[Sequence[Pair]], Iterable[Pair]]


@dataclass(frozen=True)
class Picture:
    """An image of the page: file, relative to the page, and caption."""

    file: str
    caption: str


@dataclass(frozen=True)
class Detail:
    """A pair with sounds: row of the table, gains, sound files by version, pictures."""

    row: Any
    gains: list[tuple[str, float]]
    sounds: dict[str, str]
    pictures: list[Picture]


def write_report(
    folder: Path,
    pairs: Sequence[Pair],
    scorer: Scorer,
    beside: Sequence[Path] = (),
    progress: Progress = iter,
    stems: bool = False,
    sounds: SoundFiles | None = None,
) -> Path:
    """Write `report/index.html` of a scored run, and the files that it shows.

    Sounds are written only for the best and the worst pairs, so that the size of the folder does
    not depend on the number of pairs.

    Args:
        folder: the run's folder, with scores.csv and the enhanced files.
        pairs: all that were scored, in the official order.
        scorer: makes the references that one can listen to.
        beside: folders of other runs of the same pairs, shown beside this one.
        progress: wraps the pairs that can be heard.
        stems: whether the run has kept its stems, which can then be heard as well.
        sounds: reads all sound files; None makes one for this call.

    Returns:
        Path of index.html.

    Raises:
        InputError: there are no scores, or they are for other pairs.
    """
    sounds = sounds or SoundFiles(int(scorer.hearing_aid.sample_rate_hz))
    runs = [read_run(each, pairs) for each in (folder, *beside)]
    table = runs[0].table.sort_values("average", kind="stable")
    shown = table if len(table) <= 2 * SHOWN else table.iloc[[*range(SHOWN), *range(-SHOWN, 0)]]
    by_name = {pair.name: pair for pair in pairs}
    rows = {row.pair: row for row in shown.itertuples()}
    with atomic_folder(folder / REPORT) as report:
        for name in ("page.css", "page.js"):
            (report / name).write_bytes((files("cmss.report") / name).read_bytes())
        for name in ("pictures", "sounds"):
            (report / name).mkdir()
        pictures = [
            _save(report, f"{name}.png", figure, caption)
            for name, figure, caption in _figures(runs, pairs)
        ]
        details = [
            _detail(report, folder, pair, rows[pair.name], scorer, stems, sounds)
            for pair in progress([by_name[name] for name in rows])
        ]
        page = _template().render(
            run=runs[0],
            runs=runs,
            gaps=gap_closed(runs),
            differences=[
                (run.name, row)
                for run, other in zip(runs[1:], beside, strict=True)
                for row in compare_folders(other, folder, pairs)
            ],
            measured=any(run.sdr is not None for run in runs),
            pictures=pictures,
            details=details,
            shown=rows,
        )
        (report / "index.html").write_text(page, encoding="utf-8")
    return folder / REPORT / "index.html"


def gap_closed(runs: Sequence[RunScores]) -> list[float] | None:
    """Return the gap closed by each run, 0 for passthrough and 1 for oracle; None without both."""
    ends = {run.separator: run.mean("average") for run in runs}
    if not {"passthrough", "oracle"} <= ends.keys() or ends["passthrough"] == ends["oracle"]:
        return None
    low, high = ends["passthrough"], ends["oracle"]
    return [(run.mean("average") - low) / (high - low) for run in runs]


def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("cmss", "report"), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("page.html")


def _figures(runs: Sequence[RunScores], pairs: Sequence[Pair]) -> Iterator[tuple[str, Figure, str]]:
    """Yield name, figure and caption of each figure."""
    run = runs[0]
    yield "all_pairs", figures.all_pairs(runs), "HAAQI of all pairs"
    yield "instruments", figures.instruments(pairs), "Instruments in the data"
    yield (
        "hearing_loss",
        figures.by_hearing_loss(run),
        "Mean HAAQI of each listener, by hearing loss",
    )
    yield "spread", figures.by_spread(run), "HAAQI by the range of the gains"
    yield "players", figures.by_players(run), "HAAQI by the number of players"


def _detail(
    report: Path,
    folder: Path,
    pair: Pair,
    row: Any,
    scorer: Scorer,
    stems: bool,
    files: SoundFiles,
) -> Detail:
    """Write the sounds and pictures of a pair."""
    signals, rate_hz = versions(folder, pair, scorer, stems, files)
    sounds, pictures = {}, []
    for name, signal in equally_loud(signals, rate_hz).items():
        sounds[name] = f"sounds/{pair.name}_{name}.flac"
        write_flac(report / sounds[name], signal, rate_hz)
        picture = time_and_frequency(signal, rate_hz)
        pictures.append(_save(report, f"{pair.name}_{name}.png", picture, name))
    pictures.append(
        _save(report, f"{pair.name}_hearing.png", hearing(pair.listener), "hearing, hearing aid")
    )
    sources = pair.scene.track.sources
    players = {key: output_name(source.instrument, source.voice) for key, source in sources.items()}
    gains = [(players[key].replace("_", " "), gain) for key, gain in pair.scene.gains_db.items()]
    return Detail(row, gains, sounds, pictures)


def _save(report: Path, name: str, figure: Figure, caption: str) -> Picture:
    (report / "pictures" / name).write_bytes(png(figure))
    return Picture(f"pictures/{name}", caption)
