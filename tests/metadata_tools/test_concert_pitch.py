"""Scores with transposing instruments, microtones and other difficulties for readers."""

import codecs
import io
import zipfile

import pytest

from cmss.errors import InputError
from cmss.rendering.musicxml import find_scores, read_score
from metadata_tools.render import main
from tests.support.tiny_music import document, measure, note, tie


def transpose(chromatic, octaves=None, number=None, double=""):
    change = "" if octaves is None else f"<octave-change>{octaves}</octave-change>"
    attribute = "" if number is None else f' number="{number}"'
    return (
        f"<attributes><transpose{attribute}><diatonic>0</diatonic>"
        f"<chromatic>{chromatic}</chromatic>{change}{double}</transpose></attributes>"
    )


def altered(step, octave, alter, sign=""):
    text = note(step, octave, 1)
    if alter:
        text = text.replace("<octave>", f"<alter>{alter}</alter><octave>")
    return text.replace("<voice>", f"<accidental>{sign}</accidental><voice>") if sign else text


@pytest.fixture
def read(tmp_path):
    def parse(*parts):
        path = tmp_path / "work.musicxml"
        path.write_text(document([[part] if isinstance(part, str) else part for part in parts]))
        return read_score(path)

    return parse


def pitches(score):
    return [[n.midi for n in part] for part in score.parts]


@pytest.mark.parametrize(
    ("chromatic", "octaves", "sounding"),
    [
        (-3, None, 69),  # clarinet in A
        (-7, 0, 65),  # horn in F
        (-9, -1, 51),  # baritone saxophone
        (3, None, 75),  # clarinet in E flat
        (0, 1, 84),  # piccolo
        (0, -1, 60),  # double bass
        ("2.0", "-2", 50),
    ],
)
def test_pitch_is_as_it_sounds(read, chromatic, octaves, sounding):
    concert = note("C", 5, 4)
    score = read(transpose(chromatic, octaves) + note("C", 5, 4), concert)
    assert pitches(score) == [[sounding], [72]]
    assert score.remarks == ()


def test_a_change_holds_from_its_time_in_every_voice(read):
    first = transpose(-2) + note("D", 5, 1) + transpose(-3) + note("D", 5, 3)
    # The second voice is written after the change, and its first note sounds before it.
    first += "<backup><duration>16</duration></backup>" + note("D", 3, 1) + note("D", 3, 3)
    score = read([first, note("D", 5, 4), transpose(0) + note("D", 5, 4)])
    assert pitches(score) == [[48, 72, 47, 71, 71, 74]]


def test_staves_are_transposed_each_for_itself(read):
    def on(staff, step, octave):
        return note(step, octave, 4, extra=f"<staff>{staff}</staff>")

    back = "<backup><duration>16</duration></backup>"
    both = on(1, "C", 5) + back + on(2, "C", 4)
    score = read([transpose(-12, number=2) + both, transpose(-2) + both])
    assert pitches(score) == [[48, 72, 58, 70]]


@pytest.mark.parametrize(("double", "other"), [("<double/>", 48), ('<double above="yes"/>', 72)])
def test_a_doubled_part_sounds_in_octaves(read, double, other):
    slurred = note("C", 4, 2, extra='<notations><slur type="start" number="1"/></notations>')
    ended = note("C", 4, 2, extra='<notations><slur type="stop" number="1"/></notations>')
    (part,) = read(transpose(0, double=double) + slurred + ended).parts
    expected = sorted((60, other))
    assert [(n.midi, n.onset, n.duration, n.slurred) for n in part] == [
        (midi, onset, 2, onset > 0) for onset in (0, 2) for midi in expected
    ]


def test_ties_of_a_transposed_note_are_merged(read):
    held = note("A", 4, 4, extra=tie("start"))
    (part,) = read([transpose(-2) + held, note("A", 4, 4, extra=tie("stop"))]).parts
    assert [(n.midi, n.onset, n.duration) for n in part] == [(67, 0, 8)]


def test_microtones_are_rounded_and_that_is_said_once(read):
    score = read(
        altered("C", 4, "0.5")
        + altered("D", 4, "-0.25")
        + altered("E", 4, "1.75")
        + altered("F", 4, "", "quarter-flat")
    )
    assert pitches(score) == [[61, 62, 66, 65]]
    (remark,) = score.remarks
    assert "work.musicxml: 4 notes between two semitones, rounded to the nearest" in remark


