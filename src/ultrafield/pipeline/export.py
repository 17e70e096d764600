"""Exports of a segmentation: one function for every format, for Python and the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ..cameras import Cameras
from ..config.ranges import Range, Ranges, check_number
from ..errors import ConfigError, check_choice
from ..export.labels_json import explained, write_labels_json
from ..export.levels import Level, choose_levels
from ..export.segments import Segments, make_segments
from ..export.target import Target, also_explained, check_target, fresh_target
from .console import Report
from .export_views import export_views, training_views

if TYPE_CHECKING:
    from ..export.parts import PartMesh
    from ..export.views import ExportViews
    from .segmentation import Segmentation

Format = Literal["ply", "glb", "usd", "coco", "panoptic", "png", "laz", "scannet", "splats", "onto"]
Colors = Literal["photo", "segments"]

_ENDINGS: dict[str, tuple[str, ...]] = {
    "ply": (".ply",),
    "glb": (".glb",),
    "usd": (".usdc", ".usda", ".usd"),
    "laz": (".laz", ".las"),
}
_SPLITS = ("ply", "glb", "usd", "laz", "splats")
_ONTO = ("splats", "onto")
_LONGEST_STEM = 60  # characters of a file's name in that of what is made of it
LIMITS: Ranges = {
    "faces": Range(100, 100_000_000),
    "distance": Range(0, float("inf"), above=True, below=True),
    "node": Range(0, 1 << 40),
}


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What to export.

    Attributes:
        to: The format.
        level: Levels by number, name or height; the automatic ones if empty.
        node: The only node to export; None for all.
        split: Level whose segments get a file each; None for none.
        onto: File of the user's that labels are carried over to.
        distance: How far from the surface a point of that file has a label, user's units; None for three spacings.
        faces: Triangles of all meshes together, about.
        features: Whether GLB meshes carry a feature id for each level (EXT_mesh_features).
        colors: Colours of meshes: of the photographs, or of the segments.
        y_up: Whether GLB files turn z up into the y up that glTF's viewers expect.
        overwrite: Whether an earlier export may be replaced.
    """

    to: Format
    level: tuple[str, ...] = ()
    node: int | None = None
    split: str | None = None
    onto: Path | None = None
    distance: float | None = None
    faces: int = 200_000
    features: bool = False
    colors: Colors = "photo"
    y_up: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_choice("to", self.to, get_args(Format))
        check_choice("colors", self.colors, get_args(Colors))
        for name, kind in (("faces", int), ("distance", float), ("node", int)):
            check_number(name, getattr(self, name), kind, LIMITS[name], optional=name != "faces")
        if self.to in _ONTO and self.onto is None:
            what = "your PLY file of Gaussians" if self.to == "splats" else "a file of points or a mesh"
            raise ConfigError(f"--to {self.to} needs {what}", setting="onto")
        if self.to not in _ONTO and self.onto is not None:
            raise ConfigError(f"is for splats and for points or meshes of yours, not for {self.to}", setting="onto")
        if self.split is not None and self.to not in _SPLITS:
            raise ConfigError(f"is for {', '.join(_SPLITS)}, not for {self.to}", setting="split")
        for name in ("features", "y_up"):
            if getattr(self, name) and self.to != "glb":
                raise ConfigError(f"is for glb, not for {self.to}", setting=name)


@dataclass(frozen=True)
class _Work:
    """One export under way."""

    options: ExportOptions
    segments: Segments
    views: Callable[[], ExportViews]
    report: Report
    split: int | None
    of_node: Callable[[int], Segments]


def format_of(path: Path) -> Format | None:
    """The format that a file's ending tells, None if it tells none."""
    for name, endings in _ENDINGS.items():
        if path.suffix.lower() in endings:
            return name  # type: ignore[return-value]
    return None


def export_segmentation(
    segmentation: Segmentation,
    out: Path,
    options: ExportOptions,
    *,
    report: Report,
    cameras: Cameras | None = None,
    depths: Sequence[np.ndarray] | np.ndarray | None = None,
) -> Path:
    """Export a segmentation: everything in the user's frame and units, with labels.json beside it.

    Args:
        segmentation: What to export.
        out: Folder to make, or, of formats with a single main file, that file.
        options: What to export.
        report: Where progress is printed.
        cameras: Views for formats that need them, user's frame; those of the run folder if None.
        depths: z-depth of these cameras, each [H, W], user's units; that of the surface's points if None.

    Returns:
        The folder or file.

    Raises:
        UltrafieldError: Options that do not go together or name nothing, or a place that cannot be written to.
    """
    levels, split = _levels(options, segmentation.levels)
    several = None if options.split is None else "--split"
    single = check_target(out, _ENDINGS.get(options.to, ()), overwrite=options.overwrite, several=several)

    def of_node(node: int | None) -> Segments:
        surface, tree = segmentation.surface, segmentation.tree
        return make_segments(surface, tree, levels, ids=segmentation.ids, names=segmentation.names, node=node)

    segments = of_node(options.node)
    explanation = explained(segments)

    def besides() -> list[str]:
        return also_explained(out, explanation, overwrite=options.overwrite) if single else []

    besides()  # refuses before the work what would be refused after it
    whole = options.node is None and all(level.column.startswith("level_") for level in levels)

    def views() -> ExportViews:
        return export_views(segmentation, segments, cameras=cameras, depths=depths, whole=whole)

    work = _Work(options, segments, views, report, split, of_node)
    with fresh_target(out, single=single) as target:
        place = replace(target, stem=out.stem) if single else target
        others = _WRITERS[options.to](place, work, out.suffix.lower() if single else "")
        # Looked at anew, as another export of that name may have ended in between.
        write_labels_json(place.folder, explanation, options.to, besides=besides(), **others)
    return out


