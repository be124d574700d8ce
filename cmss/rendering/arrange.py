"""Draws ensembles of two to five players, and assigns the parts of a score to the players."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from cmss.rendering.notation import RANGES, Part, into_range, one_voice, shared_by_two
from cmss.scenes import DOUBLED, STRINGS

# String ensembles with two violins. The violin is the instrument that is most often doubled.
_STRING_GROUPS = {
    2: ("Violin", "Violin"),
    3: ("Violin", "Violin", "Cello"),
    4: ("Violin", "Violin", "Viola", "Cello"),
    5: ("Violin", "Violin", "Viola", "Viola", "Cello"),
}


def draw_ensembles(
    instruments: Sequence[str],
    sizes: Sequence[int],
    tracks: int,
    doubled_share: float,
    rng: np.random.Generator,
) -> Iterator[tuple[str, ...]]:
    """Draw ensembles in which all instruments occur about equally often.

    The sizes in `sizes` are used in turn for the ensembles. A fraction `doubled_share` of the
    ensembles has two players of the same instrument. Of the ensembles with a doubled instrument,
    half are string groups with two violins: duo, trio, quartet or quintet. Of the ensembles without
    a doubled instrument, about one third has only strings or only winds, if the bank has enough of
    these instruments. The players of all other ensembles without a doubled instrument are drawn
    from all instruments.

    Args:
        instruments: names of the instruments in the bank of notes.
        sizes: numbers of players, used in turn.
        tracks: number of ensembles to draw.
        doubled_share: fraction of the ensembles with a doubled instrument, from 0 to 1.
        rng: random generator for the instruments.

    Yields:
        The labels of the players of an ensemble, from high to low instruments. The labels of two
        players of the same instrument end in `_1` and `_2`, for example `Violin_1` and `Violin_2`.
    """
    played: Counter[str] = Counter()
    may_double = [name for name in instruments if name in DOUBLED]
    for index in range(tracks):
        size = sizes[index % len(sizes)]
        # Count the rounds through all sizes, so that ensembles of every size have a doubled
        # instrument equally often.
        turn = index // len(sizes) + index % len(sizes)
        wants = int((turn + 1) * doubled_share + 0.5) > int(turn * doubled_share + 0.5)
        doubles = wants and bool(may_double)
        group = _STRING_GROUPS[size]
        if doubles and rng.random() < 0.5 and set(group) <= set(instruments):
            played.update(set(group))
            yield number_players(group)
            continue
        strings = rng.random() < 0.4
        family = [n for n in instruments if (n in STRINGS) == strings]
        pool = family if rng.random() < 0.33 and len(family) >= size else list(instruments)
        chosen: list[str] = []
        if doubles:
            chosen = _rarest(may_double, played, 1, rng) * 2
        rest = [name for name in pool if name not in chosen]
        chosen += _rarest(rest, played, size - len(chosen), rng)
        played.update(set(chosen))
        yield number_players(sorted(chosen, key=lambda n: -sum(RANGES[n])))


def draw_string_ensembles(
    sizes: Sequence[int], tracks: int, rng: np.random.Generator
) -> Iterator[tuple[str, ...]]:
    """Draw ensembles of strings.

    The sizes in `sizes` are used in turn for the ensembles. Of the duets and the trios, every
    second one has two violins or two violas. Larger ensembles always have a doubled instrument,
    because there are only three string instruments.

    Args:
        sizes: numbers of players, used in turn.
        tracks: number of ensembles to draw.
        rng: random generator for the instruments.

    Yields:
        The labels of the players of an ensemble, as in :func:`draw_ensembles`.
    """
    for index in range(tracks):
        size = sizes[index % len(sizes)]
        if size == 5:
            yield number_players(_STRING_GROUPS[5])
            continue
        chosen: list[str] = []
        if size == 4 or index // len(sizes) % 2:
            chosen = [("Violin", "Viola")[int(rng.integers(2))]] * 2
        others = [name for name in STRINGS if name not in chosen]
        chosen += [others[int(i)] for i in rng.permutation(len(others))[: size - len(chosen)]]
        yield number_players(sorted(chosen, key=lambda name: -sum(RANGES[name])))


def _rarest(
    names: Sequence[str], played: Mapping[str, int], count: int, rng: np.random.Generator
) -> list[str]:
    """Draw names without repetition; names that were drawn less often before are more likely."""
    if count <= 0:
        return []
    times = np.array([played.get(name, 0) for name in names], float)
    weights = np.exp(-(times - times.min()) / 1.5)
    picked = rng.choice(len(names), size=count, replace=False, p=weights / weights.sum())
    return [names[int(i)] for i in picked]


def number_players(instruments: Sequence[str]) -> tuple[str, ...]:
    """Number the players of doubled instruments in the format of the challenge.

    For example, the result for Violin, Viola, Violin is Violin_1, Viola, Violin_2.
    """
    total, seen = Counter(instruments), Counter[str]()
    labels = []
    for name in instruments:
        seen[name] += 1
        labels.append(f"{name}_{seen[name]}" if total[name] > 1 else name)
    return tuple(labels)


def instrument_of(label: str) -> str:
    """Return the instrument of a label, such as Violin for Violin_2."""
    return label.split("_")[0]


def playable_range(instrument: str, pitches: Iterable[int]) -> tuple[int, int]:
    """Return the lowest and highest pitch that can be played with recordings at `pitches`.

    The playable range extends three semitones beyond the lowest and the highest recorded pitch, but
    not beyond the range of the instrument. A recording that is shifted further sounds like another
    instrument.
    """
    low, high = RANGES[instrument]
    recorded = sorted(pitches)
    return max(low, recorded[0] - 3), min(high, recorded[-1] + 3)


def single_voiced(instrument: str) -> bool:
    """Return whether an instrument plays one note at a time."""
    return instrument not in STRINGS


def give_parts(
    parts: Sequence[Part],
    labels: Sequence[str],
    ranges: Mapping[str, tuple[int, int]],
    rng: np.random.Generator,
) -> dict[str, Part]:
    """Assign the parts of an excerpt to the players of an ensemble.

    If there are fewer players than parts, the top part is kept and the other parts are drawn at
    random. If there are more players than parts, random parts are divided between two players
    (`score.shared_by_two`) until all players have a part. High instruments get high parts. The
    first of two players of the same instrument gets the higher part. Each part is transposed by
    octaves into the range of the instrument that plays it.

    Args:
        parts: excerpts of the score, with onsets from zero.
        labels: labels of the players.
        ranges: lowest and highest pitch of each instrument.
        rng: random generator for the choice of parts and octaves.

    Returns:
        Dict from the label of each player to the part of this player. If the excerpt has too few
        notes, all parts are empty.
    """
    available = [part for part in parts if part]
    if not available:
        return dict.fromkeys(labels, ())
    if len(available) > len(labels):
        others = 1 + rng.permutation(len(available) - 1)[: len(labels) - 1]
        available = [available[0], *(available[i] for i in sorted(others))]
    while len(available) < len(labels):
        index = int(rng.integers(len(available)))
        available[index : index + 1] = shared_by_two(available[index], rng)

    by_height = sorted(available, key=_height, reverse=True)
    # The random term sometimes gives a cello a higher part than a flute. Both players of an
    # instrument have the same random term, so the stable sort below keeps the order of their
    # labels.
    drawn = {name: rng.normal(0, 8) for name in labels}
    height_of = {
        instrument_of(name): sum(ranges[instrument_of(name)]) - drawn[name]
        for name in reversed(labels)
    }
    players = sorted(labels, key=lambda name: -height_of[instrument_of(name)])
    given: dict[str, Part] = {}
    shifts: dict[str, int] = {}
    for name, part in zip(players, by_height, strict=True):
        instrument = instrument_of(name)
        low, high = ranges[instrument]
        voiced = one_voice(part) if single_voiced(instrument) else part
        shift = shifts.setdefault(instrument, int(rng.choice((-1, 0, 0, 1))))
        given[name] = into_range(voiced, low, high, shift)
    return upper_part_first({name: given[name] for name in labels})


def upper_part_first(given: Mapping[str, Part]) -> dict[str, Part]:
    """Give the first of two players of the same instrument the part with the higher mean pitch.

    A network can tell two such players apart only if their order follows a rule.

    Args:
        given: dict from the label of each player to the part of this player.
    """
    ordered = dict(given)
    for label in given:
        first, second = f"{instrument_of(label)}_1", f"{instrument_of(label)}_2"
        if label == second and _height(given[first]) < _height(given[second]):
            ordered[first], ordered[second] = given[second], given[first]
    return ordered


def _height(part: Part) -> float:
    """Return the mean MIDI number of a part; 0 for a part without notes."""
    return float(np.mean([note.midi for note in part])) if part else 0.0
