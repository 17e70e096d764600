"""One scene as every program writes it: known cameras around the origin, exported by code that readers do not share.

Each exporter writes a scene folder and gives, for each picture, the projection that the format's documentation
describes: from points in the file's own world to pixels, whose centres lie at +0.5.
"""

from __future__ import annotations

import csv
import json
import math
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from ultrafield.io import write_image

Projection = Callable[[np.ndarray], np.ndarray]

SIZE = (64, 48)
FOCAL = 32 / math.tan(math.radians(25.0))  # PartNet's field of view
ANGLES = [(45 * index, 5 * index - 10, 2.0 + 0.05 * index) for index in range(7)]
NAMES = [f"view_{index:02d}" for index in range(len(ANGLES))]


def poses() -> np.ndarray:
    """Camera-to-world [V, 3, 4], OpenCV's axes: PartNet's orbit, the world's x up in the pictures."""
    return np.stack([_orbit(*angles) for angles in ANGLES])


def _orbit(azimuth: float, elevation: float, radius: float) -> np.ndarray:
    """Cameras on a sphere, turned from the z axis about x."""
    turn = Rotation.from_euler("x", azimuth, degrees=True) * Rotation.from_euler("y", elevation, degrees=True)
    outwards = turn.apply([0.0, 0.0, 1.0])
    right = Rotation.from_euler("x", azimuth, degrees=True).apply([0.0, -1.0, 0.0])
    return np.stack([right, np.cross(-outwards, right), -outwards, radius * outwards], axis=1)


def write_pictures(folder: Path, names: list[str] | None = None, size: tuple[int, int] = SIZE) -> list[str]:
    """Write a picture of noise for each view; their file names."""
    files = [name if "." in name else f"{name}.png" for name in names or NAMES]
    for index, file in enumerate(files):
        noise = np.random.default_rng(index).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        write_image(folder / file, noise)
    return files


def local(pose: np.ndarray, points: np.ndarray) -> np.ndarray:
    """World points [N, 3] in a camera's axes."""
    return (points - pose[:, 3]) @ pose[:, :3]


def brown(points: np.ndarray, k: list[float], p1: float, p2: float) -> tuple[np.ndarray, np.ndarray]:
    """Brown's lens in OpenCV's convention, for points in camera axes; x and y before focal lengths."""
    x, y = points[:, 0] / points[:, 2], points[:, 1] / points[:, 2]
    r2 = x**2 + y**2
    radial = 1 + sum(factor * r2 ** (order + 1) for order, factor in enumerate(k))
    return (
        x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x**2),
        y * radial + 2 * p2 * x * y + p1 * (r2 + 2 * y**2),
    )


def pinhole(fx: float, fy: float, cx: float, cy: float) -> list[Projection]:
    """Projections of all views without distortion."""
    return opencv(fx, fy, cx, cy, [], 0.0, 0.0)


def opencv(fx: float, fy: float, cx: float, cy: float, k: list[float], p1: float, p2: float) -> list[Projection]:
    """Projections of all views with one lens."""

    def projection(pose: np.ndarray) -> Projection:
        def project(points: np.ndarray) -> np.ndarray:
            x, y = brown(local(pose, points), k, p1, p2)
            return np.stack([fx * x + cx, fy * y + cy], axis=1)

        return project

    return [projection(pose) for pose in poses()]


# What each program writes.


def partnet(root: Path) -> list[Projection]:
    for index, (azimuth, elevation, radius) in enumerate(ANGLES):
        write_pictures(root / f"view-{index:02d}", ["shape-rgb"])
        (root / f"view-{index:02d}/meta.txt").write_text(f"{azimuth} {elevation} 0 {radius!r}")
    return pinhole(FOCAL, FOCAL, 32, 24)


def _opengl(pose: np.ndarray) -> list[list[float]]:
    matrix = np.eye(4)
    matrix[:3] = pose
    matrix[:3, 1:3] *= -1
    return matrix.tolist()


