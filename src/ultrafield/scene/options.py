"""How a scene folder is read: the options of `load_scene` as one value that run folders store."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

from ..config.ranges import Range, Ranges, check_settings, none_for_zero

LIMITS: Ranges = {
    "downsample": Range(0, 1, above=True),
    "width": Range(1, 1 << 16),
    "half_extent": Range(1e-3, 1024),
    "hold_out": Range(2, 10**6),
}

Layout = Literal[
    "auto",
    "blender-hs",
    "nerf-synthetic",
    "nerfstudio",
    "partnet",
    "colmap",
    "llff",
    "3dgs",
    "metashape",
    "realitycapture",
    "polycam",
    "record3d",
]


@dataclass(frozen=True)
class SceneOptions:
    """How the scene folder is read.

    Attributes:
        layout: Layout of the folder; auto recognises it.
        downsample: Working size of the pictures as a fraction of their own.
        width: Working width in pixels; overrides --downsample.
        half_extent: Half the edge of the box to model, normalised units; found from the cameras if not given.
        hold_out: Where the folder names no validation views, every N-th view is held out; None (or 0) keeps all for
            training.
        masks: Folder that holds train_seg/, or masks of another form; the scene folder itself if not given.
        allow_missing: Continue however many of the listed pictures are not on disk; up to a third is accepted anyway.
        recentre: Model what the training cameras look at, instead of what lies around the origin, in Blender scenes.
        images: Folder of the pictures, where they do not lie in the scene folder.
    """

    layout: Layout = "auto"
    downsample: float = 1.0
    width: int | None = None
    half_extent: float | None = None
    hold_out: int | None = 8
    masks: Path | None = None
    allow_missing: bool = False
    recentre: bool = False
    images: Path | None = None

    def __post_init__(self) -> None:
        none_for_zero(self, "hold_out")
        check_settings(self, LIMITS)

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of `load_scene`."""
        return vars(self) | {"allow_missing": True if self.allow_missing else None}

    def resolved(self) -> Self:
        """The options with absolute paths, as a run folder stores them."""
        masks, images = (None if path is None else path.resolve() for path in (self.masks, self.images))
        return replace(self, masks=masks, images=images)

    def to_json(self) -> dict[str, Any]:
        """The options as JSON values; paths absolute, so that a run can be continued from any folder."""
        return {key: str(value.resolve()) if isinstance(value, Path) else value for key, value in vars(self).items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The options that `to_json` stored."""
        paths = {name: Path(values[name]) for name in ("masks", "images") if values.get(name) is not None}
        return cls(**(values | paths))
