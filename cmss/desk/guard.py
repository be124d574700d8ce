"""Refuses requests that do not come from the desk's own pages.

A page of another site can send requests to 127.0.0.1. By DNS rebinding, the page can also read the
responses, because the host name of the page then resolves to 127.0.0.1. The browser sends the host
name in the header Host and the site of the page in the header Origin. A page cannot change the
headers Host and Origin.
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
    # The following three headers isolate the desk's pages from the pages of other sites. Only an
    # isolated page may use memory that the main thread and the audio thread share.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Security headers. Each header is added to every response that does not already contain it."""

MIXING_PAGE_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; "
    "img-src data:; connect-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Content security policy of a mixing page. The page contains its scripts, styles and sounds."""


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
        if port == 80:  # The browser omits the default port in the headers.
            self._hosts |= set(names)
        self._origins = {f"http://{host}" for host in self._hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request, and pass an accepted request to the application."""
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
        """Return the reason for refusing a request, or None if the request is accepted."""
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return "Host: expected the address of the desk"
        if not origins and method in READING:
            return None
        if len(origins) != 1 or origins[0].lower() not in self._origins:
            return "Origin: expected a page of the desk"
        return None


def of_mixing_page() -> Mapping[str, str]:
    """Return the headers of a mixing page. :class:`Guard` does not replace these headers."""
    return {"Content-Security-Policy": MIXING_PAGE_POLICY}
