"""A scene graph flattened for ray casting: triangles with normals and colours, and the tree its nodes form.

The hierarchy follows the nodes. A part is a leaf with geometry; above it stand its group (the topmost node), its object
(the second node from the top) and, where the nesting is deeper, further levels called sub. Shorter chains repeat
their top: a part directly under node A belongs to group A and object A, a part without any parent is all three itself.
Slashes in names count as nesting (`tea/pot/lid`), so that flat files may carry a hierarchy too. A top node that holds
everything (the wrapper that exporters add) is skipped as long as group, object and part are left below it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..budget import memory
from ..config.ranges import shown
from ..errors import SceneError
from ..models import LARGEST, TexturePool, check_geometry, load_model
from .appearance import Texture, corner_normals, read_look

if TYPE_CHECKING:
    import trimesh

UpAxis = Literal["auto", "y", "z"]
DEEPEST = 250  # levels of nodes
MOST_PARTS = (1 << 16) - 1  # id pictures hold no more
_BYTES_PER_FACE = 1500  # while a model is made ready for rendering


@dataclass(frozen=True)
class Node:
    """A node of the true hierarchy, as `tree.json` lists it.

    Attributes:
        id: Position in the list; 0 is the scene.
        name: Names from the group down, joined by slashes.
        parent: Id of the node above, None for the scene.
        level: scene, group, object, sub or part.
        depth: Nodes above it.
        parts: Ids of the parts below it, ascending; a part's own id for a part.
    """

    id: int
    name: str
    parent: int | None
    level: str
    depth: int
    parts: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Model:
    """Triangles of a whole scene with the part of each; z up.

    Attributes:
        name: Name of the source.
        nodes: True hierarchy, parents before children.
        triangles: Corners [F, 3, 3], float64.
        normals: Shading normals at the corners [F, 3, 3], float32, unit length.
        colors: Colours at the corners [F, 3, 3], float32, sRGB in [0, 1].
        face_part: Part of each triangle [F], int32, from 1.
        part_object: Object of each part [P + 1], int32; entry 0 is the background.
        part_group: Group of each part [P + 1], int32; entry 0 is the background.
        gloss: Strength of each part's highlight [P + 1], float32 in [0, 1].
        textures: Textured parts by part id.
    """

    name: str
    nodes: tuple[Node, ...]
    triangles: np.ndarray
    normals: np.ndarray
    colors: np.ndarray
    face_part: np.ndarray
    part_object: np.ndarray
    part_group: np.ndarray
    gloss: np.ndarray
    textures: dict[int, Texture]


def read_model(source: Path, up: UpAxis = "auto") -> Model:
    """Read any file that trimesh loads as a scene.

    Args:
        source: GLB, glTF, OBJ, PLY, STL, … ; an OBJ file's objects and groups become its parts.
        up: The file's upright axis; "auto" is y for glTF, as its standard says, and z for everything else.

    Raises:
        SceneError: No such file, not readable, or nothing in it has faces.
    """
    source = Path(source)
    options: dict[str, Any] = {"split_objects": True, "split_groups": True} if source.suffix.lower() == ".obj" else {}
    scene = load_model(source, **options)
    if up == "auto":
        up = "y" if source.suffix.lower() in (".glb", ".gltf") else "z"
    return build_model(scene, name=source.stem, up=up, where=str(source))


def build_model(scene: trimesh.Scene, *, name: str, up: Literal["y", "z"] = "z", where: str = "scene") -> Model:
    """Flatten a trimesh scene.

    Args:
        scene: Meshes and their nodes; paths and point clouds in it are left out.
        name: Name of the model.
        up: Upright axis of the scene; the model's is z.
        where: Names the scene in messages.

    Raises:
        SceneError: Nothing has faces, or a vertex is not finite.
    """
    upright = np.eye(4)
    if up == "y":
        upright[:3, :3] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    chains = _part_chains(scene, where)
    _check_size(scene, chains, where)
    nodes, order, part_object, part_group = _hierarchy(chains)
    triangles, normals, colors, textures, pool = [], [], [], {}, TexturePool()
    gloss = np.zeros(len(order) + 1, np.float32)
    faces = 0
    for part, graph_node in enumerate(order, start=1):
        transform, geometry = scene.graph[graph_node]
        mesh = scene.geometry[geometry]
        place = f"{where}: mesh {shown(graph_node)}"
        check_geometry(mesh, place, pool)
        corners = _transformed(mesh, upright @ transform, place)
        triangles.append(corners)
        normals.append(corner_normals(corners))
        look = read_look(mesh, faces, pool, place)
        colors.append(look.colors)
        gloss[part] = look.gloss
        if look.texture is not None:
            textures[part] = look.texture
        faces += len(corners)
    if not any(_has_area(item) for item in triangles):
        raise SceneError(f"{where}: no triangle in it has an area")
    face_part = np.repeat(np.arange(1, len(order) + 1, dtype=np.int32), [len(item) for item in triangles])
    return Model(
        name,
        nodes,
        np.concatenate(triangles),
        np.concatenate(normals),
        np.concatenate(colors),
        face_part,
        part_object,
        part_group,
        gloss,
        textures,
    )


def _part_chains(scene: trimesh.Scene, where: str) -> dict[str, tuple[str, ...]]:
    """Names from the top down to each node with faces, in natural order of the names."""
    children = scene.graph.transforms.children
    chains: dict[str, tuple[str, ...]] = {}
    stack: list[tuple[str, str, tuple[str, ...]]] = [
        (node, "", ()) for node in reversed(children.get(scene.graph.base_frame, ()))
    ]
    if scene.graph.base_frame in scene.graph.nodes_geometry:
        stack.append((str(scene.graph.base_frame), "", ()))
    while stack:
        node, parent, above = stack.pop()
        own = node.removeprefix(parent + "/") if parent else node
        if len(above) >= DEEPEST:
            raise SceneError(f"{where}: node {shown(node)} lies more than {DEEPEST} levels deep")
        chain = above + (tuple(name for name in own.split("/") if name) or (node,))
        below = children.get(node, ()) if node != scene.graph.base_frame else ()
        if node in scene.graph.nodes_geometry and _has_faces(scene.geometry[scene.graph[node][1]]):
            chains[node] = (*chain, chain[-1]) if len(below) else chain
        stack.extend((child, node, chain) for child in reversed(below))
    if not chains:
        raise SceneError(f"{where}: nothing in it has faces")
    while len({chain[0] for chain in chains.values()}) == 1 and max(map(len, chains.values())) > 3:
        if min(map(len, chains.values())) == 1:
            break
        chains = {node: chain[1:] for node, chain in chains.items()}
    # Importers list nodes in an order of their own; by name, the ids of a scene are the same in every format.
    return dict(sorted(chains.items(), key=lambda item: [_natural(name) for name in item[1]]))


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorting key that puts leg2 before leg10."""
    return [(int(piece), "") if piece[:1].isdecimal() else (0, piece) for piece in re.split(r"(\d{1,18})", name)]


