"""Scenes that are hard for learned geometry, as GLB files for `ultrafield synth`: white on white, dark insides, gloss.

python benchmarks/nasty.py room room.glb
python benchmarks/nasty.py cupboard cupboard.glb
python benchmarks/nasty.py gloss gloss.glb
ultrafield synth room.glb room --up z --arc 100 --sky-samples 96
ultrafield synth cupboard.glb cupboard --up z --arc 140 --sky-samples 96
ultrafield synth gloss.glb gloss --up z

Walls and the cupboard's back would hide the view from behind, hence the sectors of the first two; more samples of the
sky keep the borders of its shadows from becoming a texture of plain walls and floors. Lengths are about
metres, z is up, and floors and table tops lie at height zero.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import trimesh
from trimesh.creation import box, cylinder, icosphere
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from ultrafield.synth.shapes import Color, joined, tube, turned

Parts = dict[str, trimesh.Trimesh]
Place = Sequence[float]

WHITE = (0.82, 0.82, 0.82)  # in full light just below what the pictures can hold
CREAM = (0.83, 0.81, 0.76)
DARK = (0.10, 0.075, 0.06)
BLACK = (0.06, 0.06, 0.07)
METAL = (0.48, 0.49, 0.50)


def paint(mesh: trimesh.Trimesh, color: Color, gloss: float = 0.0) -> trimesh.Trimesh:
    """The mesh in one sRGB colour; `gloss`, in [0, 1], is how smooth its material is."""
    factor = np.round(np.append(color, 1.0) * 255).astype(np.uint8)
    mesh.visual = TextureVisuals(
        material=PBRMaterial(baseColorFactor=factor, roughnessFactor=1 - gloss, metallicFactor=0.0)
    )
    return mesh


def at(mesh: trimesh.Trimesh, *place: float) -> trimesh.Trimesh:
    """The mesh, moved."""
    return mesh.apply_translation(place)


def block(size: Place, place: Place) -> trimesh.Trimesh:
    """A box of that size; `place` is the middle of its underside."""
    return at(box(size), place[0], place[1], place[2] + size[2] / 2)


def rod(start: Place, end: Place, radius: float) -> trimesh.Trimesh:
    """A straight round rod."""
    return cylinder(radius, segment=[start, end], sections=16)


def vessel(radius: float, height: float, wall: float) -> trimesh.Trimesh:
    """A round vessel without a lid."""
    inner = radius - wall
    return turned([(0, 0), (radius, 0), (radius, height), (inner, height), (inner, wall), (0, wall)])


def tray(size: Place, place: Place, wall: float) -> trimesh.Trimesh:
    """A rectangular vessel without a lid; `place` is the middle of its underside."""
    width, depth, height = size
    x, y, z = place
    sides = [block((wall, depth, height), (x + side * (width - wall) / 2, y, z)) for side in (-1, 1)]
    ends = [block((width, wall, height), (x, y + end * (depth - wall) / 2, z)) for end in (-1, 1)]
    return joined(block((width, depth, wall), place), *sides, *ends)


def cup(radius: float, height: float, color: Color, gloss: float = 0.0) -> Parts:
    """A cup with its handle towards x."""
    loop = [(radius - 0.01, 0, 0.8 * height), (1.6 * radius, 0, 0.75 * height), (radius - 0.01, 0, 0.25 * height)]
    return {
        "body": paint(vessel(radius, height, 0.012), color, gloss),
        "handle": paint(tube(loop, [0.17 * radius] * 3), color, gloss),
    }


def book(size: Place, color: Color, pages: Color) -> Parts:
    """A closed book lying flat, its spine towards -x."""
    width, depth, height = size
    cover, spine = 0.012, block((0.012, depth, height), (-width / 2, 0, 0))
    boards = [block((width, depth, cover), (0, 0, z)) for z in (0, height - cover)]
    inside = block((width - 0.01, depth - 0.01, height - 2 * cover), (0, 0, cover))
    return {"cover": paint(joined(*boards, spine), color), "pages": paint(inside, pages)}


def room() -> trimesh.Scene:
    """A white desk in a white corner, white things on it, one drawer open and dark inside."""
    scene, corner = trimesh.Scene(), turn(225)  # walls at x = 0 and y = 0; the room opens towards -y
    shell = {
        "floor": block((1.7, 1.36, 0.04), (0.81, 0.64, -0.04)),
        "wall_left": block((0.04, 1.36, 1.05), (-0.02, 0.64, 0)),
        "wall_right": block((1.66, 0.04, 1.05), (0.83, -0.02, 0)),
        "skirting/left": block((0.015, 1.32, 0.09), (0.0075, 0.66, 0)),
        "skirting/right": block((1.645, 0.015, 0.09), (0.8375, 0.0075, 0)),
        "picture/frame": tray((0.34, 0.46, 0.03), (0, 0, 0), 0.025).apply_transform(turn(90, [0, 1, 0])),
    }
    at(shell["picture/frame"], 0.0, 0.92, 0.7)
    _add(scene, "shell/corner", {name: paint(mesh, WHITE) for name, mesh in shell.items()}, corner)
    frame = {
        "top": block((1.25, 0.7, 0.04), (0.745, 0.35, 0.5)),
        "side": block((0.04, 0.66, 0.5), (0.16, 0.34, 0)),
        "pedestal/case": joined(
            block((0.03, 0.62, 0.5), (0.945, 0.33, 0)),
            block((0.03, 0.62, 0.5), (1.335, 0.33, 0)),
            block((0.42, 0.03, 0.5), (1.14, 0.035, 0)),
            block((0.42, 0.62, 0.03), (1.14, 0.33, 0)),
        ),
        "pedestal/shut/front": block((0.41, 0.025, 0.21), (1.14, 0.6525, 0.04)),
        "pedestal/shut/knob": at(icosphere(3, 0.035), 1.14, 0.68, 0.15),
        "pedestal/open/front": block((0.41, 0.025, 0.21), (1.14, 1.0125, 0.27)),
        "pedestal/open/knob": at(icosphere(3, 0.035), 1.14, 1.04, 0.38),
    }
    _add(scene, "furniture/desk", {name: paint(mesh, WHITE) for name, mesh in frame.items()}, corner)
    dark = {
        "tray": tray((0.34, 0.55, 0.16), (1.14, 0.73, 0.28), 0.012),
        "contents/box": block((0.15, 0.14, 0.09), (1.06, 0.9, 0.292)),
        "contents/tape": at(vessel(0.07, 0.07, 0.04), 1.225, 0.9, 0.292),
        "contents/pen": rod((1.02, 0.78, 0.314), (1.27, 0.74, 0.314), 0.022),
    }
    _add(scene, "furniture/desk/pedestal/open", {name: paint(mesh, DARK) for name, mesh in dark.items()}, corner)
    stool = {"seat": at(cylinder(0.18, 0.05, sections=48), 0.45, 1.05, 0.34)}
    for index, (x, y) in enumerate([(1, 1), (1, -1), (-1, 1), (-1, -1)]):
        stool[f"legs/leg{index}"] = rod(
            (0.45 + 0.15 * x, 1.05 + 0.15 * y, 0), (0.45 + 0.1 * x, 1.05 + 0.1 * y, 0.33), 0.022
        )
    _add(scene, "furniture/stool", {name: paint(mesh, WHITE) for name, mesh in stool.items()}, corner)
    _add(scene, "furniture/bin", {"bucket": paint(vessel(0.11, 0.28, 0.01), WHITE)}, corner @ shift(1.51, 0.2, 0))
    _room_things(scene, corner @ shift(0, 0, 0.54))
    return scene


def _room_things(scene: trimesh.Scene, desk: np.ndarray) -> None:
    """What lies on the desk: crockery, books, paper and a lamp."""
    plate = turned([(0, 0), (0.14, 0), (0.22, 0.028), (0.213, 0.036), (0.13, 0.014), (0, 0.014)])
    spoon = tube([(-0.15, 0.12, 0.045), (0, 0.16, 0.035), (0.14, 0.12, 0.045)], [0.018, 0.014, 0.026])
    place = desk @ shift(0.4, 0.45, 0)
    _add(scene, "crockery/breakfast", {"plate": paint(plate, WHITE), "spoon": paint(spoon, WHITE)}, place)
    _add(scene, "crockery/breakfast/cup", cup(0.1, 0.16, WHITE), place @ shift(0, -0.02, 0.014) @ turn(60))
    bowl = turned([(0, 0), (0.08, 0), (0.17, 0.1), (0.158, 0.1), (0.075, 0.014), (0, 0.014)])
    place = desk @ shift(0.83, 0.5, 0)
    _add(scene, "crockery/bowl", {"bowl": paint(bowl, WHITE)}, place)
    for index, (x, y) in enumerate([(0.06, 0), (-0.04, 0.055), (-0.035, -0.055)]):
        egg = icosphere(3, 0.056).apply_scale([1, 1, 1.25])
        _add(scene, "crockery/bowl/eggs", {f"egg{index}": paint(at(egg, x, y, 0.09), WHITE)}, place)
    height = 0.0
    for index, (width, depth, thick, angle) in enumerate(
        [(0.36, 0.28, 0.08, 4), (0.34, 0.26, 0.075, -9), (0.3, 0.22, 0.09, 12)]
    ):
        place = desk @ shift(1.13, 0.24, height) @ turn(angle)
        _add(scene, f"reading/books/book{index}", book((width, depth, thick), WHITE, CREAM), place)
        height += thick
    for index, angle in enumerate([6, -24]):
        sheets = paint(block((0.2, 0.28, 0.025), (0, 0, 0)), WHITE)
        _add(scene, "reading/papers", {f"pad{index}": sheets}, desk @ shift(0.72, 0.19, 0.025 * index) @ turn(angle))
    shade = turned([(0.16, 0.27), (0.1, 0.44), (0.092, 0.44), (0.152, 0.27)])
    lamp = {
        "base": at(cylinder(0.11, 0.035, sections=48), 0, 0, 0.0175),
        "stem": joined(rod((0, 0, 0.02), (0, 0, 0.41), 0.022), rod((-0.1, 0, 0.4), (0.1, 0, 0.4), 0.01)),
        "shade": shade,
    }
    _add(scene, "light/lamp", {name: paint(mesh, WHITE) for name, mesh in lamp.items()}, desk @ shift(0.26, 0.15, 0))


def cupboard() -> trimesh.Scene:
    """A dark cupboard with its doors ajar, things on its shelves, and thin rods and wires before it."""
    scene = trimesh.Scene()
    _add(scene, "ground/floor", {"slab": paint(block((1.9, 1.5, 0.05), (0, 0, -0.05)), (0.62, 0.60, 0.57))}, np.eye(4))
    place, carcass = shift(-0.36, 0.4, 0), {}
    for name, x in (("left", -0.4825), ("right", 0.4825)):
        carcass[f"carcass/{name}"] = block((0.035, 0.5, 1.3), (x, 0, 0))
    carcass["carcass/back"] = block((0.93, 0.02, 1.3), (0, 0.24, 0))
    for name, z in (("carcass/bottom", 0.0), ("shelves/lower", 0.43), ("shelves/upper", 0.86), ("carcass/top", 1.265)):
        carcass[name] = block((0.93, 0.48, 0.035), (0, -0.01, z))
    _add(scene, "cupboard/body", {name: paint(mesh, DARK) for name, mesh in carcass.items()}, place)
    for side, sign, angle in (("left", 1, -100), ("right", -1, 65)):
        grip = [(sign * 0.44, y, z) for y, z in ((-0.02, 0.5), (-0.07, 0.56), (-0.07, 0.74), (-0.02, 0.8))]
        door = {
            "panel": paint(block((0.496, 0.025, 1.28), (sign * 0.248, -0.0125, 0.01)), DARK),
            "handle": paint(tube(grip, [0.02] * 4), METAL),
        }
        _add(scene, f"cupboard/doors/{side}", door, place @ shift(-sign * 0.5, -0.25, 0) @ turn(angle))
    _shelved(scene, place)
    _add(scene, "wires/basket", _basket(), shift(-0.2, -0.42, 0) @ np.diag([1.2, 1.2, 1.2, 1.0]))
    _add(scene, "rods/rack", _rack(), shift(0.56, 0.4, 0))
    _add(scene, "rods/stand", {"tube": paint(vessel(0.14, 0.34, 0.012), METAL)}, shift(0.55, -0.4, 0))
    for index, color in enumerate([(0.15, 0.2, 0.35), (0.4, 0.12, 0.12), (0.12, 0.28, 0.2)]):
        hook = [(0, 0, 0.8), (0, 0, 0.9), (0.06, 0, 0.96), (0.12, 0, 0.9), (0.12, 0, 0.85)]
        umbrella = {
            "canopy": paint(turned([(0, 0.1), (0.05, 0.55), (0.016, 0.72), (0, 0.72)]), color),
            "stick": paint(joined(rod((0, 0, 0.01), (0, 0, 0.82), 0.013), tube(hook, [0.017] * 5)), DARK),
        }
        lean = shift(0.55, -0.4, 0.012) @ turn(120 * index) @ shift(-0.04, 0, 0) @ turn(11, [0, 1, 0])
        _add(scene, f"rods/stand/umbrella{index}", umbrella, lean)
    return scene


def _shelved(scene: trimesh.Scene, place: np.ndarray) -> None:
    """What stands in the cupboard, most of it dark."""
    pot = {
        "body": paint(vessel(0.16, 0.19, 0.012), BLACK),
        "lid": paint(at(cylinder(0.165, 0.025, sections=48), 0, 0, 0.2025), (0.16, 0.16, 0.17)),
        "knob": paint(at(icosphere(3, 0.035), 0, 0, 0.22), DARK),
    }
    _add(scene, "cupboard/contents/pot", pot, place @ shift(-0.24, -0.05, 0.035))
    crate = paint(tray((0.34, 0.3, 0.2), (0, 0, 0), 0.014), (0.22, 0.16, 0.10))
    _add(scene, "cupboard/contents/crate", {"tray": crate}, place @ shift(0.23, -0.05, 0.035))
    for index, x in enumerate([-0.33, -0.08, 0.17]):
        jar = {
            "glass": paint(cylinder(0.095, 0.2, sections=48), (0.16, 0.09, 0.06)),
            "lid": paint(at(cylinder(0.1, 0.05, sections=48), 0, 0, 0.125), BLACK),
        }
        _add(scene, f"cupboard/contents/jars/jar{index}", jar, place @ shift(x, -0.1, 0.565))
    for index, (height, color) in enumerate(
        [(0.26, DARK), (0.29, (0.12, 0.1, 0.2)), (0.24, DARK), (0.27, (0.2, 0.08, 0.08))]
    ):
        volume = paint(block((0.085, 0.22, height), (-0.4 + 0.088 * index, -0.08, 0.895)), color)
        _add(scene, "cupboard/contents/volumes", {f"volume{index}": volume}, place)
    bowl = turned([(0, 0), (0.08, 0), (0.18, 0.12), (0.168, 0.12), (0.075, 0.012), (0, 0.012)])
    _add(scene, "cupboard/contents/bowl", {"bowl": paint(bowl, (0.2, 0.2, 0.22))}, place @ shift(0.21, -0.06, 0.895))


def _basket() -> Parts:
    """A basket of wires, a little wider at the top, with balls of wool in it."""
    angles, wires = np.linspace(0, 2 * np.pi, 18, endpoint=False), []
    for x, y in zip(np.cos(angles), np.sin(angles), strict=True):
        wires += [rod((0.15 * x, 0.15 * y, 0.01), (0.2 * x, 0.2 * y, 0.3), 0.006)]
        wires += [rod((0, 0, 0.01), (0.15 * x, 0.15 * y, 0.01), 0.006)]
    rings = [at(trimesh.creation.torus(0.15 + 0.05 * z / 0.3, 0.006), 0, 0, z) for z in (0.01, 0.1, 0.2)]
    balls = {
        "wool/red": at(icosphere(3, 0.075), 0.06, 0.02, 0.09),
        "wool/grey": at(icosphere(3, 0.07), -0.075, 0.05, 0.085),
        "wool/ochre": at(icosphere(3, 0.065), -0.02, -0.085, 0.08),
    }
    colors = [(0.55, 0.18, 0.15), (0.55, 0.55, 0.57), (0.6, 0.45, 0.15)]
    return {
        "wires": paint(joined(*wires, *rings), METAL),
        "rim": paint(at(trimesh.creation.torus(0.2, 0.012), 0, 0, 0.3), METAL),
        **{name: paint(mesh, color) for (name, mesh), color in zip(balls.items(), colors, strict=True)},
    }


def _rack() -> Parts:
    """A row of equal thin rods between two bars."""
    posts = [rod((x, 0, 0.0), (x, 0, 1.0), 0.02) for x in (-0.3, 0.3)]
    feet = [block((0.05, 0.36, 0.03), (x, 0, 0)) for x in (-0.3, 0.3)]
    bars = [rod((-0.3, 0, z), (0.3, 0, z), 0.015) for z in (0.12, 0.98)]
    parts = {"frame": paint(joined(*posts, *feet), DARK), "bars": paint(joined(*bars), DARK)}
    for index, x in enumerate(np.linspace(-0.225, 0.225, 7)):
        parts[f"rods/rod{index}"] = paint(rod((x, 0, 0.12), (x, 0, 0.98), 0.015), (0.66, 0.64, 0.6))
    return parts


def gloss() -> trimesh.Scene:
    """Glossy balls, glazed mugs, and rows of equal tiles and bottles, laid out in mirror image."""
    scene = trimesh.Scene()
    _add(
        scene, "table/table", {"slab": paint(block((1.9, 1.5, 0.06), (0, 0, -0.06)), (0.3, 0.22, 0.16), 0.5)}, np.eye(4)
    )
    _add(scene, "tiles/mat", {"grout": paint(block((0.94, 0.71, 0.02), (0, -0.38, 0)), (0.45, 0.45, 0.44))}, np.eye(4))
    for row in range(3):
        for column in range(4):
            color = (0.10, 0.22, 0.34) if (row + column) % 2 else (0.78, 0.76, 0.70)
            tile = paint(block((0.22, 0.22, 0.02), (0.23 * (column - 1.5), -0.38 + 0.23 * (row - 1), 0.02)), color, 1.0)
            _add(scene, f"tiles/row{row}", {f"tile{column}": tile}, np.eye(4))
    for name, radius, place, color in (
        ("black", 0.21, (0, -0.38, 0.04), BLACK),
        ("left", 0.17, (-0.7, -0.42, 0), (0.45, 0.04, 0.05)),
        ("right", 0.17, (0.7, -0.42, 0), (0.45, 0.04, 0.05)),
        ("steel", 0.15, (0, 0.2, 0), (0.35, 0.37, 0.4)),
    ):
        ball = paint(at(icosphere(4, radius), 0, 0, radius), color, 1.0)
        _add(scene, "balls/large", {name: ball}, shift(*place))
    for side, sign in (("left", -1), ("right", 1)):
        for index, x in enumerate([0.32, 0.68]):
            color = ((0.05, 0.22, 0.2), (0.75, 0.73, 0.68))[index]
            mug = cup(0.13, 0.24, color, 1.0)
            mug["coffee"] = paint(at(cylinder(0.119, 0.01, sections=48), 0, 0, 0.2), (0.12, 0.06, 0.03), 1.0)
            _add(scene, f"mugs/{side}/mug{index}", mug, shift(sign * x, 0.16, 0) @ turn(0 if sign > 0 else 180))
    _bottles(scene)
    return scene


def _bottles(scene: trimesh.Scene) -> None:
    """A row of equal bottles in a tray."""
    outline = [(0, 0), (0.075, 0), (0.08, 0.02), (0.08, 0.27), (0.065, 0.34), (0.028, 0.4), (0.028, 0.47), (0, 0.47)]
    _add(scene, "bottles/tray", {"tray": paint(tray((1.4, 0.26, 0.05), (0, 0.57, 0), 0.015), METAL, 0.6)}, np.eye(4))
    for index in range(6):
        bottle = {
            "glass": paint(turned(outline).apply_scale(1.15), (0.06, 0.2, 0.09), 1.0),
            "cap": paint(at(cylinder(0.045, 0.08, sections=40), 0, 0, 0.54), (0.6, 0.45, 0.15), 0.8),
        }
        _add(scene, f"bottles/row/bottle{index}", bottle, shift(0.22 * (index - 2.5), 0.57, 0.015))


def shift(*place: float) -> np.ndarray:
    """A translation [4, 4]."""
    return trimesh.transformations.translation_matrix(place)


def turn(degrees: float, axis: Place = (0, 0, 1)) -> np.ndarray:
    """A rotation about an axis through the origin [4, 4]."""
    return trimesh.transformations.rotation_matrix(np.radians(degrees), axis)


def _add(scene: trimesh.Scene, path: str, parts: Parts, pose: np.ndarray) -> None:
    """Hang parts below the node `path`, each level of their names a node of its own."""
    for name, mesh in parts.items():
        names = f"{path}/{name}".split("/")
        parent = scene.graph.base_frame
        for depth in range(1, len(names)):
            node = "/".join(names[:depth])
            if node not in scene.graph.nodes:
                scene.graph.update(frame_to=node, frame_from=parent)
            parent = node
        node = "/".join(names)
        scene.add_geometry(mesh, node_name=node, geom_name=node, parent_node_name=parent, transform=pose)


SCENES = {"room": room, "cupboard": cupboard, "gloss": gloss}


def main() -> int:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", choices=SCENES)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    SCENES[options.scene]().export(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