def test_a_sign_without_an_alteration(read):
    signs = ("sharp", "flat", "natural", "flat-flat", "slash-sharp")
    score = read("".join(altered("C", 5, "", sign) for sign in signs))
    assert pitches(score) == [[73, 71, 72, 70, 72]]


def sound(tempo):
    words = "<direction-type><words>x</words></direction-type>"
    return f'<direction>{words}<sound tempo="{tempo}"/></direction>'


@pytest.mark.parametrize("tempo", ["0", "-60", "nan", "inf", "1e9", "fast", ""])
def test_a_tempo_that_nobody_plays_is_left_out(read, tempo):
    score = read([sound(90) + note("C", 5, 4), sound(tempo) + note("C", 5, 4)])
    assert score.tempi == ((0.0, 90.0),)
    assert "1 tempo marks that are not plausible left out" in "".join(score.remarks)


def test_fractions_of_the_unit_are_not_lost(read):
    fine = note("C", 5, 1).replace("<duration>4<", "<duration>2.5<")
    exact = note("D", 5, 1).replace("<duration>4<", "<duration>4.0<")
    last = note("E", 5, 2).replace("<duration>8<", "<duration>9.5<")
    (part,) = read(fine + exact + last).parts
    assert [(n.onset, n.duration) for n in part] == [(0, 0.625), (0.625, 1), (1.625, 2.375)]


def test_what_has_no_pitch_or_duration_is_left_out_in_its_place(read):
    unpitched = "<unpitched><display-step>E</display-step></unpitched>"
    drum = f"<note>{unpitched}<duration>4</duration><voice>1</voice></note>"
    grace = note("B", 4, 1, before="<grace/>").replace("<duration>4</duration>", "")
    lacking = note("A", 4, 1).replace("<duration>4</duration>", "")
    score = read(drum + grace + note("C", 5, 3) + lacking)
    assert [(n.midi, n.onset) for part in score.parts for n in part] == [(72, 1)]
    assert [line.split(": ")[1] for line in score.remarks] == [
        "1 unpitched notes left out",
        "1 notes without a duration left out",
    ]


def test_measures_that_hold_parts(tmp_path):
    plain = document([[note("C", 5, 4), note("D", 5, 4)], [note("E", 3, 4), note("F", 3, 4)]])
    start, stop = plain.index("<part-list>"), plain.index("</part-list>") + len("</part-list>")
    bars = ((1, ("C", 5), ("E", 3)), (2, ("D", 5), ("F", 3)))
    timewise = ""
    for number, *notes in bars:
        timewise += f'<measure number="{number}">'
        for n, pitch in enumerate(notes, 1):
            attributes = measure(number, note(*pitch, 4)).partition(">")[2]
            timewise += f'<part id="P{n}">{attributes.removesuffix("</measure>")}</part>'
        timewise += "</measure>"
    (tmp_path / "a.xml").write_text(plain)
    (tmp_path / "b.xml").write_text(
        f"<score-timewise>{plain[start:stop]}{timewise}</score-timewise>"
    )
    one, other = (read_score(tmp_path / name) for name in ("a.xml", "b.xml"))
    assert one.parts == other.parts
    assert pitches(one) == [[72, 74], [52, 53]]


CONTAINER = (
    '<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
    '<rootfiles><rootfile full-path="{}"/><rootfile full-path="score.pdf"/></rootfiles></container>'
)


@pytest.mark.parametrize(
    ("container", "name"),
    [
        (None, "music.xml"),
        ("music.xml", "music.xml"),
        (r"scores\music.xml", "scores/music.xml"),
        ("./Music.XML", "music.xml"),
        ("gone.xml", "music.musicxml"),
    ],
)
def test_archives_as_programs_write_them(tmp_path, container, name):
    path = tmp_path / "work.MXL"
    with zipfile.ZipFile(path, "w") as archive:
        if container:
            archive.writestr("META-INF/container.xml", CONTAINER.format(container))
        archive.writestr(name, document([[note("G", 4, 4)]]))
        archive.writestr("score.pdf", b"%PDF")
    (tmp_path / "._work.mxl").write_bytes(b"\0\5\26\7")
    assert find_scores(tmp_path) == {"work": [path]}
    assert pitches(read_score(path)) == [[67]]


