"""Building blocks of the built-in still-life: turned bodies, bent tubes, boards, and patterns painted on vertices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import trimesh

Color = Sequence[float]  # sRGB in [0, 1]
Pattern = Callable[[np.ndarray], np.ndarray]  # points [N, 3] in the part's own frame to sRGB colours [N, 3] in [0, 1]


def turned(profile: Sequence[tuple[float, float]], *, sections: int = 72, steps: int = 0) -> trimesh.Trimesh:
    """A body of revolution about z.

    Args:
        profile: Radius and height of the outline's points, from the bottom up the outside (and down the inside).
        sections: Steps around the axis.
        steps: Points of a smooth curve drawn through `profile`; 0 keeps the corners, each edge cut into short steps.
    """
    import trimesh

    outline = np.asarray(profile, np.float64)
    outline = _smooth_curve(outline, steps) if steps else _cut_edges(outline, 0.03)
    outline[:, 0] = np.maximum(outline[:, 0], 0.0)
    return trimesh.creation.revolve(outline, sections=sections)


def tube(
    path: Sequence[Sequence[float]], radii: Sequence[float], *, sections: int = 20, steps: int = 40
) -> trimesh.Trimesh:
    """A round tube with closed ends along a smooth curve.

    Args:
        path: Points that the axis passes through [n, 3].
        radii: Radius at each of them [n].
        sections: Steps around the axis.
        steps: Steps along it.
    """
    import trimesh

    curve = _smooth_curve(np.column_stack([path, radii]), steps)
    axis, radius = curve[:, :3], np.maximum(curve[:, 3], 1e-4)
    tangent = np.gradient(axis, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    side = np.cross(tangent[0], np.eye(3)[np.abs(tangent[0]).argmin()])
    angle = np.linspace(0, 2 * np.pi, sections, endpoint=False)
    rings = []
    for centre, forward, size in zip(axis, tangent, radius, strict=True):
        side = side - forward * (side @ forward)  # carried along, so that the tube does not twist
        side /= np.linalg.norm(side)
        other = np.cross(forward, side)
        rings.append(centre + size * (np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * other))
    vertices = np.concatenate([*rings, axis[[0, -1]]])
    return trimesh.Trimesh(vertices, _tube_faces(len(rings), sections), process=False)


def board(size: Sequence[float], centre: Sequence[float], *, cell: float = 0.03) -> trimesh.Trimesh:
    """A box of the given edge lengths, its faces cut into cells fine enough to carry a pattern."""

    half = np.asarray(size, np.float64) / 2
    sides = []
    for axis in range(3):
        across = [(axis + 1) % 3, (axis + 2) % 3]
        for sign in (-1.0, 1.0):
            u, v = (np.linspace(-half[a], half[a], int(np.ceil(2 * half[a] / cell)) + 1) for a in across)
            points = np.empty((len(u), len(v), 3))
            points[..., axis] = sign * half[axis]
            points[..., across[0]], points[..., across[1]] = u[:, None], v[None]
            sides.append(_grid(points if sign > 0 else points[:, ::-1]))
    box = joined(*sides)
    box.apply_translation(centre)
    return box


def sheet(points: np.ndarray) -> trimesh.Trimesh:
    """A thin surface through a grid of points [n, m, 3]."""
    return _grid(np.asarray(points, np.float64))


def joined(*meshes: trimesh.Trimesh) -> trimesh.Trimesh:
    """Several meshes as one part."""
    import trimesh

    mesh = trimesh.util.concatenate(meshes)
    assert isinstance(mesh, trimesh.Trimesh)
    return mesh


def painted(mesh: trimesh.Trimesh, pattern: Pattern | Color, *, gloss: float = 0.0) -> trimesh.Trimesh:
    """Give the mesh vertex colours, from a pattern or one sRGB colour in [0, 1], and a highlight."""
    points = np.asarray(mesh.vertices)
    color = pattern(points) if callable(pattern) else np.broadcast_to(pattern, points.shape)
    rgba = np.concatenate([np.clip(color, 0, 1), np.ones((len(points), 1))], axis=1)
    visual: Any = mesh.visual
    visual.vertex_colors = np.round(rgba * 255).astype(np.uint8)
    mesh.metadata["gloss"] = gloss
    return mesh


def wood(light: Color, dark: Color, *, rings: float = 9.0) -> Pattern:
    """Grain along x: wavy lines of a darker colour."""

    def pattern(points: np.ndarray) -> np.ndarray:
        x, y, z = points.T
        bend = 0.06 * np.sin(2.1 * x + 0.7) + 0.03 * np.sin(5.3 * x + 3 * y)
        grain = 0.5 + 0.5 * np.sin(rings * 2 * np.pi * (y + bend + 0.3 * z))
        fine = 0.5 + 0.5 * np.sin(3.7 * rings * 2 * np.pi * (y + 0.5 * bend))
        return mix(light, dark, 0.65 * grain**3 + 0.25 * fine**2)

    return pattern


def bands(base: Color, *stripes: tuple[float, float, Color]) -> Pattern:
    """One colour with horizontal stripes, each given by its lower and upper height and its colour."""

    def pattern(points: np.ndarray) -> np.ndarray:
        color = np.tile(np.asarray(base, np.float64), (len(points), 1))
        for low, high, stripe in stripes:
            color[(points[:, 2] >= low) & (points[:, 2] <= high)] = stripe
        return color

    return pattern


def petals(base: Pattern, color: Color, *, count: int, height: float, size: float) -> Pattern:
    """A wreath of round dots at one height around the z axis, painted over another pattern."""

    def pattern(points: np.ndarray) -> np.ndarray:
        angle = np.arctan2(points[:, 1], points[:, 0]) * count / (2 * np.pi)
        across = (angle - np.round(angle)) * 2 * np.pi / count * np.hypot(points[:, 0], points[:, 1])
        distance = np.hypot(across, points[:, 2] - height)
        share = np.clip((size - distance) / 0.015 + 0.5, 0, 1)[:, None]  # soft, or the mesh shows in the outline
        return base(points) * (1 - share) + np.asarray(color) * share

    return pattern


def mottled(first: Color, second: Color, *, scale: float, sharp: float = 1.0) -> Pattern:
    """Two colours blended by a smooth irregular function of the place."""

    def pattern(points: np.ndarray) -> np.ndarray:
        x, y, z = (points * scale).T
        waves = (
            np.sin(x + 1.3 * np.sin(1.7 * y)) + np.sin(1.3 * y + 1.1 * np.sin(1.9 * z)) + np.sin(1.1 * z + np.sin(x))
        )
        return mix(first, second, np.clip(0.5 + sharp * waves / 6, 0, 1))

    return pattern


def fade(low: Color, high: Color, bottom: float, top: float) -> Pattern:
    """A blend of two colours with the height."""

    def pattern(points: np.ndarray) -> np.ndarray:
        return mix(low, high, np.clip((points[:, 2] - bottom) / (top - bottom), 0, 1))

    return pattern


def mix(first: Color, second: Color, share: np.ndarray) -> np.ndarray:
    """Colours [N, 3] between two, `share` [N] of the second."""
    return np.asarray(first) * (1 - share[:, None]) + np.asarray(second) * share[:, None]


def _smooth_curve(points: np.ndarray, steps: int) -> np.ndarray:
    """`steps` + 1 points of a smooth curve through `points` [n, d], spaced by arc length of the polygon."""
    from scipy.interpolate import PchipInterpolator

    place = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    return PchipInterpolator(place, points, axis=0)(np.linspace(0, place[-1], steps + 1))


def _cut_edges(points: np.ndarray, longest: float) -> np.ndarray:
    """The same polygon with every edge cut into pieces of at most `longest`."""
    pieces = [points[:1]]
    for start, end in pairwise(points):
        count = max(int(np.ceil(np.linalg.norm(end - start) / longest)), 1)
        pieces.append(start + (end - start) * (np.arange(1, count + 1) / count)[:, None])
    return np.concatenate(pieces)


def _tube_faces(rings: int, sections: int) -> np.ndarray:
    """Triangles [F, 3] of stacked rings of vertices, closed by fans around two more vertices at the ends."""
    ring, step = np.meshgrid(np.arange(rings - 1), np.arange(sections), indexing="ij")
    a = (ring * sections + step).ravel()
    b = (ring * sections + (step + 1) % sections).ravel()
    around = np.arange(sections)
    following = (around + 1) % sections
    first, last, end = rings * sections, rings * sections + 1, (rings - 1) * sections
    return np.concatenate(
        [
            np.column_stack([a, b, b + sections]),
            np.column_stack([a, b + sections, a + sections]),
            np.column_stack([np.full(sections, first), following, around]),
            np.column_stack([np.full(sections, last), end + around, end + following]),
        ]
    )


def _grid(points: np.ndarray) -> trimesh.Trimesh:
    """Triangles over a grid of points [n, m, 3]."""
    import trimesh

    rows, columns = points.shape[:2]
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    faces = np.concatenate(
        [
            np.column_stack([corner, corner + columns, corner + columns + 1]),
            np.column_stack([corner, corner + columns + 1, corner + 1]),
        ]
    )
    return trimesh.Trimesh(points.reshape(-1, 3), faces, process=False)
