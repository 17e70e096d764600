"""A segmentation: a tree over a surface, ready to be cut, to label views, and to be stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..cameras import Cameras
from ..config import SegmentConfig
from ..errors import ConfigError, RunError, UltrafieldError, in_shell
from ..reading import read_npz
from ..removal import files_below, find_stranger, is_temporary, kinds
from ..surface import Surface
from ..ultrametric import EditedTree, Tree
from .edits import read_edits
from .fields import fields_of
from .folder import RunFolder

if TYPE_CHECKING:
    from ..field import RadianceField
    from .export import Colors, Format

_SAVED = kinds(r"(surface|tree)\.npz", r"(tree|edits)\.json", r"points\.ply")  # what `save` writes


@dataclass(frozen=True, eq=False, repr=False)
class Segmentation:
    """A tree of 3D segments over the points of a surface.

    A node keeps its id at every cut, in every view and in every file.

    Attributes:
        tree: A merge tree over the N points, after the user's edits.
        surface: The points.
        levels: Heights of the automatic levels [L], float32, ascending.
        config: Settings with which views are labelled (`label_neighbors`, `label_radius`).
        views: Names of the V views that the surface was made from.
        load_field: Loads the radiance field that the surface is from; None if there is none.
        edits: The user's merges, splits and names; None if there are none. After merges, nodes of `tree` are numbered
            anew, but `cut`, `label` and every file show them under the ids that they keep: `ids`.
        folder: The run folder that it was read from, which has rendered views; None if there is none.
    """

    tree: Tree
    surface: Surface
    levels: NDArray[np.float32]
    config: SegmentConfig = field(default_factory=SegmentConfig)
    views: tuple[str, ...] = ()
    load_field: Callable[[], RadianceField] | None = None
    edits: EditedTree | None = None
    folder: Path | None = None

    def __post_init__(self) -> None:
        if self.tree.num_leaves != len(self.surface):
            raise ValueError(
                f"tree: expected {len(self.surface)} leaves, one per surface point, got {self.tree.num_leaves}"
            )

    def __repr__(self) -> str:
        heights = ", ".join(f"{height:.3f}" for height in self.levels)
        return f"Segmentation({len(self.surface)} points, levels at {heights})"

    def _repr_html_(self) -> str:
        """A picture of the surface, in its own colours and in those of the segments at a middle level."""
        from .preview import preview_html

        return preview_html(self.surface, self.tree, self.levels, title=repr(self))

    @property
    def ids(self) -> NDArray[np.int64]:
        """The lasting id of each node of `tree` [2N − 1], int64: its own number, unless merges renumbered the tree."""
        return np.arange(len(self.tree.parents)) if self.edits is None else self.edits.ids

    @property
    def names(self) -> dict[int, str]:
        """Names of nodes, by id: those given, and "surroundings" where these are a node of their own."""
        from ..ultrametric.edits import first_names

        return first_names(self.tree) if self.edits is None else self.edits.names

    def with_edits(self, edits: EditedTree) -> Segmentation:
        """The same points after other edits, with the automatic levels of the tree that results.

        Raises:
            ValueError: The edits are about a tree of other points.
        """
        from ..ultrametric import levels

        return replace(self, tree=edits.tree, levels=levels(edits.tree), edits=edits)

    def cut(self, height: float) -> NDArray[np.int64]:
        """Segment of every point when the tree is cut at `height`: node ids [N], int64; see `ultrametric.cut`."""
        return self.ids[self.tree.cut(height)]

    def cut_into(self, count: int) -> NDArray[np.int64]:
        """Segment of every point in a cut with `count` segments: node ids [N], int64; see `ultrametric.cut_into`."""
        return self.ids[self.tree.cut_into(count)]

    def label(
        self,
        cameras: Cameras,
        *,
        depths: Sequence[np.ndarray] | np.ndarray | None = None,
        field: RadianceField | None = None,
        heights: np.ndarray | Sequence[float] | None = None,
    ) -> Iterator[NDArray[np.int32]]:
        """Label maps of any views, one after the other.

        A pixel takes the segment of the surface points around the point that it shows. That point is told by `depths`;
        else by a radiance field, `field` or the one that the surface is from; else by the surface points themselves,
        drawn as discs.

        Args:
            cameras: V cameras, user's frame.
            depths: z-depth of each view, [H, W] each, user's units; 0 or NaN where nothing is seen.
            field: A radiance field of the same scene.
            heights: Where to cut the tree [L]; the automatic levels if None.

        Yields:
            Node ids [L, H, W], int32; −1 for none.

        Raises:
            ValueError: Depths of another number or size than the cameras' pictures, or a negative height.
        """
        from ..labels import label_views
        from ..surface import surface_depths

        cuts = self.levels if heights is None else np.asarray(heights, np.float64).reshape(-1)
        if depths is None and field is None and self.load_field is not None:
            field = self.load_field()
        if depths is None and field is None:
            depths = surface_depths(self.surface, cameras)
        maps = label_views(
            self.tree, self.surface, cameras, depths=depths, field=field, heights=cuts, config=self.config
        )
        return (np.where(labels >= 0, self.ids[labels], -1).astype(np.int32) for labels in maps) if self.edits else maps

    def export(
        self,
        path: str | Path,
        *,
        to: Format | None = None,
        level: str | int | float | np.number[Any] | Sequence[str | int | float] | np.ndarray = (),
        node: int | None = None,
        split: str | int | float | None = None,
        onto: str | Path | None = None,
        distance: float | None = None,
        cameras: Cameras | None = None,
        depths: Sequence[np.ndarray] | np.ndarray | None = None,
        faces: int = 200_000,
        features: bool = False,
        colors: Colors = "photo",
        y_up: bool = False,
        overwrite: bool = False,
        progress: bool = False,
    ) -> Path:
        """Do what `ultrafield export` does: everything in the user's frame and units, with labels.json beside it.

        Args:
            path: Folder to make; of ply, glb, usd and laz also a file with that ending.
            to: The format; if None, what the ending of `path` or `onto` tells.
            level: Levels, one or several, by number (0 is the coarsest), name, or height (a float); the automatic
                levels if empty.
            node: Id of the only node to export.
            split: Level whose segments get a file each.
            onto: File of points, a mesh or Gaussians that labels are carried over to.
            distance: How far from the surface a point of it has a label, user's units; three spacings if None.
            cameras: Views for meshes and pictures, user's frame, where there is no run folder.
            depths: Their z-depth, each [H, W], user's units; that of the surface's points, as discs, if None.
            faces: Triangles of all meshes together, about.
            features: Whether GLB meshes carry a feature id for each level (EXT_mesh_features).
            colors: Colours of meshes: "photo" or "segments".
            y_up: Whether GLB files turn z up into the y up that glTF's viewers expect.
            overwrite: Whether an earlier export may be replaced.
            progress: Whether to show progress.

        Returns:
            The path.

        Raises:
            UltrafieldError: Options that do not go together or name nothing, a place that cannot be written to, or an
                optional package that is not installed.
        """
        from ..ultrametric.checks import one_integer
        from .console import Report
        from .export import ExportOptions, export_segmentation, format_of

        out = Path(path)
        kind = to or format_of(out) or (None if onto is None else "onto")
        if kind is None:
            raise ConfigError(f"expected a format, as {out.name!r} tells none", setting="to")
        options = ExportOptions(
            to=kind,
            level=tuple(map(str, [level] if isinstance(level, str | int | float | np.number) else level)),
            node=None if node is None else one_integer("node", node),
            split=None if split is None else str(split),
            onto=None if onto is None else Path(onto),
            distance=distance,
            faces=faces,
            features=features,
            colors=colors,
            y_up=y_up,
            overwrite=overwrite,
        )
        report = Report() if progress else Report.silent()
        return export_segmentation(self, out, options, report=report, cameras=cameras, depths=depths)

    def save(self, folder: str | Path) -> Path:
        """Write surface.npz, tree.npz, edits.json, tree.json and points.ply, which `open_run` reads back.

        Args:
            folder: A new or empty folder, or one that holds an earlier `save`.

        Returns:
            The folder.

        Raises:
            RunError: The folder holds anything else.
        """
        from ..export import write_points, write_tree_json
        from ..ultrametric import save_edits

        run = RunFolder(Path(folder))
        stranger = find_stranger(run.root, _SAVED) or _unsaved(run.root)
        if stranger is not None:
            raise RunError(f"{run.root}: neither empty nor a saved segmentation (it holds {stranger.name})")
        names = self.views or tuple(f"view_{index:03d}" for index in range(len(self.surface.visible)))
        run.write_surface(self.surface)
        if self.edits is None:
            run.write_tree(self.tree)
            run.edits_file.unlink(missing_ok=True)
        else:
            run.write_tree(self.edits.original)
            save_edits(run.edits_file, self.edits)
        write_points(run.root / "points.ply", self.surface, self.tree, self.levels, ids=self.ids)
        write_tree_json(run.root / "tree.json", self.surface, self.tree, names, heights=self.levels, ids=self.ids)
        return run.root


def _unsaved(folder: Path) -> Path | None:
    """A file in a folder that holds no earlier `save`, whose first file is surface.npz; None if there is none."""
    if not folder.is_dir():
        return None
    with suppress(UltrafieldError):
        if "to_user_scale" in read_npz(folder / "surface.npz", ("to_user_scale",)):
            return None
    return next((file for file in files_below(folder) if not is_temporary(file.name)), None)


def open_run(folder: str | Path) -> Segmentation:
    """The segmentation in a run folder, or in one that `Segmentation.save` wrote.

    Raises:
        RunError: The folder holds none, a broken one, or one that is not finished.
    """
    from ..ultrametric import levels

    run, config = RunFolder(Path(folder)), SegmentConfig()
    if not run.root.is_dir():
        raise RunError(f"{run.root}: no such folder")
    if run.config_file.is_file():
        config = run.read_config().config.segment
        damage = run.records.damage("segment")
        if damage is not None or not run.records.ended("segment"):
            reason = damage or run.records.fault or f"{run.root}: not segmented yet"
            raise RunError(f"{reason}; next: ultrafield segment {in_shell(run.root)}")
    elif not (run.root / "tree.npz").is_file():
        raise RunError(f"{run.root}: holds no segmentation (tree.npz: missing)")
    edits = read_edits(run, run.read_tree())
    return Segmentation(
        tree=edits.tree,
        surface=run.read_surface(),
        levels=levels(edits.tree),
        config=config,
        load_field=_field_loader(run),
        edits=edits if edits.operations else None,
        folder=run.root,
    )


def _field_loader(run: RunFolder) -> Callable[[], RadianceField] | None:
    if not (run.root / "field.safetensors").is_file():
        return None

    return lambda: fields_of(run).geometry