def nerf_synthetic(root: Path) -> list[Projection]:
    write_pictures(root / "train")
    frames = [
        {"file_path": f"./train/{name}", "transform_matrix": _opengl(pose)}
        for name, pose in zip(NAMES, poses(), strict=True)
    ]
    content = {"camera_angle_x": math.radians(50.0), "frames": frames}
    (root / "transforms_train.json").write_text(json.dumps(content))
    return pinhole(FOCAL, FOCAL, 32, 24)


def nerfstudio(root: Path) -> list[Projection]:
    files = write_pictures(root / "images")
    lens = {"k1": -0.1, "k2": 0.02, "k3": 0.01, "k4": -0.004, "p1": 0.003, "p2": -0.002}
    frames = [
        {"file_path": f"images/{file}", "transform_matrix": _opengl(pose)}
        for file, pose in zip(files, poses(), strict=True)
    ]
    shared = {"camera_model": "OPENCV", "w": 64, "h": 48, "fl_x": 60.0, "fl_y": 61.0, "cx": 33.0, "cy": 23.5}
    (root / "transforms.json").write_text(json.dumps(shared | lens | {"frames": frames}))
    k = [lens[key] for key in ("k1", "k2", "k3", "k4")]
    return opencv(60.0, 61.0, 33.0, 23.5, k, lens["p1"], lens["p2"])


def _colmap_rows() -> list[tuple[int, list[float], int, str]]:
    rows = []
    for index, pose in enumerate(poses()):
        x, y, z, w = Rotation.from_matrix(pose[:, :3].T).as_quat().tolist()
        translation = (-pose[:, :3].T @ pose[:, 3]).tolist()
        rows.append((3 * index + 7, [w, x, y, z, *translation], 1 + index % 2, f"{NAMES[index]}.png"))
    return rows


_COLMAP_LENSES = (
    [60.0, 61.0, 33.0, 23.5, -0.1, 0.02, 0.003, -0.002],
    [55.0, 31.5, 24.5, 0.05],
)  # OPENCV, SIMPLE_RADIAL


def _colmap_projections() -> list[Projection]:
    (fx, fy, cx, cy, k1, k2, p1, p2), (f, ux, uy, k) = _COLMAP_LENSES
    lenses = opencv(fx, fy, cx, cy, [k1, k2], p1, p2), opencv(f, f, ux, uy, [k], 0, 0)
    return [lenses[index % 2][index] for index in range(len(NAMES))]


def colmap_text(root: Path) -> list[Projection]:
    write_pictures(root / "images")
    model = root / "sparse/0"
    model.mkdir(parents=True)
    first, second = (" ".join(map(repr, lens)) for lens in _COLMAP_LENSES)
    (model / "cameras.txt").write_text(f"# cameras\n1 OPENCV 64 48 {first}\n2 SIMPLE_RADIAL 64 48 {second}\n")
    lines = ["# images"]
    for number, pose, camera, name in _colmap_rows():
        lines += [
            f"{number} {' '.join(map(repr, pose))} {camera} {name}",
            "1.5 2.5 -1 3.5 4.5 12" if number % 2 else "",
        ]
    (model / "images.txt").write_text("\n".join(lines) + "\n")
    (model / "points3D.txt").write_text("# points\n")
    return _colmap_projections()


def colmap_binary(root: Path) -> list[Projection]:
    write_pictures(root / "images")
    model = root / "sparse/0"
    model.mkdir(parents=True)
    cameras = struct.pack("<Q", 2)
    for number, kind, lens in ((1, 4, _COLMAP_LENSES[0]), (2, 2, _COLMAP_LENSES[1])):
        cameras += struct.pack(f"<IiQQ{len(lens)}d", number, kind, 64, 48, *lens)
    (model / "cameras.bin").write_bytes(cameras)
    images = struct.pack("<Q", len(NAMES))
    for number, pose, camera, name in _colmap_rows():
        points = struct.pack("<ddQ", 1.5, 2.5, 12) * (number % 3)
        images += struct.pack("<I7dI", number, *pose, camera) + name.encode() + b"\0"
        images += struct.pack("<Q", number % 3) + points
    (model / "images.bin").write_bytes(images)
    return _colmap_projections()


