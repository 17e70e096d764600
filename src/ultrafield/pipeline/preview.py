"""A small picture of a segmentation for notebooks."""

from __future__ import annotations

import base64
import html

import numpy as np

from ..surface import Surface
from ..ultrametric import Tree

_EDGE = 320  # pixels
_ELEVATION = np.deg2rad(35.0)


def preview_html(surface: Surface, tree: Tree, levels: np.ndarray, *, title: str) -> str:
    """An HTML figure: the points seen obliquely from above, in their own colours and in those of their segments."""
    import cv2

    from ..export import node_colors

    segments = tree.cut(float(levels[len(levels) // 2])) if len(levels) else np.arange(len(surface))
    pictures = [draw_points(surface, colors) for colors in (surface.colors, node_colors(tree)[segments])]
    done, data = cv2.imencode(".png", np.concatenate(pictures, axis=1)[..., ::-1])
    assert done
    text = html.escape(title)
    source = base64.b64encode(data.tobytes()).decode()
    return f'<figure><img alt="{text}" src="data:image/png;base64,{source}"/><figcaption>{text}</figcaption></figure>'


def draw_points(surface: Surface, colors: np.ndarray) -> np.ndarray:
    """Points as squares, the nearest ones in front [E, E, 3], uint8, on white.

    Args:
        surface: N points.
        colors: [N, 3], uint8.
    """
    centred = surface.points_user - np.median(surface.points_user, axis=0)
    depth = centred[:, 1] * np.cos(_ELEVATION) - centred[:, 2] * np.sin(_ELEVATION)
    up = centred[:, 2] * np.cos(_ELEVATION) + centred[:, 1] * np.sin(_ELEVATION)
    flat = np.stack([centred[:, 0], -up], axis=1)
    reach = np.quantile(np.abs(flat), 0.99) if len(flat) else 1.0
    pixels = np.rint((flat / max(float(reach), 1e-12) * 0.48 + 0.5) * (_EDGE - 1)).astype(np.int64)
    picture = np.full((_EDGE + 2, _EDGE + 2, 3), 255, np.uint8)
    inside = ((pixels >= 0) & (pixels < _EDGE)).all(axis=1)
    order = np.argsort(-depth[inside], kind="stable")  # far ones first
    column, row = pixels[inside][order].T
    for down in range(3):
        for right in range(3):
            picture[row + down, column + right] = colors[inside][order]
    return picture[1:-1, 1:-1]
