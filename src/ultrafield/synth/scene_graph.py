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

from ..errors import SceneError

if TYPE_CHECKING:
    import trimesh

UpAxis = Literal["auto", "y", "z"]
SMOOTHING_ANGLE = np.radians(40.0)  # faces that meet at a sharper angle keep their edge when shaded
DEFAULT_COLOR = (0.72, 0.72, 0.72)


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
class Texture:
    """Picture of one part and the corners of its faces in it.

    Attributes:
        first_face: Index of the part's first triangle in the model.
        corners: Texture coordinates of the corners [F, 3, 2], float32.
        image: The picture (PIL).
        factor: Colour it is multiplied by [3], float32, sRGB in [0, 1].
    """

    first_face: int
    corners: np.ndarray
    image: Any
    factor: np.ndarray


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
    import trimesh

    source = Path(source)
    if not source.is_file():
        raise SceneError(f"{source}: no such file")
    options: dict[str, Any] = {"split_objects": True, "split_groups": True} if source.suffix.lower() == ".obj" else {}
    try:
        scene = trimesh.load_scene(source, **options)
    except Exception as error:  # each of trimesh's importers raises its own kinds
        raise SceneError(f"{source}: not readable as a 3D scene ({error})") from None
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
    nodes, order, part_object, part_group = _hierarchy(_part_chains(scene, where))
    triangles, normals, colors, textures = [], [], [], {}
    gloss = np.zeros(len(order) + 1, np.float32)
    faces = 0
    for part, graph_node in enumerate(order, start=1):
        transform, geometry = scene.graph[graph_node]
        mesh = scene.geometry[geometry]
        corners = _transformed(mesh, upright @ transform)
        if not np.isfinite(corners).all():
            raise SceneError(f"{where}: mesh {graph_node!r}: a vertex is not finite")
        triangles.append(corners)
        normals.append(_corner_normals(corners))
        colors.append(_corner_colors(mesh))
        gloss[part] = _gloss(mesh)
        texture = _texture(mesh, faces)
        if texture is not None:
            textures[part] = texture
        faces += len(corners)
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
    return [(int(piece), "") if piece.isdigit() else (0, piece) for piece in re.split(r"(\d+)", name)]


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


def _transformed(mesh: trimesh.Trimesh, transform: np.ndarray) -> np.ndarray:
    """Corners of the mesh's faces [F, 3, 3], float64, after a 4x4 transform."""
    vertices = np.asarray(mesh.vertices, np.float64) @ transform[:3, :3].T + transform[:3, 3]
    return vertices[np.asarray(mesh.faces)]


def _corner_normals(triangles: np.ndarray) -> np.ndarray:
    """Shading normals [F, 3, 3], float32: averaged over the faces around a corner that meet without a sharp edge.

    Faces are joined by position, not by vertex, because files repeat vertices along texture seams.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    areas = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])  # [F, 3]
    flat = areas / np.maximum(np.linalg.norm(areas, axis=1, keepdims=True), 1e-30)
    extent = max(float(np.ptp(triangles.reshape(-1, 3), axis=0).max()), 1e-30)
    cells = np.round((triangles - triangles.min(axis=(0, 1))).reshape(-1, 3) / extent * 1e6).astype(np.int64)
    _, corners = np.unique((cells[:, 0] << 42) | (cells[:, 1] << 21) | cells[:, 2], return_inverse=True)
    corners = corners.reshape(-1, 3)  # [F, 3] vertex by position
    pairs = _adjacent_faces(corners)
    smooth = (flat[pairs[:, 0]] * flat[pairs[:, 1]]).sum(1) > np.cos(SMOOTHING_ANGLE)
    pairs = pairs[smooth]
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(triangles),) * 2)
    _, patch = connected_components(graph, directed=False)
    key = patch[:, None].astype(np.int64) * (corners.max() + 1) + corners  # a corner within a smooth patch
    _, slot = np.unique(key, return_inverse=True)
    slot = slot.reshape(-1)
    total = np.stack([np.bincount(slot, np.repeat(areas[:, axis], 3)) for axis in range(3)], axis=1)
    mean = total[slot].reshape(-1, 3, 3)
    length = np.linalg.norm(mean, axis=2, keepdims=True)
    return np.where(length > 1e-12, mean / np.maximum(length, 1e-30), flat[:, None]).astype(np.float32)


def _adjacent_faces(corners: np.ndarray) -> np.ndarray:
    """Pairs of faces [E, 2] that follow one another around a shared edge."""
    edges = np.sort(corners[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    faces = np.repeat(np.arange(len(corners)), 3)
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    same = (edges[order[1:]] == edges[order[:-1]]).all(axis=1)
    return np.stack([faces[order[:-1]], faces[order[1:]]], axis=1)[same]


def _corner_colors(mesh: trimesh.Trimesh) -> np.ndarray:
    """Colours at the corners of the faces [F, 3, 3], float32, sRGB in [0, 1]."""
    count = len(mesh.faces)
    visual: Any = mesh.visual
    if visual.kind == "vertex":
        return (visual.vertex_colors[mesh.faces][..., :3] / 255).astype(np.float32)
    if visual.kind == "face":
        return np.repeat(visual.face_colors[:, None, :3] / 255, 3, axis=1).astype(np.float32)
    color = np.asarray(visual.material.main_color[:3]) / 255 if visual.kind == "texture" else DEFAULT_COLOR
    return np.broadcast_to(np.asarray(color, np.float32), (count, 3, 3)).copy()


def _gloss(mesh: trimesh.Trimesh) -> float:
    """Strength of the highlight: `metadata["gloss"]`, or how smooth a physically based material is."""
    if "gloss" in mesh.metadata:
        return float(np.clip(mesh.metadata["gloss"], 0, 1))
    roughness = getattr(getattr(mesh.visual, "material", None), "roughnessFactor", None)
    return 0.0 if roughness is None else float(np.clip(1 - roughness, 0, 1))


def _texture(mesh: trimesh.Trimesh, first_face: int) -> Texture | None:
    """The mesh's picture, if it has one and coordinates in it."""
    visual: Any = mesh.visual
    if visual.kind != "texture" or visual.uv is None:
        return None
    material = visual.material
    image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    if image is None:
        return None
    factor = getattr(material, "baseColorFactor", None)
    factor = np.ones(3, np.float32) if factor is None else np.asarray(factor[:3], np.float32) / 255
    corners = np.asarray(visual.uv, np.float32)[mesh.faces]
    return Texture(first_face, corners, image, factor)
