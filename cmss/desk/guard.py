"""Refuses requests that do not come from the desk's own pages.

A page of another site can send requests to 127.0.0.1, and by DNS rebinding it can even read the
answers: its name then refers to 127.0.0.1. The browser states the name in the header Host and the
site of the page in the header Origin, and a page cannot change these headers.
"""

from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

READING = ("GET", "HEAD")

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    # The three headers isolate the pages from those of other sites. Isolated pages may share the
    # memory of sounds with the audio thread.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Headers of every answer that does not set them itself."""

MIXING_PAGE_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; "
    "img-src data:; connect-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Content security policy of a mixing page: scripts, styles and sounds are inside the page."""


class Guard:
    """Wraps an application: checks the headers Host and Origin, and adds security headers.

    Args:
        app: the application.
        port: port of the application at 127.0.0.1.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        names = ("127.0.0.1", "localhost")
        self._hosts = {f"{name}:{port}" for name in names}
        if port == 80:  # The browser leaves out the default port.
            self._hosts |= set(names)
        self._origins = {f"http://{host}" for host in self._hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # The server closes the connection of a web socket.

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        problem = self._problem(scope["method"], Headers(scope=scope))
        app = JSONResponse({"problems": [problem]}, 403) if problem else self._app
        await app(scope, receive, send_with_headers)

    def _problem(self, method: str, headers: Headers) -> str | None:
        """Return the reason for which a request is refused; None if it is accepted."""
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return "Host: expected the address of the desk"
        if not origins and method in READING:
            return None
        if len(origins) != 1 or origins[0].lower() not in self._origins:
            return "Origin: expected a page of the desk"
        return None


def of_mixing_page() -> Mapping[str, str]:
    """Return the headers of a mixing page, in which :class:`Guard` keeps the policy."""
    return {"Content-Security-Policy": MIXING_PAGE_POLICY}
