"""Help texts show the words with which the user has started the program."""

from importlib import import_module

import pytest

from cmss.commands.program import main
from metadata_tools.__main__ import commands


def help_of(program, words, capsys) -> str:
    with pytest.raises(SystemExit) as ended:
        program([*words, "--help"])
    assert ended.value.code == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", [name for name in commands() if name != "soundfont"])
def test_tools(name, capsys):
    text = help_of(import_module(f"metadata_tools.{name}").main, [], capsys)
    assert text.startswith(f"usage: python -m metadata_tools.{name} [-h]")
    assert text.count(f"python -m metadata_tools.{name} ") >= 2  # with an example


@pytest.mark.parametrize("script", ["/usr/bin/cmss", "cmss.exe"])
@pytest.mark.parametrize("name", ["demo", "listen", "models", "validate"])
def test_commands_of_the_console_script(name, script, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", [script, name, "--help"])
    text = help_of(main, [name], capsys)
    assert text.startswith(f"usage: cmss {name} [-h]")
    assert text.count(f"cmss {name} ") >= 2
    assert f"python -m cmss.{name}" not in text
    assert f"python -m metadata_tools.{name}" not in text