def llff(root: Path) -> list[Projection]:
    write_pictures(root / "images")
    rows = []
    for pose in poses():
        right, down, forward, centre = pose.T
        matrix = np.stack([down, right, -forward, centre, [48.0, 64.0, 57.0]], axis=1)
        rows.append([*matrix.ravel(), 0.5, 4.0])
    np.save(root / "poses_bounds.npy", np.array(rows))
    return pinhole(57.0, 57.0, 32.0, 24.0)


def gaussians(root: Path) -> list[Projection]:
    write_pictures(root / "images")
    items = [
        {
            "id": index,
            "img_name": name,
            "width": 64,
            "height": 48,
            "position": pose[:, 3].tolist(),
            "rotation": pose[:, :3].tolist(),
            "fy": 58.0,
            "fx": 57.0,
        }
        for index, (name, pose) in enumerate(zip(NAMES, poses(), strict=True))
    ]
    (root / "cameras.json").write_text(json.dumps(items))
    return pinhole(57.0, 58.0, 32.0, 24.0)


_METASHAPE = {
    "f": 60.0,
    "cx": 1.25,
    "cy": -0.75,
    "b1": 0.8,
    "b2": -0.3,
    "k1": -0.1,
    "k2": 0.02,
    "k3": 0.01,
    "k4": -0.004,
}
_METASHAPE |= {"p1": 0.003, "p2": -0.002}


def _xml(tag: str, values: dict[str, float]) -> str:
    return "".join(f"<{key}>{value!r}</{key}>" for key, value in values.items())


def metashape(root: Path) -> list[Projection]:
    """A chunk whose component is turned, scaled and shifted, with an initial and an adjusted calibration."""
    write_pictures(root / "images", [f"{name}.jpg" for name in NAMES])
    turn = Rotation.from_euler("xyz", [10, 20, 30], degrees=True).as_matrix()
    scale, shift = 2.5, np.array([0.3, -0.2, 0.1])
    cameras = []
    for index, pose in enumerate(poses()):
        inner = np.eye(4)
        inner[:3, :3] = turn.T @ pose[:, :3]
        inner[:3, 3] = turn.T @ (pose[:, 3] - shift) / scale
        numbers = " ".join(map(repr, inner.ravel().tolist()))
        named = f'<camera id="{index}" sensor_id="0" component_id="3" label="{NAMES[index]}">'
        cameras.append(f"{named}<transform>{numbers}</transform></camera>")
    cameras.append('<group id="0"><camera id="99" sensor_id="0" label="not aligned"/></group>')
    initial = '<calibration type="frame" class="initial"><resolution width="640" height="480"/><f>1.0</f></calibration>'
    adjusted = f'<calibration type="frame" class="adjusted"><resolution width="64" height="48"/>{_xml("", _METASHAPE)}'
    matrix = " ".join(map(repr, turn.ravel().tolist()))
    (root / "cameras.xml").write_text(
        '<?xml version="1.0" encoding="UTF-8"?><document version="2.0.0"><chunk label="Chunk 1"><sensors>'
        f'<sensor id="0" label="unknown" type="frame"><resolution width="640" height="480"/>{initial}{adjusted}'
        '</calibration></sensor></sensors><components><component id="3" label="Component 1"><transform>'
        f'<rotation locked="false">{matrix}</rotation><translation>{" ".join(map(str, shift.tolist()))}</translation>'
        f"<scale>{scale}</scale></transform></component></components><cameras>{''.join(cameras)}</cameras></chunk></document>"
    )
    m = _METASHAPE

    def projection(pose: np.ndarray) -> Projection:
        def project(points: np.ndarray) -> np.ndarray:
            """The manual's equations for frame cameras."""
            X, Y, Z = local(pose, points).T
            x, y = X / Z, Y / Z
            r = np.sqrt(x * x + y * y)
            radial = 1 + m["k1"] * r**2 + m["k2"] * r**4 + m["k3"] * r**6 + m["k4"] * r**8
            u = x * radial + (m["p1"] * (r**2 + 2 * x**2) + 2 * m["p2"] * x * y)
            v = y * radial + (m["p2"] * (r**2 + 2 * y**2) + 2 * m["p1"] * x * y)
            return np.stack(
                [64 * 0.5 + m["cx"] + u * m["f"] + u * m["b1"] + v * m["b2"], 48 * 0.5 + m["cy"] + v * m["f"]], axis=1
            )

        return project

    return [projection(pose) for pose in poses()]


