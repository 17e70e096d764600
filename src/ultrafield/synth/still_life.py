"""The built-in scene: tea for two, fruit, and something to read, on a round wooden tray.

Fourteen objects in four groups, thirty-nine parts, one level deeper where a part has parts of its own (the teapot's
lid). Lengths are decimetres, z is up, and the tray's surface lies at height zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .props import CORAL, CREAM, GOLD, NAVY, Parts, apple, book, candle, lemon, orange, pear, pencil
from .tableware import TEAL, cup, fruit_bowl, sugar_bowl, teapot, tray

if TYPE_CHECKING:
    import trimesh


def still_life() -> trimesh.Scene:
    """Build the scene; node names are paths such as `tea/pot/lid/knob` and nest accordingly.

    Returns:
        A scene with vertex-coloured meshes, z up.
    """
    import trimesh

    scene = trimesh.Scene()
    _add(scene, "tray/tray", tray(), at=(0, 0, 0), size=1.0)
    _add(scene, "tea/pot", teapot(), at=(-0.40, 0.42, 0), turn=235)
    _add(scene, "tea/cup_a", cup(CORAL), at=(-0.68, -0.44, 0), turn=160)
    _add(scene, "tea/cup_b", cup(TEAL), at=(-0.10, -0.76, 0), turn=-60)
    _add(scene, "tea/sugar", sugar_bowl(), at=(-0.99, 0.20, 0))
    _add(scene, "fruit/bowl", fruit_bowl(), at=(0.56, 0.42, 0))
    _add(scene, "fruit/apple", apple(), at=(0.38, 0.28, 0.15), turn=40, tilt=14)
    _add(scene, "fruit/pear", pear(), at=(0.77, 0.37, 0.15), turn=100, tilt=16)
    _add(scene, "fruit/orange", orange(), at=(0.54, 0.65, 0.16), turn=250, tilt=20)
    _add(scene, "fruit/lemon", lemon(), at=(0.98, -0.08, 0), turn=65)
    _add(scene, "reading/atlas", book(0.66, 0.50, 0.11, NAVY, GOLD), at=(0.54, -0.48, 0), turn=24)
    _add(scene, "reading/novel", book(0.52, 0.36, 0.09, CORAL, CREAM), at=(0.52, -0.46, 0.1265), turn=-8)
    _add(scene, "reading/pencil", pencil(), at=(0.50, -0.48, 0.23), turn=52)
    _add(scene, "reading/candle", candle(), at=(0.12, -0.10, 0))
    return scene


def _add(
    scene: trimesh.Scene,
    path: str,
    parts: Parts,
    *,
    at: tuple[float, float, float],
    turn: float = 0,
    tilt: float = 0,
    size: float = 1.15,
) -> None:
    """Hang an object's parts below the node `path`, turned about z and then tilted about x (degrees)."""
    import trimesh

    place = trimesh.transformations.euler_matrix(np.radians(tilt), 0, np.radians(turn), "rxyz")
    place[:3, :3] *= size
    place[:3, 3] = at
    group = path.split("/")[0]
    if group not in scene.graph.nodes:
        scene.graph.update(frame_to=group, frame_from=scene.graph.base_frame)
    scene.graph.update(frame_to=path, frame_from=group, matrix=place)
    for name, mesh in parts.items():
        parent, node = path, f"{path}/{name}"
        for inner in name.split("/")[:-1]:
            above, parent = parent, f"{parent}/{inner}"
            if parent not in scene.graph.nodes:
                scene.graph.update(frame_to=parent, frame_from=above)
        scene.add_geometry(mesh, node_name=node, geom_name=node, parent_node_name=parent)
