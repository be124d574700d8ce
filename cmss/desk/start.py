"""Starts the mixing desk (`cmss desk`), a page that separates and mixes recordings.

    cmss desk [--folder FOLDER] [--port PORT] [--open]

The command prints an address such as http://127.0.0.1:8790. Open this address in a browser on this
computer. On the page, choose a recording, the players and an audiogram, and start the separation.
The result consists of a page and the stems. The page has a slider for each player and simulates the
hearing aid; `cmss listen --page` writes the same page. The stems are FLAC files. Each result is a
folder in FOLDER.

Other computers cannot reach the desk. Other pages in the browser cannot send requests to the desk.
Recordings stay on this computer. Ctrl-C ends the desk.
"""

import argparse
import math
import socket
import sys
import webbrowser
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from cmss.command_line import exit_status, one_line
from cmss.errors import InputError

PORT = 8790
"""Default port. The port is fixed, so that users can bookmark the address."""
HIGHEST_PORT = 65535
NEEDED = ("starlette", "uvicorn")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with the given arguments, and return the exit status."""
    options = _parser().parse_args(arguments)
    return exit_status(lambda: _serve(options), "cmss desk")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cmss desk",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--folder", type=Path, default=Path("mixing_desk"), metavar="FOLDER",
        help="folder of the results (default: mixing_desk in the current folder)")  # fmt: skip
    parser.add_argument("--port", type=_port, default=PORT, metavar="PORT",
        help=f"port of the address (default: {PORT}); 0 chooses any free port")  # fmt: skip
    parser.add_argument("--max-mb", type=_megabytes, default=500, metavar="MB",
        help="maximum size of a recording in megabytes (default: 500)")  # fmt: skip
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument("--separator", metavar="NAME",
        help="separator, such as htdemucs or nmf, that replaces the choice of quality on the page"
    )  # fmt: skip
    return parser


def _port(word: str) -> int:
    if not word.isdecimal() or int(word) > HIGHEST_PORT:
        message = f"expected a number from 0 to {HIGHEST_PORT}, got {word!r}"
        raise argparse.ArgumentTypeError(message)
    return int(word)


def _megabytes(word: str) -> float:
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a positive number of megabytes, got {word!r}")
    return number


def _serve(options: argparse.Namespace) -> None:
    """Serve the desk until the user interrupts the program.

    Raises:
        InputError: a library is missing, an option cannot be used, or the port is in use.
        OSError: the folder cannot be written.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        verb = "is" if len(missing) == 1 else "are"
        raise InputError(f"{' and '.join(missing)} {verb} missing; run: pip install 'cmss[desk]'")
    # These imports are slow. They are in this function, so that the help text appears at once.
    import uvicorn

    from cmss.desk.app import desk_app
    from cmss.desk.jobs import Jobs
    from cmss.listen.choice import separator_settings

    if options.separator:
        separator_settings("best", options.separator, "--separator")
    folder = options.folder.absolute()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--folder {folder}: is a file, expected a folder")
    jobs = Jobs(folder, round(options.max_mb * 1e6), options.separator)
    with _listening(options.port) as sock:
        port = sock.getsockname()[1]
        config = uvicorn.Config(
            desk_app(jobs, port),
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=3,
        )
        address = f"http://127.0.0.1:{port}"
        print(one_line(f"{address} is the mixing desk; results: {folder}"), flush=True)
        if options.open and not webbrowser.open(address):
            print("cmss desk: found no browser; open the address in a browser", file=sys.stderr)
        with suppress(KeyboardInterrupt):  # Users end the desk with Ctrl-C.
            uvicorn.Server(config).run(sockets=[sock])


def _listening(port: int) -> socket.socket:
    """Return a listening socket that only programs on this computer can reach."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # With this option, a new desk can use the port immediately after the previous desk has ended.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(("127.0.0.1", port))
        sock.listen()
    except OSError as error:
        sock.close()
        raise InputError(
            f"--port {port}: {error.strerror}; give another port, or 0 to choose any free port"
        ) from error
    return sock
