"""Implements the web application of the desk, which serves pages and answers their requests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from cmss.command_line import reason
from cmss.desk.guard import Guard, of_mixing_page
from cmss.desk.jobs import BusyError, Jobs
from cmss.desk.kept_results import described, file_of, results
from cmss.desk.orders import FEWEST, MOST, read_order
from cmss.desk.standard_audiograms import FREQUENCIES_HZ, STANDARD_DB
from cmss.desk.standard_audiograms import described as described_audiogram
from cmss.desk.uploads import LONGEST_S, TooLargeError, too_large
from cmss.errors import InputError
from cmss.listen.command import QUALITIES
from cmss.listen.inputs import FFMPEG, LIBSNDFILE
from cmss.pages.mixing_page import asset
from cmss.quantities import HEARING_LEVEL_DB
from cmss.scenes import INSTRUMENTS

TYPES = {"css": "text/css", "js": "text/javascript"}
BUSY = "another recording is being separated; wait for it, or cancel it first"
ASSETS = ("player.css", "desk.css", "audiogram.js", "desk.js")
"""Files of the desk's page. The file player.css contains the colours of all pages."""


def desk_app(jobs: Jobs, port: int) -> ASGIApp:
    """Return the application, which accepts only requests from its own pages at 127.0.0.1.

    Args:
        jobs: object that runs the jobs of the desk.
        port: port of the server.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await jobs.cancel()

    handlers = _Handlers(jobs)
    routes = [
        Route("/", handlers.page),
        Route("/assets/{name}", handlers.asset),
        Route("/job", handlers.job, methods=["GET"]),
        Route("/job", handlers.start, methods=["POST"]),
        Route("/job", handlers.cancel, methods=["DELETE"]),
        Route("/results", handlers.results),
        Route("/results/{name}/{words:path}", handlers.file),
    ]
    return Guard(Starlette(routes=routes, lifespan=lifespan), port)


class _Handlers:
    """Handles the requests. Each method handles one type of request."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    async def page(self, _: Request) -> Response:
        """Return the page of the desk."""
        low, high = HEARING_LEVEL_DB.usual or (HEARING_LEVEL_DB.lowest, HEARING_LEVEL_DB.highest)
        data = {
            "instruments": INSTRUMENTS,
            "fewest": FEWEST,
            "most": MOST,
            "frequencies_hz": FREQUENCIES_HZ,
            "levels_db": [low, high],
            "standard_db": STANDARD_DB,
            "most_bytes": self._jobs.most_bytes,
        }
        html = _template().render(
            data=data,
            standard={name: described_audiogram(name) for name in STANDARD_DB},
            qualities={name: text.replace("%%", "%") for name, text in QUALITIES.items()},
            separator=self._jobs.separator,
            folder=str(self._jobs.folder),
            longest_min=f"{LONGEST_S / 60:g}",
            suffixes=",".join(("audio/*", *LIBSNDFILE, *FFMPEG)),
        )
        return HTMLResponse(html)

    async def asset(self, request: Request) -> Response:
        """Return a style sheet or a script of the desk's page."""
        name = request.path_params["name"]
        if name not in ASSETS:
            return _problem("no such file", 404)
        text = asset(name) if name == "player.css" else _own(name)
        return Response(text, media_type=TYPES[name.rpartition(".")[2]])

    async def job(self, _: Request) -> Response:
        """Return the state of the latest job."""
        job = self._jobs.job
        return JSONResponse(job.described() if job else {"state": "none"})

    async def start(self, request: Request) -> Response:
        """Start a job. The body of the request is the recording; the query contains the order."""
        try:
            order = read_order(request.query_params.get("order", ""))
            length = request.headers.get("content-length", "")
            if length.isdigit() and int(length) > self._jobs.most_bytes:
                raise too_large(order.title, self._jobs.most_bytes)
            job = await self._jobs.start(order, request.stream())
        except BusyError:
            await self._drain(request)
            return _problem(BUSY, 409)
        except TooLargeError as error:
            return _problem(str(error), 413)
        except InputError as error:
            await self._drain(request)
            return JSONResponse({"problems": error.problems}, 400)
        except (InterruptedError, ClientDisconnect):
            return _problem("The separation was cancelled.", 400)
        except OSError as error:
            return _problem(reason(error), 500)
        return JSONResponse(job.described(), 202)

    async def _drain(self, request: Request) -> None:
        """Read the rest of a recording; otherwise the browser may not receive the response."""
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) <= self._jobs.most_bytes:
            with suppress(ClientDisconnect, RuntimeError):  # The body has already been read.
                async for _ in request.stream():
                    pass

    async def cancel(self, _: Request) -> Response:
        """Cancel the running job."""
        await self._jobs.cancel()
        job = self._jobs.job
        return JSONResponse(job.described() if job else {"state": "none"})

    async def results(self, _: Request) -> Response:
        """Return the descriptions of all results as JSON."""
        folder = self._jobs.folder
        return JSONResponse([described(folder, name, each) for name, each in results(folder)])

    async def file(self, request: Request) -> Response:
        """Return a file of a result, or status 404 if there is no such file."""
        name, words = request.path_params["name"], request.path_params["words"]
        path = file_of(self._jobs.folder, name, words or "index.html")
        if path is None:
            return _problem("no such file", 404)
        if path.suffix == ".html":
            return FileResponse(path, headers=of_mixing_page())
        return FileResponse(path, media_type="audio/flac", filename=path.name)


def _problem(text: str, status: int) -> Response:
    return JSONResponse({"problems": [text]}, status)


def _own(name: str) -> str:
    return (files("cmss.desk") / "page" / name).read_text(encoding="utf-8")


@cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("cmss.desk", "page"), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("desk.html")
