"""The tree of segments as a list that opens and closes, with thumbnails and names."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np

from ..segments import Segments

_MOST = 1500  # nodes that are listed, the largest


def tree_list(segments: Segments, thumbnails: Mapping[int, str]) -> tuple[str, int]:
    """The list as HTML, and how many of the nodes it holds.

    Args:
        segments: The tree.
        thumbnails: Pictures as data URIs, by index of the node.
    """
    order = np.lexsort((np.arange(len(segments)), -segments.sizes))  # parents are as large as their children, or larger
    kept = np.zeros(len(segments), bool)
    kept[order[:_MOST]] = True
    for index in np.flatnonzero([bool(name) for name in segments.names]).tolist()[:_MOST]:
        while not kept[index]:
            kept[index] = True
            index = int(segments.parents[index])
    children: dict[int, list[int]] = {}
    for index in sorted(np.flatnonzero(kept).tolist(), key=lambda index: (-segments.sizes[index], index)):
        if index > 0:
            children.setdefault(int(segments.parents[index]), []).append(index)
    parts = ['<ul class="tree" id="tree">']
    waiting: list[int | str] = [0]
    opened = _opened(segments, children)
    while waiting:  # without recursion, as trees can be deep
        item = waiting.pop()
        if isinstance(item, str):
            parts.append(item)
            continue
        below = children.get(item, [])
        label = _label(segments, item, thumbnails.get(item))
        if below:
            state = " open" if item in opened else ""
            parts.append(f"<li><details{state}><summary>{label}</summary><ul>")
            waiting.append("</ul></details></li>")
            waiting += reversed(below)
        else:
            parts.append(f'<li><div class="leaf">{label}</div></li>')
    parts.append("</ul>")
    return "".join(parts), int(kept.sum())


def _opened(segments: Segments, children: Mapping[int, list[int]]) -> set[int]:
    """Nodes that are open at first: the root, and below it as long as there is only one child."""
    opened, index = {0}, 0
    while len(children.get(index, [])) == 1:
        (index,) = children[index]
        opened.add(index)
    return opened


def _label(segments: Segments, index: int, picture: str | None) -> str:
    color = "#" + "".join(f"{value:02x}" for value in segments.colors[index].tolist())
    image = f'<img class="thumb" alt="" src="{picture}">' if picture else '<span class="thumb"></span>'
    share = segments.sizes[index] / max(1, segments.sizes[0])
    levels = [level.column for level, inside in zip(segments.levels, segments.member[index], strict=True) if inside]
    where = f" · {escape(levels[0].replace('_', ' '))}" if levels else ""
    size, height = f"{segments.sizes[index]:,} points ({share:.1%})", f"{segments.heights[index]:.3f}"
    facts = f'<span class="facts">#{segments.ids[index]} · {size} · height {height}{where}</span>'
    kind, name = ("name", segments.names[index]) if segments.names[index] else ("name plain", segments.title(index))
    text = f'<span class="{kind}" dir="auto">{escape(name)}</span>{facts}'
    return f'{image}<span class="dot" style="background:{color}"></span><span class="text">{text}</span>'
