"""MusicXML files as XML documents: found in their archive, decoded, part by part, and checked.

What partitura would read wrong in silence, or fail on without saying where, is put right or refused
here, before it.
"""

import codecs
import io
import re
import zipfile
from pathlib import Path, PurePosixPath

from lxml import etree

from cmss.errors import InputError
from cmss.files.text import decode
from metadata_tools.inputs.packages import reading_archive

LARGEST_BYTES = 2**28
"""Of a score; a whole symphony has some 2**26."""
TEMPI = (5.0, 1000.0)
"""Lowest and highest plausible tempo in quarters per minute."""

_SUFFIXES = (".xml", ".musicxml")
_CONTAINER = "META-INF/container.xml"
_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,6})?")
_DECLARATION = re.compile(r"\s*<\?xml\b[^>]*\?>")
_DECLARED = re.compile(rb"\s*<\?xml\b[^>]*\bencoding\s*=\s*[\"']([A-Za-z][A-Za-z0-9._-]*)[\"']")


def read_document(path: Path) -> etree._Element:
    """Read a MusicXML file: its root, a score-partwise in which every part is listed once.

    Args:
        path: compressed or not, whatever its suffix.

    Raises:
        InputError: damaged, not MusicXML, or not in the encoding that it names.
        OSError: it cannot be read.
    """
    data = path.read_bytes()
    if zipfile.is_zipfile(io.BytesIO(data)):
        data = _unpacked(path, data)
    root = _parsed(_decoded(data, path), path)
    for element in root.iter():
        if isinstance(element.tag, str) and "}" in element.tag:
            element.tag = etree.QName(element).localname
    if root.tag == "score-timewise":
        root = _partwise(root)
    if root.tag != "score-partwise":
        raise _unreadable(
            path, f"expected score-partwise or score-timewise as its root, got {root.tag}"
        )
    _check_parts(root, path)
    return root


def implausible(tempo: str | float) -> bool:
    """Whether a tempo is no number, or one that nobody plays."""
    try:
        return not TEMPI[0] <= float(tempo) <= TEMPI[1]
    except ValueError:
        return True


def measures(part: etree._Element, path: Path) -> list[tuple[str, etree._Element]]:
    """The measures of a part, each with the words that say in a message where it is."""
    return [
        (f"{path}: part {part.get('id')}, measure {measure.get('number', number)}", measure)
        for number, measure in enumerate(part.findall("measure"), 1)
    ]


def tidy(root: etree._Element, path: Path) -> list[str]:
    """Put right in a document what is not as partitura expects it.

    Returns:
        A line for each type of thing that is left out.

    Raises:
        InputError: durations or their unit are missing or no numbers.
    """
    for part in root.findall("part"):
        _whole_durations(part, path)
    left_out = {"tempo marks that are not plausible": 0, "unpitched notes": 0}
    for sound in root.iter("sound"):
        if "tempo" in sound.attrib and implausible(sound.attrib["tempo"]):
            del sound.attrib["tempo"]
            left_out["tempo marks that are not plausible"] += 1
        # Nothing here uses it, and partitura fails on what is no number.
        sound.attrib.pop("dynamics", None)
    for element in list(root.iter("unpitched")):
        element.getparent().replace(element, etree.Element("rest"))
        left_out["unpitched notes"] += 1
    left_out["notes without a duration"] = sum(
        note.find("duration") is None and note.find("grace") is None for note in root.iter("note")
    )
    return [f"{path}: {count} {what} left out" for what, count in left_out.items() if count]


def _unreadable(path: Path, reason: object) -> InputError:
    return InputError(f"{path}: not readable as MusicXML ({reason})")


def _unpacked(path: Path, data: bytes) -> bytes:
    """The score in an archive: the one that its container names, or the only one in it."""
    with reading_archive(path), zipfile.ZipFile(io.BytesIO(data)) as archive:
        name = _score_name(path, archive)
        info = archive.getinfo(name)
        if info.flag_bits & 0x1:
            raise InputError(f"{path}: {name} is encrypted; unpack it yourself")
        with archive.open(info) as stream:
            content = stream.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise InputError(f"{path}: {name} has more than {LARGEST_BYTES} bytes, which no score has")
    return content


