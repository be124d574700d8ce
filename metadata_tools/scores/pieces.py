"""Defines the pieces of the demo, which are openings of works in the public domain.

`cmss.rendering.notation.typed` defines the notation. In these pieces, a beat is a quarter note.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class TypedPiece:
    """Holds an excerpt of a piece for an ensemble.

    Args:
        name: name of the track.
        title: composer, work and arrangement.
        quarters_per_minute: tempo in quarter notes per minute.
        parts: dict from the label of a player to the notation of the player's part, in the order
            source_1, source_2...
    """

    name: str
    title: str
    quarters_per_minute: float
    parts: dict[str, str]


PIECES = (
    TypedPiece(
        "bach_invention_1",
        "J. S. Bach, Invention in C major, BWV 772, bars 1 to 3",
        84,
        {
            "Flute": """
                mf R:1/4 C5:1/4 _D5:1/4 _E5:1/4 _F5:1/4 _D5:1/4 _E5:1/4 _C5:1/4
                G5:1/2 C6:1/2 B5:1/2 C6:1/2 |
                R:1/4 G5:1/4 _A5:1/4 _B5:1/4 _C6:1/4 _A5:1/4 _B5:1/4 _G5:1/4
                D6:1/2 G6:1/2 F6:1/2 G6:1/2 |
                f E6:1/4 _A6:1/4 _G6:1/4 _F6:1/4 E6:1/4 _G6:1/4 _F6:1/4 _A6:1/4
                G6:1/4 _F6:1/4 _E6:1/4 _D6:1/4 C6:1/4 _E6:1/4 _D6:1/4 _F6:1/4
            """,
            "Bassoon": """
                mf R:2 R:1/4 C3:1/4 _D3:1/4 _E3:1/4 _F3:1/4 _D3:1/4 _E3:1/4 _C3:1/4 |
                G3:1/2 G2:1/2 R R:1/4 G3:1/4 _A3:1/4 _B3:1/4 _C4:1/4 _A3:1/4 _B3:1/4 _G3:1/4 |
                f C4:1/2 B3:1/2 C4:1/2 D4:1/2 E4:1/2 G3:1/2 A3:1/2 B3:1/2
            """,
        },
    ),
    TypedPiece(
        "pachelbel_canon",
        "J. Pachelbel, Canon in D major, two of the three violins and the bass",
        108,
        {
            "Violin_1": """
                mf D5 _C#5 B4 _A4 G4 _F#4 G4 _E4 |
                D4:1/2 _F#4:1/2 _A4:1/2 _G4:1/2 F#4:1/2 _D4:1/2 _F#4:1/2 _E4:1/2
                D4:1/2 _B3:1/2 _D4:1/2 _A4:1/2 G4:1/2 _B4:1/2 _A4:1/2 _G4:1/2
            """,
            "Violin_2": """
                mf F#5 _E5 D5 _C#5 B4 _A4 B4 _C#5 |
                D5 _C#5 B4 _A4 G4 _F#4 G4 _E4
            """,
            "Cello": """
                mf D3 A2 B2 F#2 G2 D2 G2 A2 |
                D3 A2 B2 F#2 G2 D2 G2 A2
            """,
        },
    ),
    TypedPiece(
        "crueger_nun_danket",
        "J. Crueger, Nun danket alle Gott (1647), first line; setting made for this demo",
        112,
        {
            "Oboe": "f A4 | A4 A4 B4 B4 | A4:3 F#4 | G4 _F#4 E4 _F#4 | E4:2 _D4:2",
            "Clarinet": "f F#4 | F#4 F#4 G4 G4 | F#4:3 D4 | E4 _D4 C#4 _D4 | C#4:2 _A3:2",
            "Sax": "f D4 | D4 D4 D4 E4 | D4:3 A3 | B3 _A3 A3 _A3 | A3 _G3 F#3:2",
            "Bassoon": "f D3 | D3 F#3 G3 E3 | D3:3 D3 | E3 _F#3 A2 _D3 | A2:2 _D3:2",
        },
    ),
    TypedPiece(
        "beethoven_ode_to_joy",
        "L. van Beethoven, Symphony No. 9, theme of the finale; setting made for this demo",
        116,
        {
            "Flute": """
                p D5:1/2 _F#5:1/2 _A5:1/2 _F#5:1/2 E5:1/2 _C#5:1/2 D5:1/2 _F#5:1/2 |
                A5:1/2 _F#5:1/2 E5:1/2 _G5:1/2 F#5:1/2 _D5:1/2 C#5:1/2 _E5:1/2 |
                mf D5:1/2 _F#5:1/2 G5:1/2 _B5:1/2 A5:1/2 _E5:1/2 F#5:1/2 _A5:1/2 |
                A5:3/2 _G5:1/2 A5:2
            """,
            "Violin": """
                mf F#4 _F#4 G4 _A4 | A4 _G4 F#4 _E4 |
                f D4 _D4 E4 _F#4 | F#4:3/2 _E4:1/2 E4:2
            """,
            "Viola": """
                p A3 _A3 A3 _A3 | A3 _A3 A3 _A3 |
                mf F#3 _G3 A3 _A3 | A3:3/2 _G3:1/2 A3:2
            """,
            "Clarinet": """
                p D4 _D4 E4 _F#4 | F#4 _E4 D4 _C#4 |
                mf B3 _B3 C#4 _D4 | D4:3/2 _C#4:1/2 C#4:2
            """,
            "Cello": """
                p D3' D3' C#3' D3' | D3' C#3' D3' A2' |
                mf B2' G2' A2' D3' | A2:3/2 A2:1/2 A2:2
            """,
        },
    ),
)
