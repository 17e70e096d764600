"""JSON files with values that no reader expects, and texts that are no JSON."""

from __future__ import annotations

import json
import random
from typing import Any

Path = list[str | int]

# As they are written into the text, since not all of them can be values of Python's.
VALUES = (
    *("NaN", "Infinity", "-Infinity", "1e308", "-1e308", "1e400", "1e-320", "-1", "0", "-0.0", "1", "0.5", "1e6"),
    *("9223372036854775808", "-9223372036854775809", "4294967296", "2147483647", "1e18", "9" * 5000, "1" * 400),
    *("null", "true", "false", "[]", "{}", '""', '" "', '"x"', '"1"', '"nan"', '"1e308"', '"²"', "[[]]", "[null]"),
    *("[1,2,3]", '{"a":1}', "[" * 200 + "]" * 200, "[" * 100_000 + "]" * 100_000, '{"a":' * 5000 + "1" + "}" * 5000),
    *('".."', '"."', '"/"', '"/etc/passwd"', '"../../../etc/passwd"', '"a/../b"', '"a\\\\b"', '"\\u0000"', '"\\n"'),
    *('"\\ud800"', '"a\\u0001b"', '"' + "x" * 300 + '"', '"' + "x/" * 2000 + '"', '"/dev/zero"', '"train"', '"con"'),
    *(
        '"https://example.org/a.png"',
        '"~"',
        '"\\u001b[31m"',
        '"\\u202e.png"',
        '"-"',
        '"*"',
        '"%s%n"',
        '"' + "9" * 500 + '"',
    ),
)
ENCODINGS = ("utf-8-sig", "utf-16", "utf-32", "latin-1", "utf-16-le")
_MARK = "\ue000ultrafield"


def damaged_json(content: bytes, rng: random.Random) -> bytes:
    """The text with one to three of its values, keys or lists changed; now and then in another encoding."""
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):
        return content[: rng.randrange(len(content) + 1)]
    inserted: list[str] = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        tree = _changed(tree, rng, inserted)
    text = json.dumps(tree, ensure_ascii=False)
    for index, value in enumerate(inserted):
        text = text.replace(f'"{_MARK}{index}"', value)
    if rng.random() < 0.1:
        text = _misspelt(text, rng)
    encoding = rng.choice(ENCODINGS) if rng.random() < 0.1 else "utf-8"
    return text.encode(encoding, "replace" if encoding == "latin-1" else "surrogatepass")


def _changed(tree: Any, rng: random.Random, inserted: list[str]) -> Any:
    places = list(_places(tree))
    if not places or rng.random() < 0.04:
        return _new(rng, inserted)
    depth = rng.randrange(1, max(len(path) for path in places) + 1)  # few values are near the root
    path = rng.choice([path for path in places if len(path) == depth])
    parent = tree
    for key in path[:-1]:
        parent = parent[key]
    key, draw = path[-1], rng.random()
    if draw < 0.6:
        parent[key] = _new(rng, inserted)
    elif draw < 0.75:
        del parent[key]
    elif isinstance(parent, list):
        parent[:] = rng.choice((parent * 2, parent[::-1], [*parent, parent[key]], [list(parent)], parent[:1]))
    elif draw < 0.85:
        parent[rng.choice(("", "extra", key.upper(), f" {key}", "k1", "camera_model", "__class__"))] = parent[key]
    else:  # twice in the text, which JSON permits
        value = json.dumps(parent[key], default=str)
        inserted.append(f'{value}, "{key}": {rng.choice(VALUES)}')
        parent[key] = f"{_MARK}{len(inserted) - 1}"
    return tree


def _new(rng: random.Random, inserted: list[str]) -> str:
    inserted.append(rng.choice(VALUES))
    return f"{_MARK}{len(inserted) - 1}"


def _places(tree: Any, path: tuple[str | int, ...] = ()) -> Any:
    """Paths of all values below the root."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from _places(value, (*path, key))


def _misspelt(text: str, rng: random.Random) -> str:
    place = rng.randrange(len(text) + 1)
    return rng.choice(
        (text[:place], text + text, text.replace(",", ",,", 1), text.replace('"', "'"), "/* */" + text, text + "\0", "")
    )
