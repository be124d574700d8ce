import pytest

from cmss.rendering.notes import read_bank
from metadata_tools.virtual_playing_orchestra import PRESET, main
from tests.support.note_files import tone, write

GROUPS = {
    "bass": ({}, [(24, 31, "G0")]),
    "cello": ({}, [(36, 45, "2_A"), (47, 49, "3_Db")]),
    "released": ({"trigger": "release"}, [(36, 38, "2_D_r")]),
    "viola": ({}, [(48, 48, "3_C_f")]),
    "violin": ({}, [(55, 55, "3_G"), (56, 56, "3_Ab")]),
}


def preset(groups):
    """The preset writes paths with backslashes and a capital, unlike the folder."""
    written = []
    for more, samples in groups.values():
        attributes = "".join(f' {key}="{value}"' for key, value in more.items())
        written.append("<group>")
        for low, root, name in samples:
            path = f"Samples\\solo\\{name}.wav"
            keys = f'loNote="{low}" hiNote="{low + 3}" rootNote="{root}"'
            written.append(f'<sample path="{path}" {keys}{attributes}/>')
        written.append("</group>")
    return f"<DecentSampler><groups>{''.join(written)}</groups></DecentSampler>"


@pytest.fixture
def arguments(tmp_path):
    files = {
        f"samples/solo/{name}.wav": tone(root, 7)
        for _, samples in GROUPS.values()
        for _, root, name in samples
    }
    given = write(tmp_path, files)
    (tmp_path / "samples" / PRESET).write_text(preset(GROUPS))
    return given


def test_the_solo_strings_have_the_pitches_of_the_preset(arguments, tmp_path):
    assert main(arguments) == 0
    bank = read_bank(tmp_path / "notes")
    # A bin of the spectrum is a cent.
    assert {
        name: [(n.midi, pytest.approx(n.cents, abs=1)) for n in bank[name]] for name in bank
    } == {
        "Cello": [(45, 7), (49, 7)],
        "Viola": [(48, 7)],
        "Violin": [(55, 7), (56, 7)],
    }


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("<DecentSampler>", "no element found"),
        (preset({"bass": GROUPS["bass"]}), "no solo strings"),
        (preset({"viola": ({}, [(48, 48, "absent")])}), "absent.wav"),
        (preset(GROUPS).replace('rootNote="45"', 'rootNote="A2"'), "rootNote: 'A2', expected"),
    ],
)
def test_a_preset_that_cannot_be_used_is_refused_and_nothing_is_written(
    arguments, tmp_path, capsys, text, named
):
    (tmp_path / "samples" / PRESET).write_text(text)
    assert main(arguments) == 2
    assert named in capsys.readouterr().err
    assert not (tmp_path / "notes").exists()


def test_a_folder_without_the_preset_is_refused(tmp_path, capsys):
    samples = tmp_path / "samples"
    samples.mkdir()
    assert main(["--samples", str(samples), "--out", str(tmp_path / "notes")]) == 2
    assert PRESET in capsys.readouterr().err
