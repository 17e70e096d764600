"""Segments as GLB (glTF 2.0): the node tree of the file is the tree of segments."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..io import atomic_write
from .parts import PartMesh
from .ply import coordinate_type
from .segments import Segments

_SHORT, _INT, _FLOAT = 5123, 5125, 5126  # types of components
_VERTICES, _INDICES = 34962, 34963
_FEATURES = "EXT_mesh_features"
# z up, as scenes are, to y up, as glTF's viewers expect; columns of a matrix
_Y_UP = [1, 0, 0, 0, 0, 0, -1, 0, 0, 1, 0, 0, 0, 0, 0, 1]


class _Buffer:
    """Vertex attributes and indices of all meshes, in one view each."""

    def __init__(self) -> None:
        self._parts: dict[str, list[np.ndarray]] = {}
        self._sizes: dict[str, int] = {}
        self.accessors: list[dict[str, Any]] = []

    def add(self, name: str, values: np.ndarray, component: int, kind: str, **others: Any) -> int:
        """Append rows; returns the index of their accessor."""
        place = self._sizes.get(name, 0)
        view = list(self._sizes).index(name) if name in self._sizes else len(self._sizes)
        accessor: dict[str, Any] = {"bufferView": view}
        accessor |= {"byteOffset": place, "componentType": component, "count": len(values), "type": kind}
        self.accessors.append(accessor | others)
        self._parts.setdefault(name, []).append(np.ascontiguousarray(values))
        self._sizes[name] = place + values.nbytes
        return len(self.accessors) - 1

    def joined(self) -> tuple[bytes, list[dict[str, Any]]]:
        """The binary chunk and the buffer views."""
        views: list[dict[str, Any]] = []
        chunks, place = [], 0
        for name, parts in self._parts.items():
            data = b"".join(part.tobytes() for part in parts)
            view: dict[str, Any] = {"buffer": 0, "byteOffset": place, "byteLength": len(data), "name": name}
            view["target"] = _INDICES if name == "indices" else _VERTICES
            if name != "indices":
                view["byteStride"] = parts[0].nbytes // len(parts[0])
            views.append(view)
            chunks.append(data)
            place += len(data)
        return b"".join(chunks), views


def write_glb(
    path: Path,
    segments: Segments,
    parts: Sequence[PartMesh],
    *,
    features: bool = False,
    y_up: bool = False,
    photo: bool = True,
) -> None:
    """Write meshes of segments as GLB.

    Every node of `segments` is a node of the file, below the node of its parent, with its name (or "segment ID") and
    `extras`: id, height, size, level columns and color; a node with a mesh also has `watertight`. Coordinates are the
    user's; where float32 cannot hold them, the topmost node carries the offset.

    Args:
        path: Target.
        segments: The tree.
        parts: Meshes of some of its nodes.
        features: Whether meshes carry EXT_mesh_features: a feature id for each level, the segment's id.
        y_up: Whether the topmost node turns z up, the user's frame, to the y up that viewers of glTF expect.
        photo: Whether vertices have the colours of the photographs; else those of the segments.
    """
    buffer = _Buffer()
    meshes: list[dict[str, Any]] = []
    mesh_of: dict[int, int] = {}
    watertight = {part.index: part.watertight for part in parts}
    origin = _origin(parts, segments.surface.voxel_user)
    outer = _outer_ids(segments)
    for part in parts:
        mesh_of[part.index] = len(meshes)
        attributes = _attributes(buffer, part, origin, None if photo else segments.colors[part.index])
        primitive: dict[str, Any] = {"attributes": attributes, "material": 0, "mode": 4}
        primitive["indices"] = buffer.add("indices", part.faces.astype(np.uint32).reshape(-1), _INT, "SCALAR")
        if features:
            ids = _feature_ids(buffer, attributes, segments, outer[part.index], len(part.vertices))
            primitive["extensions"] = {_FEATURES: {"featureIds": ids}}
        meshes.append({"primitives": [primitive], "name": segments.title(part.index)})
    nodes = [_node(segments, index, mesh_of, watertight) for index in range(len(segments))]
    for index in range(1, len(segments)):
        nodes[segments.parents[index]].setdefault("children", []).append(index)
    if y_up:
        nodes[0]["matrix"] = [*_Y_UP[:12], *_turned(origin).tolist(), 1]
    elif origin.any():
        nodes[0]["translation"] = origin.tolist()
    _write(path, buffer, meshes, nodes, features)


def _write(
    path: Path, buffer: _Buffer, meshes: list[dict[str, Any]], nodes: list[dict[str, Any]], features: bool
) -> None:
    binary, views = buffer.joined()
    content: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": f"ultrafield {__version__}"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": nodes,
    }
    if meshes:
        material = {"pbrMetallicRoughness": {"metallicFactor": 0, "roughnessFactor": 0.9}, "doubleSided": True}
        content |= {"meshes": meshes, "materials": [material], "accessors": buffer.accessors}
        content |= {"bufferViews": views, "buffers": [{"byteLength": len(binary)}]}
    if features and meshes:
        content["extensionsUsed"] = [_FEATURES]
    text = json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    total = 12 + 8 + len(text) + (8 + len(binary) if binary else 0)
    with atomic_write(path) as file:
        file.write(struct.pack("<4sII", b"glTF", 2, total) + struct.pack("<I4s", len(text), b"JSON") + text)
        if binary:
            file.write(struct.pack("<I4s", len(binary), b"BIN\0"))
            file.write(binary)


def _attributes(buffer: _Buffer, part: PartMesh, origin: np.ndarray, color: np.ndarray | None) -> dict[str, int]:
    places = (part.vertices - origin).astype(np.float32)
    colors = part.colors if color is None else np.broadcast_to(color, part.colors.shape)
    rgba = np.full((len(colors), 4), 65535, np.uint16)
    rgba[:, :3] = np.rint(65535.0 * linear_of_srgb(colors))
    bounds = {"min": places.min(axis=0).tolist(), "max": places.max(axis=0).tolist()}
    return {
        "POSITION": buffer.add("positions", places, _FLOAT, "VEC3", **bounds),
        "NORMAL": buffer.add("normals", _unit(part.normals), _FLOAT, "VEC3"),
        "COLOR_0": buffer.add("colors", rgba, _SHORT, "VEC4", normalized=True),
    }


def linear_of_srgb(colors: np.ndarray) -> np.ndarray:
    """sRGB of 8 bits as linear light in [0, 1], float64."""
    values = np.asarray(colors, np.float64) / 255.0
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _feature_ids(
    buffer: _Buffer, attributes: dict[str, int], segments: Segments, outer: np.ndarray, count: int
) -> list[dict[str, Any]]:
    """Attributes `_FEATURE_ID_0`, … with the segment at every level; float32, as ids need more than 16 bits."""
    found: list[dict[str, Any]] = []
    for level, node in zip(segments.levels, outer.tolist(), strict=True):
        number = len(found)
        values = np.full(count, node, np.float32)
        attributes[f"_FEATURE_ID_{number}"] = buffer.add("features", values, _FLOAT, "SCALAR")
        found.append({"featureCount": 1, "attribute": number, "label": level.column})
    return found


def _outer_ids(segments: Segments) -> np.ndarray:
    """The id of the segment of each level that holds each node; the node's own where the level lies below it [K, L]."""
    outer, found = np.empty(segments.member.shape, np.int64), np.zeros(segments.member.shape, bool)
    for index, above in enumerate(segments.parents.tolist()):  # parents come first
        outer[index] = segments.ids[index]
        if above >= 0:
            outer[index][found[above]] = outer[above][found[above]]
            found[index] = found[above]
        found[index] |= segments.member[index]
    return outer


def _node(segments: Segments, index: int, mesh_of: dict[int, int], watertight: dict[int, bool]) -> dict[str, Any]:
    columns = [level.column for level, inside in zip(segments.levels, segments.member[index], strict=True) if inside]
    extras: dict[str, Any] = {
        "id": int(segments.ids[index]),
        "height": float(f"{segments.heights[index]:.6g}"),
        "size": int(segments.sizes[index]),
        "levels": columns,
        "color": segments.colors[index].tolist(),
    }
    node: dict[str, Any] = {"name": segments.title(index), "extras": extras}
    if index in mesh_of:
        node["mesh"] = mesh_of[index]
        extras["watertight"] = watertight[index]
    return node


def _origin(parts: Sequence[PartMesh], spacing: float) -> np.ndarray:
    """What is taken off coordinates that are too large for float32; zero where they are not."""
    if all(coordinate_type(part.vertices, spacing) == np.float32 for part in parts):
        return np.zeros(3)
    return np.rint(np.mean([part.vertices.mean(axis=0) for part in parts], axis=0))


def _turned(point: np.ndarray) -> np.ndarray:
    return np.array([point[0], point[2], -point[1]])


def _unit(normals: np.ndarray) -> np.ndarray:
    values = normals.astype(np.float64)
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
