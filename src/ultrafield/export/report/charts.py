"""Charts as inline SVG: the dendrogram of the segments, and training curves. Colours follow the page's style."""

from __future__ import annotations

from html import escape

import numpy as np

from ..segments import Segments
from .content import Curve

_LEAVES = 60  # of the dendrogram, the largest
_WIDTH, _ROW = 760, 13
_LEFT, _RIGHT, _TOP, _BOTTOM = 12, 190, 22, 30
_LONGEST = 28  # characters of a caption


def dendrogram(segments: Segments) -> str:
    """The tree of segments as SVG, root on the left, heights along the top, leaves on the right.

    Only the largest segments are drawn, with all that lies around them.
    """
    tree = segments.without_crumbs()
    kept = _largest(tree)
    children: dict[int, list[int]] = {index: [] for index in kept}
    for index in kept[1:]:
        children[int(tree.parents[index])].append(index)
    rows, next_row = {}, 0
    for index in _in_order(children, kept[0]):
        if not children[index]:
            rows[index] = float(next_row)
            next_row += 1
    for index in reversed(kept):  # children after their parents
        if children[index]:
            rows[index] = float(np.mean([rows[child] for child in children[index]]))
    top = max(float(tree.heights[0]), 1e-9)
    height = _TOP + _BOTTOM + _ROW * max(1, next_row)

    def x(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (1.0 - min(value / top, 1.0))

    def y(index: int) -> float:
        return _TOP + _ROW * (rows[index] + 0.5)

    lines, marks = [], []
    for level in tree.levels:
        place = x(level.height)
        lines.append(f'<path class="level" d="M{place:.1f} {_TOP - 8}V{height - _BOTTOM + 6}"/>')
        lines.append(f'<text class="tick" x="{place:.1f}" y="{height - 8}">{level.height:.2f}</text>')
    for index in kept:
        color = _css(tree.colors[index])
        begin = x(float(tree.heights[index]))
        for child in children[index]:
            end = x(float(tree.heights[child]))
            path = f"M{begin:.1f} {y(index):.1f}V{y(child):.1f}H{end:.1f}"
            lines.append(f'<path class="branch" style="stroke:{_css(tree.colors[child])}" d="{path}"/>')
        if not children[index]:
            end = x(0.0)
            lines.append(f'<path class="branch" style="stroke:{color}" d="M{begin:.1f} {y(index):.1f}H{end:.1f}"/>')
            caption = _shortened(tree.place(index))
            marks.append(f'<text x="{end + 8:.1f}" y="{y(index) + 3.5:.1f}">{escape(caption)}</text>')
        marks.append(f'<circle style="fill:{color}" cx="{begin:.1f}" cy="{y(index):.1f}" r="3"/>')
    left_out = len(tree) - len(kept)
    note = f"; {left_out} smaller segments are left out" if left_out else ""
    title = f"Dendrogram: {next_row} segments and how they join, from the whole scene on the left{note}"
    return (
        f'<svg class="chart dendrogram" role="img" aria-label="{escape(title)}" viewBox="0 0 {_WIDTH} {height}">'
        f"{''.join(lines)}{''.join(marks)}</svg>"
    )


def curve_chart(curve: Curve) -> str:
    """A curve as SVG, on a logarithmic axis."""
    width, height, left, bottom = 320, 150, 46, 24
    values = np.maximum(curve.values, 1e-12)
    low, high = np.log10(values.min()), np.log10(values.max())
    low, high = (low - 0.1, high + 0.1) if high - low < 0.2 else (low, high)
    steps = curve.steps.astype(np.float64)
    x = left + (width - left - 10) * (steps - steps[0]) / max(steps[-1] - steps[0], 1.0)
    y = 10 + (height - bottom - 16) * (high - np.log10(values)) / (high - low)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    title = f"{curve.title}: from {curve.values[0]:.3g} to {curve.values[-1]:.3g} in {int(steps[-1]) + 1} steps"
    return (
        f'<svg class="chart curve" role="img" aria-label="{escape(title)}" viewBox="0 0 {width} {height}">'
        f'<path class="axis" d="M{left} 8V{height - bottom}H{width - 8}"/>'
        f'<text class="end" x="{left - 6}" y="16">{10**high:.2g}</text>'
        f'<text class="end" x="{left - 6}" y="{height - bottom}">{10**low:.2g}</text>'
        f'<text x="{left}" y="{height - 8}">{int(steps[0])}</text>'
        f'<text class="end" x="{width - 8}" y="{height - 8}">step {int(steps[-1])}</text>'
        f'<polyline class="line" points="{points}"/></svg>'
    )


def _largest(tree: Segments) -> list[int]:
    """Indices of at most so many leaves and of all nodes around them, ascending."""
    inner = np.zeros(len(tree), bool)
    inner[tree.parents[1:]] = True
    leaves = np.flatnonzero(~inner)
    leaves = leaves[np.argsort(-tree.sizes[leaves], kind="stable")][:_LEAVES]
    kept = {0}
    for leaf in leaves.tolist():
        while leaf not in kept:
            kept.add(leaf)
            leaf = int(tree.parents[leaf])
    return sorted(kept)


def _in_order(children: dict[int, list[int]], root: int) -> list[int]:
    """Nodes from the top of the picture to its bottom."""
    order, waiting = [], [root]
    while waiting:
        index = waiting.pop()
        order.append(index)
        waiting += reversed(children[index])
    return order


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"…{text[1 - _LONGEST :]}"


def _css(color: np.ndarray) -> str:
    return "#" + "".join(f"{value:02x}" for value in color.tolist())
