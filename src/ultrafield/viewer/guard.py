"""Which requests are answered: those of the page itself, under a name that no other site can take.

A page of any other site can send requests to a server on the user's machine, and by a name of its own that it lets
point there (DNS rebinding) it could even read the answers. Browsers say truly from which site a page is (Origin) and by
which name it reached the server (Host): both are checked.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_WILDCARDS = frozenset({"0.0.0.0", "::"})


def known_names(host: str) -> frozenset[str]:
    """Names by which a server that listens at `host` may be reached."""
    if host in LOOPBACK:
        return LOOPBACK
    if host in _WILDCARDS:
        return LOOPBACK | {socket.gethostname().lower(), socket.getfqdn().lower()}
    return LOOPBACK | {host.lower()}


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens at `host`."""
    return host in LOOPBACK


def refusal(host: str | None, origin: str | None, names: Collection[str], *, socket_asked: bool) -> str | None:
    """Why a request is refused; None if it is answered.

    Args:
        host: Its header Host.
        origin: Its header Origin; a page that is opened sends none.
        names: Names by which the server may be reached; addresses in digits belong to no site, so they count too where
            the server listens to more than this machine.
        socket_asked: Whether it asks for a web socket, which other sites' pages may open: Origin must be there then.
    """
    place = _place(f"//{host}") if host else None
    if place is None:
        return "the request does not say which server it is for"
    name, _ = place
    if name not in names and not (_is_address(name) and names != LOOPBACK):
        return f"this server is not called {name}"
    if origin is None:
        return "a web socket is opened by the page alone" if socket_asked else None
    scheme = origin.partition("://")[0]
    if scheme not in ("http", "https") or _place(origin.removeprefix(f"{scheme}:")) != place:
        return "another site asks"
    return None


def _place(url: str) -> tuple[str, int | None] | None:
    """Name and port of a URL without its scheme; None if it has none."""
    try:
        parts = urlsplit(url)
        if parts.username is not None or parts.path or parts.query or parts.fragment or not parts.hostname:
            return None
        return parts.hostname.lower(), parts.port
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
