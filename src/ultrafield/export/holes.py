"""Holes of a mesh that is nearly a solid, closed by fans of triangles."""

from __future__ import annotations

import numpy as np

_ROUND = 0.05  # 36 π V² / A³ (1 for a ball, 0.52 for a cube, 0 for a sheet) from which a closed piece is a solid


def close_solid(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Close the holes of a mesh, if a solid results; otherwise leave it as it is.

    Args:
        vertices: [V, 3], float64.
        faces: [F, 3], int64.

    Returns:
        Vertices, with the middle of each hole added; faces, with a fan in each; and whether every edge has two faces.
    """
    if _has_pairs(faces):
        return vertices, faces, True
    loops = boundary_loops(faces)
    if not loops:
        return vertices, faces, False
    middles = np.stack([vertices[loop].mean(axis=0) for loop in loops])
    fans = [
        np.stack([loop, np.full(len(loop), len(vertices) + index), np.roll(loop, -1)], axis=1)[:, [0, 2, 1]][:, ::-1]
        for index, loop in enumerate(loops)
    ]
    closed_vertices, closed = np.concatenate([vertices, middles]), np.concatenate([faces, *fans])
    if not _has_pairs(closed) or not _is_solid(closed_vertices, closed):
        return vertices, faces, False
    return closed_vertices, closed, True


def boundary_loops(faces: np.ndarray) -> list[np.ndarray]:
    """Closed chains of edges that have one face only, each in the direction of its faces, no vertex twice in one."""
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    keys = {(a, b) for a, b in edges.tolist()}
    onwards: dict[int, list[int]] = {}
    for a, b in edges.tolist():
        if (b, a) not in keys:
            onwards.setdefault(a, []).append(b)
    loops: list[np.ndarray] = []
    while onwards:
        chain = [next(iter(onwards))]
        place = {chain[0]: 0}
        while chain[-1] in onwards:
            following = onwards[chain[-1]].pop()
            if not onwards[chain[-1]]:
                del onwards[chain[-1]]
            if following in place:  # a loop within the chain is complete
                loop = chain[place[following] :]
                loops.append(np.array(loop, np.int64))
                for vertex in loop[1:]:
                    del place[vertex]
                del chain[place[following] + 1 :]
            else:
                place[following] = len(chain)
                chain.append(following)
    return [loop for loop in loops if len(loop) > 2]


def _has_pairs(faces: np.ndarray) -> bool:
    """Whether every edge has exactly two faces, which pass it in opposite directions."""
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    base = int(faces.max(initial=0)) + 1
    forward, backward = edges[:, 0] * base + edges[:, 1], edges[:, 1] * base + edges[:, 0]
    unique = np.unique(forward)
    return len(faces) > 0 and len(unique) == len(forward) and np.array_equal(unique, np.unique(backward))


def _is_solid(vertices: np.ndarray, faces: np.ndarray) -> bool:
    """Whether a closed mesh holds enough volume for its area."""
    corners = vertices[faces] - vertices.mean(axis=0)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = 0.5 * np.linalg.norm(cross, axis=1).sum()
    volume = np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6.0
    return bool(volume > 0 and 36.0 * np.pi * volume**2 > _ROUND * area**3)
