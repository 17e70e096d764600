"""viser's web server behind a guard: it answers its own page only, and hears what our part of that page sends.

viser takes whoever connects, and its server can also be asked for files and for a public address. Here the one function
by which it begins to listen (`websockets.asyncio.server.serve`) is wrapped while it starts: requests are checked
(`guard`), the page is the only file there is, and a second web socket carries events of our own.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import http
import io
import json
import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, reason_of, shortened
from ..extras import require
from .guard import known_names, refusal

if TYPE_CHECKING:
    import viser

EVENTS = "/events"
_LONGEST = 4096  # characters of an event
_NOT_OURS = (errno.EADDRNOTAVAIL,)
_STARTING = threading.Lock()
_SCRIPT_MADE = 'document.createElement("script");e.type="module";'  # by which viser's page starts its program

Listener = Callable[[dict[str, Any]], None]


def start_server(host: str, port: int, title: str, heard: Listener) -> viser.ViserServer:
    """Start viser's server at an address of one's own.

    Args:
        host: Address or name to listen at.
        port: Port; 0 takes a free one.
        title: Of the page; shown as text.
        heard: Told of every event of the page, in a thread of the server's: it must return at once.

    Raises:
        ConfigError: The port is in use, or the address is none of this machine's.
        BackendError: viser is not installed.
    """
    module = require("viser", "view")
    listening = _listen(host, port)
    page = _Page(Path(str(module.__file__)).parent / "client" / "build" / "index.html", title)
    with _STARTING, _served_by(partial(_serve, listening, page, known_names(host), heard)), _silence():
        server: viser.ViserServer = module.ViserServer(host=host, port=listening.getsockname()[1], verbose=False)
    from viser import _messages

    for message in (_messages.ShareUrlRequest, _messages.ShareUrlDisconnect):  # a public address through others' hands
        server._websock_server.unregister_handler(message)
    return server


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens, so that a port in use is an error here and not another port later."""
    if not host:
        raise ConfigError("expected an address, got nothing", setting="host")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, ValueError) as failure:  # ValueError: a null character, or what cannot be encoded
        raise ConfigError(f"{shortened(host, 60)!r} is no address ({failure})", setting="host") from None
    listening = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere it would let two programs share the port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()
    except (OSError, OverflowError) as failure:
        listening.close()
        setting = "host" if getattr(failure, "errno", None) in _NOT_OURS else "port"
        reason = reason_of(failure)
        raise ConfigError(
            f"cannot listen at {host}, port {port} ({reason}); choose another one", setting=setting
        ) from None
    return listening


class _Page:
    """viser's page with our style and script, and headers by which it can load and reach nothing else.

    Scripts need a number that only this process knows, so that no text on the page ever becomes one.
    """

    def __init__(self, file: Path, title: str) -> None:
        nonce = secrets.token_urlsafe(16)
        text = file.read_text(encoding="utf-8")
        guarded = text.count(_SCRIPT_MADE) == 1
        text = text.replace(_SCRIPT_MADE, f'{_SCRIPT_MADE}e.nonce="{nonce}";')
        text = text.replace("<script ", f'<script nonce="{nonce}" ', 1)
        text = text.replace("<title>Viser</title>", f"<title>{escape(title)}</title>")
        own = files(__package__)
        names = ("page.css", "points.js", "page.js", "access.js")
        style, first, *scripts = (own.joinpath(name).read_text(encoding="utf-8") for name in names)
        text = text.replace("<script ", f'<script nonce="{nonce}">{first}</script><script ', 1)  # before viser's begins
        ending = f'<style>{style}</style><script nonce="{nonce}">{"".join(scripts)}</script></body>'
        before, _, after = text.rpartition("</body>")
        self.content = gzip.compress(f"{before}{ending}{after}".encode(), 6)
        allowed = f"'nonce-{nonce}'" if guarded else "'unsafe-inline'"
        self.policy = (
            "default-src 'none'; "
            f"script-src {allowed} 'unsafe-eval' 'wasm-unsafe-eval' blob:; worker-src blob: data:; "
            "style-src 'unsafe-inline'; img-src data: blob:; font-src data:; connect-src 'self' data: blob:; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )


def _serve(
    listening: socket.socket, page: _Page, names: frozenset[str], heard: Listener, serve: Any, handler: Any, *_: Any,
    process_request: Any = None, **options: Any,
) -> Any:  # fmt: skip
    """Begin to listen as viser asks for, with our socket, our page and our checks."""

    async def handle(connection: Any) -> None:
        if connection.request.path == EVENTS:
            await _hear(connection, heard)
        else:
            await handler(connection)

    answer = partial(_answer, page, names)
    return serve(handle, sock=listening, process_request=answer, logger=_quiet_logger(), **options)


def _quiet_logger() -> logging.Logger:
    """A log that nobody reads: browsers open connections that they never use, which is nothing to tell the user."""
    logger = logging.getLogger(f"{__name__}.connections")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return logger


def _answer(page: _Page, names: frozenset[str], connection: Any, request: Any) -> Any:
    """The answer to a request; None where a web socket may be opened."""
    hosts, origins = (request.headers.get_all(name) for name in ("Host", "Origin"))
    asked = "websocket" in ",".join(request.headers.get_all("Upgrade")).lower()
    if len(hosts) > 1 or len(origins) > 1:
        reason: str | None = "the request says twice whose it is"
    else:
        host, origin = next(iter(hosts), None), next(iter(origins), None)
        reason = refusal(host, origin, names, socket_asked=asked)
    if reason is not None:
        return _response(http.HTTPStatus.FORBIDDEN, f"Refused: {reason}.\n")
    if asked:
        return None
    if request.path.partition("?")[0] not in ("/", "/index.html"):
        return _response(http.HTTPStatus.NOT_FOUND, "There is nothing here but the page itself.\n")
    headers = {"Content-Type": "text/html; charset=utf-8", "Content-Encoding": "gzip"}
    return _response(http.HTTPStatus.OK, page.content, headers | {"Content-Security-Policy": page.policy})


def _response(status: http.HTTPStatus, body: str | bytes, headers: dict[str, str] | None = None) -> Any:
    from websockets import Headers
    from websockets.http11 import Response

    content = body.encode() if isinstance(body, str) else body
    fields = {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": str(len(content)),
        "Cache-Control": "no-store",
        "Connection": "close",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
    return Response(status.value, status.phrase, Headers(**(fields | (headers or {}))), content)


async def _hear(connection: Any, heard: Listener) -> None:
    """Pass on the events of one page; what is no event is left out."""
    from websockets.exceptions import ConnectionClosed

    with contextlib.suppress(ConnectionClosed):
        async for text in connection:
            if isinstance(text, str) and len(text) <= _LONGEST:
                with contextlib.suppress(ValueError, RecursionError):
                    event = json.loads(text)
                    if isinstance(event, dict) and isinstance(event.get("act"), str):
                        heard(event)


@contextlib.contextmanager
def _served_by(serve: Callable[..., Any]) -> Iterator[None]:
    """Let servers that start within the block listen by a function of ours, which is given the usual one first."""
    import websockets.asyncio.server as module

    usual = module.serve
    module.serve = partial(serve, usual)  # type: ignore[assignment, misc]
    try:
        yield
    finally:
        module.serve = usual  # type: ignore[misc]


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep what viser prints of its address to itself: it does not know which names are answered."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
