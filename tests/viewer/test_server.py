"""The server: it answers its own page only, and nothing else of the machine."""

from __future__ import annotations

import gzip
import http.client
import json
import queue
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from ultrafield.errors import ConfigError
from ultrafield.viewer.server import start_server

viser = pytest.importorskip("viser", reason="needs the extra view")
TITLE = 'a <run> & "more"'


@pytest.fixture(scope="module")
def heard() -> queue.Queue[dict[str, Any]]:
    return queue.Queue()


@pytest.fixture(scope="module")
def port(heard: queue.Queue[dict[str, Any]]) -> Iterator[int]:
    server = start_server("127.0.0.1", 0, TITLE, heard.put)
    yield server.get_port()
    server.stop()


def ask(port: int, path: str, **headers: str) -> tuple[int, http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest("GET", path, skip_host=True)
    for name, value in ({"Host": f"127.0.0.1:{port}"} | headers).items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, response, content


def test_the_page_is_ours_and_can_load_and_reach_nothing_else(port: int) -> None:
    status, response, content = ask(port, "/?x=1")
    text = gzip.decompress(content).decode()
    assert status == 200
    assert "<title>a &lt;run&gt; &amp; &quot;more&quot;</title>" in text
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    nonce = policy.partition("'nonce-")[2].partition("'")[0]
    assert len(nonce) > 16
    assert text.count(nonce) == 4  # viser's loader, the program that it makes, and ours before and after it
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert response.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(
    "path",
    [
        *("/etc/passwd", "/../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/..%5c..%5cetc"),
        *("/edits.json", "/index.html/", "/page.js", "/assets", "/favicon.ico", "/%00", "/index.html%00"),
    ],
)
def test_no_file_can_be_read(port: int, path: str) -> None:
    status, _, content = ask(port, path)
    assert status == 404
    assert content == b"There is nothing here but the page itself.\n"


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Host": ""}])
def test_other_sites_do_not_get_the_page(port: int, headers: dict[str, str]) -> None:
    status, _, content = ask(port, "/", **headers)
    assert status == 403
    assert content.startswith(b"Refused: ")


def opening(
    port: int, path: str, origin: str | None, *, protocol: str | None = None, upgrade: str = "websocket"
) -> int:
    """Status of asking for a web socket."""
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Upgrade: {upgrade}", "Connection: Upgrade"]
    lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"]
    lines += [f"Origin: {origin}"] if origin else []
    lines += [f"Sec-WebSocket-Protocol: {protocol}"] if protocol else []
    with socket.create_connection(("127.0.0.1", port), 10) as stream:
        stream.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return int(stream.recv(4096).split(b" ")[1])


@pytest.mark.parametrize("path", ["/", "/events"])
def test_web_sockets_are_opened_by_the_page_alone(port: int, path: str) -> None:
    protocol = f"viser-v{viser.__version__}"
    assert opening(port, path, f"http://127.0.0.1:{port}", protocol=protocol) == 101
    for origin in ("http://evil.example", "http://127.0.0.1:1", f"http://localhost:{port}", "null", None):
        for upgrade in ("websocket", "WebSocket"):
            assert opening(port, path, origin, protocol=protocol, upgrade=upgrade) == 403


def test_events_are_heard_and_nonsense_is_left_out(port: int, heard: queue.Queue[dict[str, Any]]) -> None:
    from websockets.sync.client import connect

    with connect(f"ws://127.0.0.1:{port}/events", origin=f"http://127.0.0.1:{port}") as events:  # type: ignore[arg-type]
        for text in ("{", "[1]", "7", json.dumps({"act": 3}), "[" * 4000, json.dumps({"act": "x" * 5000}), b"\x00"):
            events.send(text)
        events.send(json.dumps({"act": "climb", "node": 3}))
        assert heard.get(timeout=10) == {"act": "climb", "node": 3}
    assert heard.empty()


def test_connections_that_ask_for_nothing_are_not_told(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    for sent in (b"", b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n"):
        with socket.create_connection(("127.0.0.1", port), 10) as stream:
            stream.sendall(sent)
    assert ask(port, "/")[0] == 200
    assert capfd.readouterr() == ("", "")


def test_nobody_gets_a_public_address(port: int) -> None:
    from viser import _messages

    server = start_server("127.0.0.1", 0, "other", lambda event: None)
    handlers = server._websock_server._incoming_handlers
    assert _messages.ShareUrlRequest not in handlers
    assert _messages.ShareUrlDisconnect not in handlers
    server.stop()


def test_a_port_in_use_is_said_and_no_other_is_taken(port: int) -> None:
    with pytest.raises(ConfigError, match=rf"port: cannot listen at 127.0.0.1, port {port} \(.*in use"):
        start_server("127.0.0.1", port, "second", lambda event: None)


@pytest.mark.parametrize("host", ["", "203.0.113.7", "no such name", "a\0b", "\udcff", "x" * 300])
def test_addresses_that_are_none_of_this_machines(host: str) -> None:
    with pytest.raises(ConfigError, match=r"^host: "):
        start_server(host, 0, "nowhere", lambda event: None)