def _has_faces(geometry: Any) -> bool:
    return len(getattr(geometry, "faces", ())) > 0


@dataclass
class _Branch:
    """A node while the tree is being built; `leaf` names the graph node of a part."""

    leaf: str | None = None
    children: dict[tuple[str, int], _Branch] = field(default_factory=dict)


def _hierarchy(chains: dict[str, tuple[str, ...]]) -> tuple[tuple[Node, ...], list[str], np.ndarray, np.ndarray]:
    """Tree nodes, the graph node of each part in the order of part ids, and each part's object and group."""
    root = _Branch()
    for graph_node, chain in chains.items():
        padded = (chain[0],) * (3 - len(chain)) + chain
        branch = root
        for name in padded[:-1]:
            branch = branch.children.setdefault((name, 0), _Branch())
        copies = 1  # leaves are told apart from inner nodes, and from each other, by a number
        while (padded[-1], copies) in branch.children:
            copies += 1
        branch.children[padded[-1], copies] = _Branch(graph_node)

    order: list[str] = []
    part_object, part_group = [0], [0]
    drafts: list[tuple[str, int | None, str, int, list[int]]] = []
    counts = {"group": 0, "object": 0}

    def visit(branch: _Branch, name: str, parent: int | None, depth: int) -> list[int]:
        level = "part" if branch.leaf is not None else ("scene", "group", "object", "sub")[min(depth, 3)]
        index = len(drafts)
        parts: list[int] = []
        drafts.append((name, parent, level, depth, parts))
        if level in counts:
            counts[level] += 1
        if branch.leaf is not None:
            order.append(branch.leaf)
            part_object.append(counts["object"])
            part_group.append(counts["group"])
            parts.append(len(order))
        for (own, copy), child in branch.children.items():
            text = own if copy < 2 else f"{own}#{copy}"
            parts.extend(visit(child, f"{name}/{text}" if depth else text, index, depth + 1))
        return parts

    visit(root, "scene", None, 0)
    nodes = tuple(
        Node(index, name, parent, level, depth, tuple(parts))
        for index, (name, parent, level, depth, parts) in enumerate(drafts)
    )
    return nodes, order, np.array(part_object, np.int32), np.array(part_group, np.int32)


def _check_size(scene: trimesh.Scene, chains: dict[str, tuple[str, ...]], where: str) -> None:
    """Raise `SceneError` for more parts than ids, or more triangles than memory."""
    if len(chains) > MOST_PARTS:
        raise SceneError(f"{where}: {len(chains)} parts, but id pictures hold at most {MOST_PARTS}")
    faces = sum(len(scene.geometry[scene.graph[node][1]].faces) for node in chains)
    if faces * _BYTES_PER_FACE > memory():
        most = memory() // _BYTES_PER_FACE
        raise SceneError(f"{where}: {faces} triangles, more than {most}; a larger --memory raises the limit")


def _transformed(mesh: trimesh.Trimesh, transform: np.ndarray, place: str) -> np.ndarray:
    """Corners of the mesh's faces [F, 3, 3], float64, after a 4x4 transform; `SceneError` if one cannot be used."""
    with np.errstate(all="ignore"):
        vertices = np.asarray(mesh.vertices, np.float64) @ transform[:3, :3].T + transform[:3, 3]
    corners = vertices[np.asarray(mesh.faces)]
    if not np.isfinite(corners).all():
        raise SceneError(f"{place}: a vertex is not finite")
    if np.abs(corners).max() > LARGEST:
        raise SceneError(f"{place}: a vertex lies farther than {LARGEST:g} from the origin")
    return corners


def _has_area(triangles: np.ndarray) -> bool:
    """Whether any of triangles [F, 3, 3] has an area."""
    extent = float(np.ptp(triangles.reshape(-1, 3), axis=0).max())
    edges = np.diff(triangles / max(extent, 1e-30), axis=1)
    return bool((np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) > 1e-12).any())