def _score_name(path: Path, archive: zipfile.ZipFile) -> str:
    names = {name.replace("\\", "/").casefold(): name for name in archive.namelist()}
    if container := names.get(_CONTAINER.casefold()):
        root = _parsed(_decoded(archive.read(container), path), path)
        for file in root.iter("{*}rootfile"):
            named = PurePosixPath(file.get("full-path", "").replace("\\", "/")).as_posix()
            # Others are for instance a PDF of it.
            if named.casefold().endswith(_SUFFIXES) and named.lstrip("/").casefold() in names:
                return names[named.lstrip("/").casefold()]
    scores = [
        name
        for folded, name in names.items()
        if folded.endswith(_SUFFIXES) and not folded.startswith(("meta-inf/", "__macosx/"))
    ]
    if len(scores) != 1:
        raise InputError(
            f"{path}: not readable as MusicXML (an archive whose {_CONTAINER} names no score in "
            f"it, and {len(scores)} files that could be one)"
        )
    return scores[0]


def _decoded(data: bytes, path: Path) -> str:
    """Text of an XML document, by its byte order mark or else by what it says about itself."""
    encoding = "utf-8"
    if data[:2] in (b"<\0", b"\0<"):
        encoding = "utf-16-le" if data[:1] == b"<" else "utf-16-be"
    elif match := _DECLARED.match(data[:1000]):
        named = match[1].decode("ascii")
        try:
            # A file that says UTF-16 in letters of one byte was converted by who forgot that line.
            known = codecs.lookup(named).name
            encoding = "utf-8" if known.startswith(("utf-16", "utf-32")) else known
            return decode(data, path, encoding)
        except (LookupError, UnicodeError) as error:
            raise _unreadable(path, f"encoding {named}: {error}; save it as UTF-8") from error
    return decode(data, path, encoding)


def _parsed(text: str, path: Path) -> etree._Element:
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        remove_blank_text=True,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        # Without the declaration, which speaks of the encoding that the file had.
        return etree.fromstring(_DECLARATION.sub("", text, count=1).encode("utf-8"), parser)
    except (etree.XMLSyntaxError, UnicodeError) as error:
        raise _unreadable(path, error) from error


def _partwise(root: etree._Element) -> etree._Element:
    """Measures that hold parts -> parts that hold measures."""
    made = etree.Element("score-partwise", dict(root.attrib))
    made.extend([child for child in root if child.tag != "measure"])
    parts: dict[str, etree._Element] = {}
    for measure in root.findall("measure"):
        for part in measure.findall("part"):
            name = part.get("id", "")
            if name not in parts:
                parts[name] = etree.SubElement(made, "part", dict(part.attrib))
            copy = etree.SubElement(parts[name], "measure", dict(measure.attrib))
            copy.extend(list(part))
    return made


def _check_parts(root: etree._Element, path: Path) -> None:
    listed = [part.get("id") for part in root.iterfind("part-list/score-part")]
    found = [part.get("id") for part in root.findall("part")]
    problems = [
        f"{path}: part {name}: listed {listed.count(name)} times in part-list and there "
        f"{found.count(name)} times, expected once each"
        for name in dict.fromkeys([*listed, *found])
        if listed.count(name) != 1 or found.count(name) > 1
    ]
    if not found:
        problems.append(f"{path}: holds no part")
    if problems:
        raise InputError(problems)


def _whole_durations(part: etree._Element, path: Path) -> None:
    """Make durations of fractions of their unit whole numbers: partitura takes others for zero."""
    decimals, unit = 0, False
    for where, measure in measures(part, path):
        for element in measure.iter("divisions", "duration"):
            text = (element.text or "").strip()
            if element.tag == "divisions":
                unit = True
            elif not unit:
                raise InputError(f"{where}: a duration, but no divisions before it say its unit")
            if not _NUMBER.fullmatch(text) or (element.tag == "divisions" and not float(text)):
                raise InputError(
                    f"{where}: {element.tag}: expected a positive number, got {text!r}"
                )
            decimals = max(decimals, len(text.partition(".")[2]))
    if decimals:
        for element in part.iter("divisions", "duration"):
            whole, _, fraction = (element.text or "").strip().partition(".")
            element.text = f"{whole}{fraction:0<{decimals}}"
