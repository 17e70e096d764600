"""Checks of glTF files before trimesh reads them: what they declare must be in the file.

Source: Khronos Group, "glTF 2.0 Specification", sections 3.6 (binary data storage) and 4 (GLB).
"""

from __future__ import annotations

import json
import struct
from typing import Any

_JSON_CHUNK = 0x4E4F534A
_SIZES = {5120: 1, 5121: 1, 5122: 2, 5123: 2, 5125: 4, 5126: 4}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_MOST_ZEROS = 1 << 26  # bytes of all arrays that a file declares without storing them
_COMPRESSED = ("KHR_draco_mesh_compression", "EXT_meshopt_compression")


def check_glb(data: bytes) -> None:
    """Raise `ValueError` unless a binary glTF file is complete and declares no more than it holds."""
    if len(data) < 20 or data[:4] != b"glTF":
        raise ValueError("no binary glTF file; it does not begin with 'glTF' and a header")
    version, length, size, kind = struct.unpack_from("<IIII", data, 4)
    if version != 2:
        raise ValueError(f"glTF version {version}; only 2 can be read")
    if length > len(data) or 20 + size > len(data):
        raise ValueError(f"is cut short: it has {len(data)} bytes of {max(length, 20 + size)}")
    if kind != _JSON_CHUNK:
        raise ValueError("its first chunk is not JSON")
    check_gltf(data[20 : 20 + size])


def check_gltf(text: bytes) -> None:
    """Raise `ValueError` unless the JSON of a glTF file declares arrays that fit their views."""
    try:
        tree = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise ValueError("its JSON cannot be read") from None
    if not isinstance(tree, dict):
        raise ValueError("its JSON is no object")
    for name in _COMPRESSED:
        if name in (tree.get("extensionsRequired") or ()):
            raise ValueError(f"is compressed ({name}); export it without compression")
    views = tree.get("bufferViews") or []
    zeros = 0
    for index, accessor in enumerate(tree.get("accessors") or []):
        try:
            count, size = accessor["count"], _SIZES[accessor["componentType"]] * _WIDTHS[accessor["type"]]
            room = None if "bufferView" not in accessor else views[accessor["bufferView"]]["byteLength"]
            if not isinstance(count, int) or count < 0:
                raise ValueError
        except (ValueError, KeyError, IndexError, TypeError):
            raise ValueError(f"accessor {index} cannot be read") from None
        zeros += count * size if room is None else 0
        if zeros > _MOST_ZEROS or (room is not None and count * size > _number(room)):
            raise ValueError(f"accessor {index} declares {count} elements, more than the file holds")
    _check_tree(tree.get("nodes") or [])


def _check_tree(nodes: Any) -> None:
    """Raise `ValueError` for nodes that are not the forest that glTF asks for."""
    above: dict[int, int] = {}
    for index, node in enumerate(nodes):
        children = node.get("children") if isinstance(node, dict) else None
        for child in children if isinstance(children, list) else ():
            if not isinstance(child, int) or not 0 <= child < len(nodes):
                raise ValueError(f"node {index} names a child that does not exist")
            if child in above:
                raise ValueError(f"node {child} has two parents")
            above[child] = index
    free: set[int] = set()  # of circles
    for start in above:
        node = start
        path: set[int] = set()
        while node in above and node not in free:
            if node in path:
                raise ValueError(f"node {node} lies below itself")
            path.add(node)
            node = above[node]
        free |= path


def _number(value: Any) -> float:
    return value if isinstance(value, int) else 0