def realitycapture(root: Path) -> list[Projection]:
    files = write_pictures(root / "images")
    f, px, py, k, t1, t2 = 34.0, 0.01, -0.02, [-0.1, 0.02, 0.01, -0.004], 0.003, -0.002
    with open(root / "cameras.csv", "w", newline="") as file:
        writer = csv.writer(file)
        columns = ("x", "y", "alt", "heading", "pitch", "roll", "f", "px", "py", "k1", "k2", "k3", "k4", "t1", "t2")
        writer.writerow(["#name", *columns])
        for name, pose in zip(files, poses(), strict=True):
            axes = np.array(_opengl(pose))[:3, :3]  # x right, y up, z backwards
            heading, pitch, roll = Rotation.from_matrix(axes).as_euler("ZXY", degrees=True).tolist()
            writer.writerow([name, *map(repr, [*pose[:, 3].tolist(), -heading, pitch, roll, f, px, py, *k, t1, t2])])
    # RealityCapture's OpenCV-compliant export lists the same numbers as k1 k2 t2 t1 k3 k4.
    return opencv(f * 64 / 36, f * 64 / 36, 32 + 64 * px, 24 + 64 * py, k, t2, t1)


def polycam(root: Path) -> list[Projection]:
    write_pictures(root / "keyframes/images", [f"{name}.jpg" for name in NAMES])
    (root / "keyframes/cameras").mkdir()
    for name, pose in zip(NAMES, poses(), strict=True):
        rows = _opengl(pose)
        values = {f"t_{row}{column}": rows[row][column] for row in range(3) for column in range(4)}
        values |= {"fx": 57.0, "fy": 58.0, "cx": 31.0, "cy": 25.0, "width": 64, "height": 48, "blur_score": 100.0}
        (root / f"keyframes/cameras/{name}.json").write_text(json.dumps(values))
    return pinhole(57.0, 58.0, 31.0, 25.0)


def record3d(root: Path) -> list[Projection]:
    write_pictures(root / "rgb", [f"{index}.jpg" for index in range(len(NAMES))])
    rows = []
    for pose in poses():
        matrix = np.array(_opengl(pose))
        rows.append([*Rotation.from_matrix(matrix[:3, :3]).as_quat().tolist(), *matrix[:3, 3].tolist()])
    values = {"poses": rows, "K": [57.0, 0, 0, 0, 58.0, 0, 31.0, 25.0, 1.0], "w": 64, "h": 48, "fps": 60}
    (root / "metadata.json").write_text(json.dumps(values))
    return pinhole(57.0, 58.0, 31.0, 25.0)


EXPORTERS: dict[str, Callable[[Path], list[Projection]]] = {
    "partnet": partnet,
    "nerf-synthetic": nerf_synthetic,
    "nerfstudio": nerfstudio,
    "colmap": colmap_text,
    "colmap-binary": colmap_binary,
    "llff": llff,
    "3dgs": gaussians,
    "metashape": metashape,
    "realitycapture": realitycapture,
    "polycam": polycam,
    "record3d": record3d,
}
