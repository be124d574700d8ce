"""MusicXML for tests, such as a quartet with a scale in each part."""

from pathlib import Path

DIVISIONS = 4
NAMES = ("Violin 1", "Violin 2", "Viola", "Cello")
STEPS = "CDEFGAB"


def note(step: str, octave: int, quarters: float, extra: str = "", before: str = "") -> str:
    duration = f"<duration>{int(quarters * DIVISIONS)}</duration>"
    pitch = f"<pitch><step>{step}</step><octave>{octave}</octave></pitch>"
    return f"<note>{before}{pitch}{duration}<voice>1</voice>{extra}</note>"


def tie(kind: str) -> str:
    return f'<tie type="{kind}"/><notations><tied type="{kind}"/></notations>'


def slur(kind: str) -> str:
    return f'<notations><slur type="{kind}" number="1"/></notations>'


def dynamic(mark: str) -> str:
    return f"<direction><direction-type><dynamics><{mark}/></dynamics></direction-type></direction>"


def measure(number: int, content: str) -> str:
    attributes = ""
    if number == 1:
        attributes = (
            f"<attributes><divisions>{DIVISIONS}</divisions>"
            "<time><beats>4</beats><beat-type>4</beat-type></time></attributes>"
        )
    return f'<measure number="{number}">{attributes}{content}</measure>'


def document(parts: list[list[str]]) -> str:
    """Return MusicXML with parts, each a list of the contents of its measures."""
    listed = "".join(
        f'<score-part id="P{n}"><part-name>{name}</part-name></score-part>'
        for n, name in enumerate(NAMES[: len(parts)], 1)
    )
    bodies = "".join(
        f'<part id="P{n}">{"".join(measure(m, c) for m, c in enumerate(measures, 1))}</part>'
        for n, measures in enumerate(parts, 1)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><score-partwise version="3.1">'
        f"<part-list>{listed}</part-list>{bodies}</score-partwise>"
    )


def write_quartet(path: Path, measures: int = 12) -> None:
    """Write four parts in quarter notes, each a scale in another register."""
    parts = []
    for index, octave in enumerate((5, 4, 4, 3)):
        steps = [STEPS[(n + 2 * index) % 7] for n in range(4 * measures)]
        notes = [note(step, octave, 1) for step in steps]
        parts.append(["".join(notes[4 * m : 4 * m + 4]) for m in range(measures)])
    path.write_text(document(parts), encoding="utf-8")
