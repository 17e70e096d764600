"""A scene: views with their cameras and masks, in splits.

Frames: *user* is the frame of the cameras the user gave; *normalised* is the one training works in (a bounded scene
fills [-0.5, 0.5]³).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ..cameras import Cameras, Similarity
from ..cameras.similarity import as_floats
from ..errors import check_shape, in_shell
from ..masks import MaskSet
from .arrays import scene_parts
from .normalize import LARGEST_HALF_EXTENT
from .preview import preview_html
from .view import Split


@dataclass(frozen=True, eq=False)
class Scene:
    """Views of a scene with their cameras, from a folder (`load_scene`) or from arrays (`Scene.from_arrays`).

    Attributes:
        name: Folder name, for titles.
        root: The scene folder; None for a scene from arrays.
        layout: What it was read from: one of the layouts of `load_scene`, or arrays.
        splits: "train" always; "val" and "val_rotate" where they exist.
        to_user: Maps normalised coordinates to the user's frame.
        background: Known background colour [3], float32 in [0, 1], or None for a real capture.
        half_extent: Half the edge of the box that must be modelled, normalised units: 0.5 for a bounded scene, larger
            (0.5 · 2^k, covered by k + 1 cascades) for a capture with surroundings.
        near: Distance from the camera at which rays begin, normalised units.

    `ValueError` for a scene without training views, a background that is no colour, or distances that are not positive.
    """

    name: str
    root: Path | None
    layout: str
    splits: dict[str, Split]
    to_user: Similarity
    background: np.ndarray | None
    half_extent: float = 0.5
    near: float = 0.01

    def __post_init__(self) -> None:
        if not self.splits.get("train"):
            raise ValueError("splits: expected training views under 'train'")
        for name in ("half_extent", "near"):
            if not 0.0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: expected a positive number, got {getattr(self, name):g}")
        if self.half_extent > LARGEST_HALF_EXTENT:
            raise ValueError(f"half_extent: expected at most {LARGEST_HALF_EXTENT:g}, got {self.half_extent:g}")
        if self.background is not None:
            background = as_floats("background", self.background).astype(np.float32)
            check_shape("background", background, (3,))
            if not ((background >= 0) & (background <= 1)).all():
                raise ValueError(f"background: expected a colour in [0, 1], got {background.tolist()}")
            object.__setattr__(self, "background", background)
        own = {name: replace(split, to_user=self.to_user) for name, split in self.splits.items()}
        object.__setattr__(self, "splits", own)

    @staticmethod
    def from_arrays(
        images: Sequence[np.ndarray] | np.ndarray,
        cameras: Cameras,
        masks: Sequence[np.ndarray | MaskSet | None] | np.ndarray | None = None,
        *,
        background: ArrayLike | None = None,
        name: str = "scene",
        hold_out: int | None = None,
        half_extent: float | None = None,
    ) -> Scene:
        """A scene from pictures, cameras and masks in memory; no file is read or written.

        A scene whose pictures have an alpha channel with transparent pixels, or for which a background is given, is one
        bounded object in the middle of the views; any other is a capture with surroundings. Pictures are downsampled to
        the size of their masks if that is smaller.

        Args:
            images: V pictures [H, W, 3] or [H, W, 4] of one or of several sizes: uint8, or floats in [0, 1].
            cameras: V cameras, OpenCV axes, user's frame and units; their sizes are those of the pictures, or others
                of the same aspect ratio.
            masks: For each view bool [M, H, W], an id map [H, W] (integers; each id above 0 is a mask), a `MaskSet`, or
                None. Of the picture's size or of its aspect ratio; all of one size for pictures of one size.
            background: RGB [3] in [0, 1] behind transparent pixels; white if pictures are transparent.
            name: Title of the scene.
            hold_out: Every `hold_out`-th view is a validation view; None keeps all for training.
            half_extent: Half the edge of the box to model, normalised units; by default 0.5 for a bounded object and
                large enough for the surroundings of a capture.

        Returns:
            The scene; views are called view_000, view_001, … in the order given.

        Raises:
            ValueError: Arrays that do not fit together; the text names the view.
            SceneError: Cameras that all stand at one point.
        """
        parts = scene_parts(images, cameras, masks, background=background, name=name, hold_out=hold_out)
        return Scene(
            name=name,
            root=None,
            layout="arrays",
            splits=parts.splits,
            to_user=parts.to_normalised.inverse(),
            background=parts.background,
            half_extent=parts.half_extent if half_extent is None else half_extent,
            near=parts.near,
        )

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(split)} {name}" for name, split in self.splits.items())
        masks = "masks" if self.has_masks else "no masks" if not self.has_some_masks else "some masks"
        return f"Scene({self.name!r}, {self.layout}: {counts} views, {masks}, half extent {self.half_extent:g})"

    def _repr_html_(self) -> str:
        """Some training views with their masks in colour, for notebooks."""
        return preview_html(repr(self), self.train.views)

    @property
    def source(self) -> str:
        """The scene folder or, without one, the name; for messages."""
        return self.name if self.root is None else str(self.root)

    @property
    def masks_advice(self) -> str:
        """Where masks come from, for messages."""
        if self.root is None:
            return "pass them to Scene.from_arrays"
        return f"make them with: ultrafield masks {in_shell(self.root)}"

    @property
    def train(self) -> Split:
        """The training views."""
        return self.splits["train"]

    @property
    def bounded(self) -> bool:
        """Whether everything lies in [-0.5, 0.5]³."""
        return self.half_extent <= 0.5

    @property
    def cascades(self) -> int:
        """Number of nested boxes of half edge 0.5 · 2^k needed to cover `half_extent`."""
        return max(0, int(np.ceil(np.log2(self.half_extent / 0.5)))) + 1

    @property
    def most_pixels(self) -> int:
        """Pixels of the largest picture of all views, at working size."""
        return max(split.normalised_cameras.most_pixels for split in self.splits.values())

    @property
    def has_masks(self) -> bool:
        """Whether every training view has its masks."""
        return all(view.masks is not None for view in self.train)

    @property
    def has_some_masks(self) -> bool:
        """Whether any training view has masks."""
        return any(view.masks is not None for view in self.train)
