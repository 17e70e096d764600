"""Who is answered: the page itself, under names that no other site can take."""

from __future__ import annotations

import pytest

from ultrafield.viewer.guard import LOOPBACK, is_loopback, known_names, refusal

HERE = known_names("127.0.0.1")
EVERYWHERE = known_names("0.0.0.0")


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("localhost:8080", "http://localhost:8080"),
        ("LOCALHOST:8080", "http://localhost:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("localhost:9000", "http://localhost:9000"),  # forwarded by ssh -L
        ("localhost", "https://localhost"),
    ],
)
def test_the_page_itself_is_answered(host: str, origin: str) -> None:
    assert refusal(host, origin, HERE, socket_asked=True) is None
    assert refusal(host, None, HERE, socket_asked=False) is None


@pytest.mark.parametrize(
    ("host", "origin", "reason"),
    [
        ("127.0.0.1:8080", "http://evil.example", "another site asks"),
        ("127.0.0.1:8080", "http://127.0.0.1:3000", "another site asks"),  # another program of this machine
        ("127.0.0.1:8080", "http://localhost:8080", "another site asks"),
        ("127.0.0.1:8080", "null", "another site asks"),
        ("127.0.0.1:8080", "file://", "another site asks"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080.evil.example", "another site asks"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080@evil.example", "another site asks"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080/x", "another site asks"),
        ("127.0.0.1:8080", "chrome-extension://127.0.0.1:8080", "another site asks"),
        ("evil.example:8080", "http://evil.example:8080", "not called evil.example"),  # DNS rebinding
        ("192.168.0.7:8080", "http://192.168.0.7:8080", "not called 192.168.0.7"),
        ("127.0.0.1.evil.example", "http://127.0.0.1.evil.example", "not called"),
        ("", "http://127.0.0.1:8080", "does not say which server"),
        (None, None, "does not say which server"),
        ("127.0.0.1:x", "http://127.0.0.1:x", "does not say which server"),
        ("127.0.0.1:8080", None, "by the page alone"),
    ],
)
def test_others_are_refused(host: str | None, origin: str | None, reason: str) -> None:
    assert reason in (refusal(host, origin, HERE, socket_asked=True) or "")


def test_a_server_for_other_machines_answers_to_addresses_but_to_no_other_name() -> None:
    assert refusal("192.168.0.7:8080", "http://192.168.0.7:8080", EVERYWHERE, socket_asked=True) is None
    assert refusal("evil.example:8080", "http://evil.example:8080", EVERYWHERE, socket_asked=True)
    named = known_names("Workstation.lan")
    assert refusal("workstation.lan:80", "http://workstation.lan:80", named, socket_asked=True) is None
    assert named > LOOPBACK
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")