@pytest.mark.parametrize(
    ("declared", "data"),
    [
        ("UTF-8", lambda text: text.encode("utf-8-sig")),
        ("UTF-16", lambda text: text.encode("utf-16")),
        ("UTF-16", lambda text: text.encode("utf-16-be")),
        ("UTF-16", lambda text: text.encode("utf-8")),
        ("ISO-8859-1", lambda text: text.encode("latin-1")),
        ("windows-1252", lambda text: text.replace("\n", "\r\n").encode("cp1252")),
        ("UTF-8", lambda text: text.replace("\n", "\r").encode()),
    ],
)
def test_encodings(tmp_path, declared, data):
    path = tmp_path / "work.xml"
    text = document([[note("A", 4, 4)]]).replace("Violin 1", "Flûte").replace("UTF-8", declared)
    path.write_bytes(data(text.replace("<part-list>", "\n<part-list>\n")))
    assert pitches(read_score(path)) == [[69]]


BROKEN = {
    "a byte that is no letter": (lambda text: text.encode().replace(b"Vio", b"Vi\xf8"), "byte"),
    "half an archive": (lambda text: archived(text)[:-40], ""),
    "a damaged archive": (lambda text: archived(text).replace(b"s.xml", b"t.xml", 1), "damaged"),
    "two scores": (lambda text: archived(text, "a.xml", "b.xml"), "2 files are possible"),
    "cut short": (lambda text: text.encode()[:-30], "not readable as MusicXML"),
    "nothing": (lambda text: text.encode()[:0], "not readable as MusicXML"),
    "noise": (lambda text: bytes(range(256)) + text.encode(), "byte"),
}
REPLACED = {
    "an unknown encoding": ("UTF-8", "klingon", "klingon"),
    "no encoding of text": ("UTF-8", "hex", "hex"),
    "no unit": ("<divisions>4</divisions>", "", "divisions"),
    "a unit of zero": ("<divisions>4", "<divisions>0", "positive"),
    "a duration in words": ("<duration>16", "<duration>long", "'long'"),
    "a huge duration": ("<duration>16", "<duration>" + "9" * 40, "99"),
    "no octave": ("<octave>4</octave>", "", "pitch.octave"),
    "an octave that nobody hears": ("<octave>4", "<octave>99", "MIDI"),
    "a step that is none": ("<step>A", "<step>H", "'H'"),
    "no list of parts": ("part-list", "parts", "part P1"),
    "a part twice": ('part id="P1"', 'part id="P2"', "part P2"),
    "another root": ("score-partwise", "opus", "got opus"),
    "no chromatic": ("<note>", "<attributes><transpose/></attributes><note>", "chromatic"),
    "no note": ("note>", "print>", "no pitched note"),
}


def archived(text, *names):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        if not names:
            archive.writestr("META-INF/container.xml", CONTAINER.format("s.xml"))
        for name in names or ["s.xml"]:
            archive.writestr(name, text)
    return content.getvalue()


@pytest.mark.parametrize("fault", [*BROKEN, *REPLACED])
def test_what_cannot_be_read_is_one_line_of_its_file(tmp_path, fault):
    text = document([[note("A", 4, 4)], [note("A", 4, 4)]])
    if fault in BROKEN:
        spoil, words = BROKEN[fault]
        data = spoil(text)
    else:
        old, new, words = REPLACED[fault]
        assert old in text
        data = text.replace(old, new).encode()
    path = tmp_path / "work.mxl"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_score(path)
    assert all(line.isprintable() for line in caught.value.problems)
    assert all(line.startswith(str(path)) for line in caught.value.problems)
    assert words in str(caught.value)


def test_rendering_says_once_what_was_rounded(notes_folder, tmp_path, capsys):
    scores = tmp_path / "scores"
    scores.mkdir()
    bar = altered("C", 5, "0.5") + note("D", 5, 3)
    parts = [[bar] * 12, [note("C", 4, 4)] * 12]
    (scores / "Haydn.musicxml").write_bytes(codecs.BOM_UTF8 + document(parts).encode())
    arguments = ["--notes", notes_folder, "--scores", scores, "--out", tmp_path / "out"]
    arguments += ["--test-tracks", 2, "--players", 2, "--duration", 2, "--jobs", 1]
    assert main([*map(str, arguments)]) == 0
    (line,) = [x for x in capsys.readouterr().err.splitlines() if "semitones" in x]
    assert line.startswith("render: ")
    assert "Haydn.musicxml: 12 notes" in line
