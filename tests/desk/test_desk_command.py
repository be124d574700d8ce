"""The command line of `cmss desk`, and the parts of the desk that need no server."""

import asyncio
import json
import re
import socket

import numpy as np
import pytest

from cmss.commands.program import main as cmss
from cmss.desk import main, start
from cmss.desk.orders import LONGEST_TITLE, read_order
from cmss.desk.standard_audiograms import FREQUENCIES_HZ, STANDARD_DB, described
from cmss.desk.uploads import TooLargeError, receive
from cmss.listen.command import QUALITIES
from tests.support.running_desk import LEVELS
from tests.support.stages import run_python


def lines(capsys) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_the_commands_list_the_desk(capsys):
    assert cmss(["--help"]) == 0
    assert re.search("^  desk +Separate recordings and mix", capsys.readouterr().out, re.MULTILINE)


def test_without_the_extra_the_command_says_what_to_install(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(start, "find_spec", lambda name: None if name == "starlette" else name)
    assert main(["--folder", str(tmp_path / "results")]) == 2
    assert lines(capsys) == [
        "cmss desk: starlette is missing; run: pip install 'cmss[desk]'"]  # fmt: skip
    assert not (tmp_path / "results").exists()


def test_options_that_cannot_be_used(capsys, tmp_path):
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    (tmp_path / "file").write_text("")
    folder = ["--folder", str(tmp_path / "results")]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = {
            ("--folder", str(tmp_path / "file")): "is a file, expected a folder",
            (*folder, "--separator", "nfm"): "'nfm', expected one of",
            (
                *folder,
                "--separator",
                "passthrough",
            ): "--separator: the separator passthrough does not estimate stems",
            (*folder, "--port", str(port)): f"--port {port}: Address already in use; give another",
        }
        for words, expected in refused.items():
            assert main(words) == 2
            (line,) = lines(capsys)
            assert expected in line
    for option, words in {"--port": ("65536", "-1", "x"), "--max-mb": ("0", "inf", "x")}.items():
        for word in words:
            with pytest.raises(SystemExit) as end:
                main([f"{option}={word}"])
            assert end.value.code == 2
            assert f"argument {option}: expected a" in lines(capsys)[-1]


def test_the_server_starts_without_pytorch(tmp_path):
    pytest.importorskip("starlette")
    code = "import cmss.desk.app, sys; sys.exit('torch' in sys.modules)"
    assert run_python("-c", code, cwd=tmp_path).returncode == 0


def test_standard_audiograms():
    # Bisgaard et al. (2010), at the frequencies of the challenge.
    assert FREQUENCIES_HZ == (250, 500, 1000, 2000, 3000, 4000, 6000, 8000)
    assert list(STANDARD_DB) == ["none", *(f"N{n}" for n in range(1, 8)), "S1", "S2", "S3"]
    assert STANDARD_DB["none"] == (0,) * 8
    assert STANDARD_DB["N3"] == (35, 35, 40, 50, 55, 60, 65, 65)
    assert STANDARD_DB["N7"] == (90, 95, 105, 105, 105, 105, 105, 105)
    assert STANDARD_DB["S2"] == (20, 20, 25, 55, 75, 95, 95, 95)
    # The audiograms are in the order of the loss, and the hearing loss does not decrease.
    for names in (["none", *(f"N{n}" for n in range(1, 8))], ["none", "S1", "S2", "S3"]):
        losses = np.array([STANDARD_DB[name] for name in names])
        assert (np.diff(losses.mean(axis=1)) > 0).all()
        assert (np.diff(losses, axis=1) >= 0).all()
    assert len({described(name) for name in STANDARD_DB}) == len(STANDARD_DB)


def text_of(**changed) -> str:
    valid = {"title": "a.wav", "players": {"Violin": 2, "Cello": 1}, "left": LEVELS}
    return json.dumps({**valid, "right": LEVELS, "quality": "best", **changed})


def test_an_order_is_read():
    order = read_order(text_of())
    assert order.instruments == ("Cello", "Violin", "Violin")
    assert order.left == order.right == tuple(LEVELS)
    assert order.quality in QUALITIES
    assert order.hearing == "me"
    of_n3 = list(STANDARD_DB["N3"])
    assert read_order(text_of(left=of_n3, right=of_n3)).hearing == "N3"
    assert read_order(text_of(left=of_n3)).hearing == "me"


@pytest.mark.parametrize(
    ("title", "suffix"),
    [("a.wav", ".wav"), ("A.FLAC", ".flac"), ("a.b.m4a", ".m4a"), ("a", ""), ("a.sh", ""),
     ("a./../../x", ""), ("a.wav/../x", ""), ("wav", "")],
)  # fmt: skip
def test_names_of_uploads_are_no_paths(title, suffix):
    order = read_order(text_of(title=title))
    assert (order.title, order.suffix) == (title, suffix)


def test_titles_are_short_and_have_one_line():
    assert len(read_order(text_of(title="x" * 1000 + ".wav")).title) == LONGEST_TITLE
    assert "\n" not in read_order(text_of(title="a\nb\x1b[2J.wav")).title


def test_the_size_of_an_upload_is_limited_while_it_arrives(tmp_path):
    taken = []

    async def chunks():
        for number in range(100):
            taken.append(number)
            yield b"x" * 10

    path = tmp_path / "sound"
    with pytest.raises(TooLargeError, match=r"^song\.wav: expected at most"):
        asyncio.run(receive(chunks(), path, "song.wav", 25))
    assert path.stat().st_size == 20
    assert len(taken) == 3
    asyncio.run(receive(chunks(), path, "song.wav", 1000))
    assert path.stat().st_size == 1000