def _levels(options: ExportOptions, heights: np.ndarray) -> tuple[tuple[Level, ...], int | None]:
    """Levels to export, and the index among them of that whose segments get files of their own."""
    levels = choose_levels(options.level, heights)
    if options.split is None:
        return levels, None
    try:
        (wanted,) = choose_levels([options.split], heights)
    except ConfigError as failure:
        raise ConfigError(str(failure).removeprefix("level: "), setting="split") from None
    except ValueError:
        raise ConfigError(f"expected one level, got {options.split!r}", setting="split") from None
    for index, level in enumerate(levels):
        if level.height == wanted.height:
            return levels, index
    joined = choose_levels([*(options.level or [str(n) for n in range(len(levels))]), options.split], heights)
    return joined, [level.height for level in joined].index(wanted.height)


def _points(place: Target, work: _Work, ending: str) -> dict[str, Any]:
    from ..export.point_files import write_each, write_segment_laz, write_segment_ply

    write = write_segment_ply if work.options.to == "ply" else write_segment_laz
    kind = ending or f".{work.options.to}"
    write(place.folder / f"{place.stem}{kind}", work.segments)
    if work.split is not None:
        write_each(place.folder / "segments", work.segments, work.split, kind, write)
    return {}


def _meshes(work: _Work) -> list[PartMesh]:
    from ..export.parts import part_meshes
    from ..export.tsdf import fuse_mesh

    views = training_views(work.views())
    if len(views) == 0:
        raise ConfigError("there are no training views to make meshes from", setting="to")
    mesh = fuse_mesh(work.segments.surface, views, work.report.track)
    return part_meshes(mesh, work.segments, most=work.options.faces, track=work.report.track)


def _mesh_file(place: Target, work: _Work, ending: str) -> dict[str, Any]:
    parts = _meshes(work)
    kind = ending or (".glb" if work.options.to == "glb" else ".usdc")
    _write_meshes(place.folder / f"{place.stem}{kind}", work.segments, parts, work.options)
    if work.split is not None:
        from ..export.point_files import each_segment, file_name

        for index, _ in each_segment(work.segments, work.split):
            node = work.of_node(int(work.segments.ids[index]))
            places = node.index_of_known(work.segments.ids[[part.index for part in parts]])
            inside = [replace(part, index=int(at)) for part, at in zip(parts, places, strict=True) if at >= 0]
            (place.folder / "segments").mkdir(exist_ok=True)
            name = f"{file_name(work.segments, index)}{kind}"
            _write_meshes(place.folder / "segments" / name, node, inside, work.options)
    closed = [int(work.segments.ids[part.index]) for part in parts if part.watertight]
    return {"meshes": len(parts), "triangles": sum(len(part.faces) for part in parts), "watertight": closed}


def _write_meshes(path: Path, segments: Segments, parts: Sequence[PartMesh], options: ExportOptions) -> None:
    from ..export.gltf import write_glb
    from ..export.usd import write_usd

    photo, tree = options.colors == "photo", segments.without_crumbs()
    places = tree.index_of_known(segments.ids[[part.index for part in parts]])
    parts = [replace(part, index=int(place)) for part, place in zip(parts, places, strict=True)]
    if options.to == "glb":
        write_glb(path, tree, parts, features=options.features, y_up=options.y_up, photo=photo)
    else:
        write_usd(path, tree, parts, photo=photo)


def _scannet(place: Target, work: _Work, ending: str) -> dict[str, Any]:
    from ..export.scannet import write_scannet

    write_scannet(place.folder, "scene", work.segments, _meshes(work))
    return {}


def _pictures(place: Target, work: _Work, ending: str) -> dict[str, Any]:
    from ..export.coco import write_coco, write_panoptic
    from ..export.id_pictures import write_id_pictures, write_node_masks

    views, track = work.views(), work.report.track
    if work.options.to == "coco":
        write_coco(place.folder, work.segments, views, track)
    elif work.options.to == "panoptic":
        write_panoptic(place.folder, work.segments, views, track)
    elif work.options.node is not None:
        write_node_masks(place.folder, views, track)
    else:
        write_id_pictures(place.folder, work.segments, views, track)
    return {"views": len(views)}


def _onto(place: Target, work: _Work, ending: str) -> dict[str, Any]:
    from ..export.carry import carry_labels, read_gaussians, read_given, write_onto, write_splats
    from ..export.point_files import plain_name

    options = work.options
    assert options.onto is not None
    given = read_gaussians(options.onto) if options.to == "splats" else read_given(options.onto)
    columns = carry_labels(work.segments, given, distance=options.distance)
    stem = plain_name(options.onto.stem, _LONGEST_STEM) or "points"
    if options.to == "splats":
        write_splats(place.folder, stem, columns, given, work.segments, work.split)
    else:
        write_onto(place.folder, stem, columns, given)
    labelled = int((columns["instance_id"] >= 0).sum())
    work.report.note(f"{labelled} of {len(given.points)} points of {options.onto.name} have labels")
    return {"onto": options.onto.name, "points": len(given.points), "labelled": labelled}


_WRITERS: dict[str, Callable[[Target, _Work, str], dict[str, Any]]] = {
    "ply": _points,
    "laz": _points,
    "glb": _mesh_file,
    "usd": _mesh_file,
    "scannet": _scannet,
    "coco": _pictures,
    "panoptic": _pictures,
    "png": _pictures,
    "splats": _onto,
    "onto": _onto,
}
