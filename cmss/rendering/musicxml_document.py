"""Reads MusicXML files as XML documents: unpacks, decodes and checks the files.

The checks correct or refuse two types of elements. Elements of the first type are read incorrectly
by partitura, without a warning. Elements of the second type cause errors in partitura, and the
error messages do not name the place in the file.
"""

import codecs
import io
import re
import zipfile
from pathlib import Path, PurePosixPath

from lxml import etree

from cmss.errors import InputError
from cmss.files.archives import reading_archive
from cmss.files.text import decode

LARGEST_BYTES = 2**28
"""Maximum size of a score in bytes; the score of a symphony has about 2**26 bytes."""

_SUFFIXES = (".xml", ".musicxml")
_CONTAINER = "META-INF/container.xml"
_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,6})?")
_DECLARATION = re.compile(r"\s*<\?xml\b[^>]*\?>")
_DECLARED = re.compile(rb"\s*<\?xml\b[^>]*\bencoding\s*=\s*[\"']([A-Za-z][A-Za-z0-9._-]*)[\"']")


def read_document(path: Path) -> etree._Element:
    """Read a compressed or uncompressed MusicXML file.

    Returns:
        The root element of the document, a score-partwise element. Each part is listed once.

    Raises:
        InputError: the file is damaged, is not MusicXML, or has a wrong encoding.
        OSError: the file cannot be read.
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
    """Return whether a tempo is invalid: not a number from 5 to 1000 quarter notes per minute."""
    try:
        return not 5.0 <= float(tempo) <= 1000.0
    except ValueError:
        return True


def measures(part: etree._Element, path: Path) -> list[tuple[str, etree._Element]]:
    """Return pairs of a text and a measure; the text names the place of the measure in the file."""
    return [
        (f"{path}: part {part.get('id')}, measure {measure.get('number', number)}", measure)
        for number, measure in enumerate(part.findall("measure"), 1)
    ]


def tidy(root: etree._Element, path: Path) -> list[str]:
    """Correct or remove the elements of a document that partitura cannot read correctly.

    Returns:
        A line for each type of element that was left out.

    Raises:
        InputError: the unit of durations (`divisions`) is missing, or a duration or a unit is not a
            valid number.
    """
    for part in root.findall("part"):
        _whole_durations(part, path)
    left_out = {"tempo marks that are not plausible": 0, "unpitched notes": 0}
    for sound in root.iter("sound"):
        if "tempo" in sound.attrib and implausible(sound.attrib["tempo"]):
            del sound.attrib["tempo"]
            left_out["tempo marks that are not plausible"] += 1
        # This attribute is not used, and partitura fails if it is not a number.
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
    """Return the content of the score in a compressed MusicXML file."""
    with reading_archive(path), zipfile.ZipFile(io.BytesIO(data)) as archive:
        name = _score_name(path, archive)
        info = archive.getinfo(name)
        if info.flag_bits & 0x1:
            raise InputError(f"{path}: {name} is encrypted; unpack it yourself")
        with archive.open(info) as stream:
            content = stream.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise InputError(
            f"{path}: {name} has more than {LARGEST_BYTES} bytes, which is too large for a score"
        )
    return content


def _score_name(path: Path, archive: zipfile.ZipFile) -> str:
    """Return the name of the score in an archive.

    The name is read from the container file. If the container file is missing or does not contain
    the name of a score, the archive must contain only one score.

    Raises:
        InputError: the archive contains no score, or several scores.
    """
    names = {name.replace("\\", "/").casefold(): name for name in archive.namelist()}
    if container := names.get(_CONTAINER.casefold()):
        root = _parsed(_decoded(archive.read(container), path), path)
        for file in root.iter("{*}rootfile"):
            named = PurePosixPath(file.get("full-path", "").replace("\\", "/")).as_posix()
            # An archive may have other root files, for example a PDF.
            if named.casefold().endswith(_SUFFIXES) and named.lstrip("/").casefold() in names:
                return names[named.lstrip("/").casefold()]
    scores = [
        name
        for folded, name in names.items()
        if folded.endswith(_SUFFIXES) and not folded.startswith(("meta-inf/", "__macosx/"))
    ]
    if len(scores) != 1:
        raise InputError(
            f"{path}: not readable as MusicXML ({_CONTAINER} does not say which file of this "
            f"archive is the score, and {len(scores)} files are possible)"
        )
    return scores[0]


def _decoded(data: bytes, path: Path) -> str:
    """Decode an XML document; the byte order mark or the declaration defines the encoding."""
    encoding = "utf-8"
    if data[:2] in (b"<\0", b"\0<"):
        encoding = "utf-16-le" if data[:1] == b"<" else "utf-16-be"
    elif match := _DECLARED.match(data[:1000]):
        named = match[1].decode("ascii")
        try:
            # A declaration of UTF-16 in single bytes is wrong: such files are usually in UTF-8.
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
        # Remove the XML declaration, because the declaration states the encoding of the file. The
        # text is passed on in UTF-8.
        return etree.fromstring(_DECLARATION.sub("", text, count=1).encode("utf-8"), parser)
    except (etree.XMLSyntaxError, UnicodeError) as error:
        raise _unreadable(path, error) from error


def _partwise(root: etree._Element) -> etree._Element:
    """Convert score-timewise (measures with parts) to score-partwise (parts with measures)."""
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
    """Check that every part has one entry in part-list and at most one part element.

    Raises:
        InputError: a part does not have exactly one entry in part-list, a part has several part
            elements, or the document has no part element.
    """
    listed = [part.get("id") for part in root.iterfind("part-list/score-part")]
    found = [part.get("id") for part in root.findall("part")]
    problems = [
        f"{path}: part {name}: expected one entry in part-list and one part element, got "
        f"{listed.count(name)} and {found.count(name)}"
        for name in dict.fromkeys([*listed, *found])
        if listed.count(name) != 1 or found.count(name) > 1
    ]
    if not found:
        problems.append(f"{path}: has no part")
    if problems:
        raise InputError(problems)


def _whole_durations(part: etree._Element, path: Path) -> None:
    """Multiply all durations and their unit by a factor that makes the durations integers.

    If a duration is not an integer, partitura reads 0 instead of the duration.
    """
    decimals, unit = 0, False
    for where, measure in measures(part, path):
        for element in measure.iter("divisions", "duration"):
            text = (element.text or "").strip()
            if element.tag == "divisions":
                unit = True
            elif not unit:
                raise InputError(
                    f"{where}: a duration has no unit, expected an element `divisions` before the "
                    "first duration"
                )
            if not _NUMBER.fullmatch(text) or (element.tag == "divisions" and not float(text)):
                raise InputError(
                    f"{where}: {element.tag}: expected a positive number, got {text!r}"
                )
            decimals = max(decimals, len(text.partition(".")[2]))
    if decimals:
        for element in part.iter("divisions", "duration"):
            whole, _, fraction = (element.text or "").strip().partition(".")
            element.text = f"{whole}{fraction:0<{decimals}}"
