"""What the page may ask for: every message is checked here before anything is done."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

SIMPLE = frozenset(
    {
        *("climb", "descend", "best", "deselect", "hide", "isolate", "all", "colors"),
        *("open", "close", "merge", "split", "undo", "redo", "paints"),
    }
)
_LARGEST = 1 << 40  # of an id


def checked(event: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Name and arguments of what an event asks for; None if it is nothing that can be asked for.

    Args:
        event: As the page sent it: anything that JSON can hold, under "act" the name.
    """
    name = event.get("act")
    if name in SIMPLE:
        return str(name), {}
    rule = _RULES.get(str(name))
    return None if rule is None else _named(str(name), rule(event))


def _named(name: str, arguments: dict[str, Any] | None) -> tuple[str, dict[str, Any]] | None:
    return None if arguments is None else (name, arguments)


def _node(event: dict[str, Any]) -> dict[str, Any] | None:
    node = event.get("node")
    return {"node": node} if type(node) is int and 0 <= node < _LARGEST else None


def _chosen(event: dict[str, Any]) -> dict[str, Any] | None:
    node = _node(event)
    return None if node is None else node | {"add": event.get("add") is True}


def _pixel(event: dict[str, Any]) -> dict[str, Any] | None:
    place = [event.get("x"), event.get("y")]
    if not all(isinstance(value, int | float) and math.isfinite(value) and 0 <= value <= 1 for value in place):
        return None
    return {"x": float(place[0]), "y": float(place[1]), "add": event.get("add") is True}  # type: ignore[arg-type]


def _text(event: dict[str, Any]) -> dict[str, Any] | None:
    text = event.get("text")
    return {"text": text} if isinstance(text, str) else None


_RULES: dict[str, Callable[[dict[str, Any]], dict[str, Any] | None]] = {
    "select": _chosen,
    "toggle": _node,
    "more": _node,
    "earlier": _node,
    "pixel": _pixel,
    "rename": _text,
}
