"""Implements the console script `cmss`: finds a command by its name and runs it.

This module imports no slow modules, so that help texts appear at once. A command and the
libraries that it needs are imported when the command runs.
"""

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template
from textwrap import wrap

from cmss.command_line import exit_status
from cmss.errors import one_of


@dataclass(frozen=True)
class Command:
    """Defines a command of `cmss`.

    Args:
        module: module with the function `main`.
        summary: short description of the command.
        configuration: name of the configuration in cmss/conf for a command with arguments
            KEY=VALUE; empty for a command with options.
        help: name of the help text in cmss/commands/help; empty for a command with options.
    """

    module: str
    summary: str
    configuration: str = ""
    help: str = ""


COMMANDS = {
    "listen": Command("cmss.listen", "Rebalance a recording and amplify it for a listener"),
    "desk": Command("cmss.desk", "Separate recordings and mix their players in the browser"),
    "enhance": Command(
        "cmss.commands.enhance", "Separate, remix and amplify a data set", "config", "stages"
    ),
    "evaluate": Command(
        "cmss.commands.evaluate", "Compute the HAAQI of the enhanced signals", "config", "stages"
    ),
    "merge": Command(
        "cmss.commands.merge_results",
        "Join the scores, build the submission and the report",
        "config",
        "stages",
    ),
    "train": Command("cmss.commands.train", "Train a network", "train", "train"),
    "fit": Command("cmss.commands.fit", "Fit the weights of an ensemble", "fit", "fit"),
    "fit_postfilter": Command(
        "cmss.commands.fit_postfilter",
        "Train a network that corrects a separator",
        "fit_postfilter",
        "fit_postfilter",
    ),
    "fit_dictionaries": Command(
        "cmss.commands.fit_dictionaries",
        "Learn templates for factorisations",
        "fit_dictionaries",
        "fit_dictionaries",
    ),
    "models": Command("cmss.commands.models", "List all separators with their properties"),
    "validate": Command("metadata_tools.validate", "Check a data folder and list its contents"),
    "demo": Command("metadata_tools.demo", "Generate a small data set"),
}
"""All commands by name. The package metadata_tools is installed together with this one."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `cmss COMMAND ...`; by default, the command line of this process.

    Returns:
        The exit status of the command.

    Raises:
        SystemExit: a command with arguments KEY=VALUE has failed.
    """
    name, *words = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("--help", "-h"):
        return exit_status(_list_of_commands)
    if name == "--version":
        return exit_status(lambda: version("cmss"))
    if name not in COMMANDS:
        print(f"cmss: {name}: no such command, {one_of(COMMANDS, name)}", file=sys.stderr)
        return 2
    command = COMMANDS[name]
    if not command.configuration:
        with _importing():
            module = import_module(command.module)
        return module.main(words)
    # Recipes and the console script differ in their first word.
    script = sys.argv[0]
    program = f"python {script}" if Path(script).suffix == ".py" else f"cmss {name}"
    if "--help" in words or "-h" in words:
        more = "--help-all prints all keys with their values."
        return exit_status(lambda: f"{help_text(command, program)}\n\n{more}")
    with _importing():
        from cmss.run.stage import run

        module = import_module(command.module)
    sys.argv = [script, *("--help" if word == "--help-all" else word for word in words)]
    run(module.main, command.configuration, partial(_template, command, program))
    return 0


@contextmanager
def _importing() -> Iterator[None]:
    """Disable Python's garbage collector within the block, because imported objects stay in use.

    After the first block, the existing objects are also excluded from later garbage collections.
    Otherwise, each garbage collection would visit these objects again. At the start of a program,
    this function saves 0.3 s.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():
            gc.freeze()
        gc.enable()


def help_text(command: Command, program: str) -> str:
    """Return the short help text of a command with KEY=VALUE arguments; the text omits most keys.

    Args:
        command: the command.
        program: words with which the user starts the program; the first line shows these words.

    Raises:
        InputError: two installed packages use the same name for a separator or network.
    """
    from cmss.models import registry
    from cmss.separators.catalogue import SEPARATORS

    sizes: dict[str, list[str]] = {}
    for network in registry.listed():
        of_package = ["sizes of an installed package"] if network.sizes is None else network.sizes
        sizes.setdefault(network.name, []).extend(of_package)
    # Further lines are indented, so that they begin below the first name after `separator=`.
    lines = wrap("| ".join(("ensemble", *SEPARATORS)), 80)
    text = (files("cmss.commands") / "help" / f"{command.help}.txt").read_text(encoding="utf-8")
    return Template(text.rstrip()).substitute(
        program=program,
        separators=f"\n{' ' * len('  separator=')}".join(line.replace("| ", "|") for line in lines),
        sizes="".join(f"\n    {name:26}{', '.join(s)}" for name, s in sizes.items() if s),
    )


def _template(command: Command, program: str) -> str:
    """Return the template of the text of `--help-all`; hydra replaces $CONFIG in this template."""
    text = help_text(command, program).replace("$", "$$")
    return f"{text}\n\nAll keys, with the values that this command line gives them:\n\n$CONFIG"


def _list_of_commands() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        (
            "Usage: cmss COMMAND ...",
            "",
            "Music remixed for people with hearing loss, task 2 of the Second Cadenza Challenge.",
            "",
            *lines,
            "",
            "cmss COMMAND --help explains a command; python -m metadata_tools lists more programs",
            "for data.",
        )
    )
