"""Segments as USD: the tree of prims is the tree of segments, with semantic labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..extras import require
from .gltf import linear_of_srgb
from .parts import PartMesh
from .segments import Segments

_TAXONOMY = "category"


def write_usd(path: Path, segments: Segments, parts: Sequence[PartMesh], *, photo: bool = True) -> None:
    """Write meshes of segments as USD, of the kind that the ending chooses (.usdc, .usda or .usd).

    Every node is an Xform prim below that of its parent, called `_ID`, with its name as display name and as semantic
    label (`UsdSemantics.LabelsAPI`, taxonomy "category"), and `ultrafield:id`, `ultrafield:height`, `ultrafield:size`
    and `ultrafield:levels` as attributes. Meshes are prims called `mesh` below. Coordinates are the user's, z up,
    and a unit counts as a metre.

    Raises:
        BackendError: usd-core is not installed.
        OSError: The file could not be written.
    """
    require("pxr", "usd")
    from pxr import Sdf, Tf, Usd, UsdGeom, UsdSemantics

    stage = Usd.Stage.CreateInMemory(path.name)
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z)
    UsdGeom.SetStageMetersPerUnit(stage, UsdGeom.LinearUnits.meters)  # as in glTF; unsaid, readers take centimetres
    paths: list[Any] = []
    origin = _origin(parts)
    with Sdf.ChangeBlock():  # or every prim would be composed as soon as it is made
        layer = stage.GetRootLayer()
        for index, above in enumerate(segments.parents.tolist()):
            name = f"_{segments.ids[index]}"
            paths.append((Sdf.Path.absoluteRootPath if above < 0 else paths[above]).AppendChild(name))
            Sdf.CreatePrimInLayer(layer, paths[index])
    for index, place in enumerate(paths):
        prim = UsdGeom.Xform.Define(stage, place).GetPrim()
        prim.SetDisplayName(segments.title(index))
        _describe(prim, segments, index)
        if segments.names[index]:
            labels = UsdSemantics.LabelsAPI.Apply(prim, _TAXONOMY)
            labels.CreateLabelsAttr().Set([segments.names[index]])
    UsdGeom.Xformable(stage.GetPrimAtPath(paths[0])).AddTranslateOp(UsdGeom.XformOp.PrecisionDouble).Set(
        tuple(origin.tolist())
    )
    for part in parts:
        color = None if photo else segments.colors[part.index]
        _mesh(stage, paths[part.index].AppendChild("mesh"), part, origin, color)
    stage.SetDefaultPrim(stage.GetPrimAtPath(paths[0]))
    try:
        if not stage.Export(str(path)):
            raise OSError(None, "USD could not write it; is the disk full?", str(path))
    except Tf.ErrorException as failure:
        reason = str(failure).strip().splitlines()[-1]
        raise OSError(None, f"USD could not write it ({reason})", str(path)) from None


def _describe(prim: Any, segments: Segments, index: int) -> None:
    from pxr import Sdf

    columns = [level.column for level, inside in zip(segments.levels, segments.member[index], strict=True) if inside]
    values = (
        ("id", Sdf.ValueTypeNames.Int64, int(segments.ids[index])),
        ("height", Sdf.ValueTypeNames.Float, float(segments.heights[index])),
        ("size", Sdf.ValueTypeNames.Int64, int(segments.sizes[index])),
        ("levels", Sdf.ValueTypeNames.TokenArray, columns),
    )
    for name, kind, value in values:
        prim.CreateAttribute(f"ultrafield:{name}", kind, custom=True).Set(value)


def _mesh(stage: Any, place: Any, part: PartMesh, origin: np.ndarray, color: np.ndarray | None) -> None:
    from pxr import Gf, UsdGeom, Vt

    mesh = UsdGeom.Mesh.Define(stage, place)
    points = (part.vertices - origin).astype(np.float32)
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(points))
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(part.faces), 3, np.int32)))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(part.faces.astype(np.int32).reshape(-1)))
    mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(part.normals))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreateExtentAttr([Gf.Vec3f(*points.min(axis=0).tolist()), Gf.Vec3f(*points.max(axis=0).tolist())])
    linear = linear_of_srgb(part.colors if color is None else color[None]).astype(np.float32)
    shown = mesh.CreateDisplayColorPrimvar(UsdGeom.Tokens.vertex if color is None else UsdGeom.Tokens.constant)
    shown.Set(Vt.Vec3fArray.FromNumpy(linear))


def _origin(parts: Sequence[PartMesh]) -> np.ndarray:
    """A whole point in the middle, so that float32 holds coordinates of any size."""
    if not parts:
        return np.zeros(3)
    return np.rint(np.mean([part.vertices.mean(axis=0) for part in parts], axis=0))
