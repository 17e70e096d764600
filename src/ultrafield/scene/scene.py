"""A scene: views with their cameras and masks, in splits.

Frames: *user* is the frame of the files the user gave; *normalised* is the one training works in (a bounded scene
fills [-0.5, 0.5]³).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..cameras import Cameras, Similarity
from ..masks import MaskSet


@dataclass(frozen=True)
class View:
    """One picture of a scene.

    Attributes:
        name: Unique within its split; the stem of every file written for the view.
        image: [H, W, 3] uint8 sRGB at working size, blended on the background; None for a camera without a picture.
        masks: The view's 2D masks at working size, or None.
        file: The picture on disk, for messages.
        alpha: Coverage [H, W] uint8 of a picture that has it, before blending; None otherwise.
    """

    name: str
    image: np.ndarray | None = None
    masks: MaskSet | None = None
    file: Path | None = None
    alpha: np.ndarray | None = None


@dataclass(frozen=True)
class Split:
    """The views of one split and their cameras (normalised frame), in the same order."""

    views: tuple[View, ...]
    normalised_cameras: Cameras

    def __post_init__(self) -> None:
        if len(self.views) != len(self.normalised_cameras):
            raise ValueError(f"split: {len(self.views)} views but {len(self.normalised_cameras)} cameras")

    def __len__(self) -> int:
        return len(self.views)

    def __iter__(self) -> Iterator[View]:
        return iter(self.views)


@dataclass(frozen=True)
class Scene:
    """A scene as every reader delivers it.

    Attributes:
        name: Folder name, for titles.
        root: The scene folder.
        layout: blender-hs, nerf-synthetic, nerfstudio or partnet.
        splits: "train" always; "val" and "val_rotate" where they exist.
        to_user: Maps normalised coordinates to the user's frame.
        background: Known background colour [3], float32 in [0, 1], or None for a real capture.
        half_extent: Half the edge of the box that must be modelled, normalised units: 0.5 for a bounded scene, larger
            (0.5 · 2^k, covered by k + 1 cascades) for a capture with surroundings.
        near: Distance from the camera at which rays begin, normalised units.
    """

    name: str
    root: Path
    layout: str
    splits: dict[str, Split]
    to_user: Similarity
    background: np.ndarray | None
    half_extent: float = 0.5
    near: float = 0.01

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
    def has_masks(self) -> bool:
        """Whether every training view has its masks."""
        return all(view.masks is not None for view in self.train)


@dataclass(frozen=True)
class GroundTruth:
    """Exact segmentation (and depth) of one split, as far as the dataset has it.

    Attributes:
        names: View names, aligned with the split [V].
        parts: Part ids [V, H, W], int32, 0 for background.
        objects: Object ids [V, H, W], int32, 0 for background.
        depth: z-depth in *normalised* units [V, H, W], float32, 0 where nothing is seen; or None.
        depth_exact: Whether `depth` is exact rather than decoded from 8 bits.
        visible: [V, H, W] bool: pixels also seen by the paired rotated view (for "val") or by the validation view
            (for "val_rotate"); or None.
    """

    names: tuple[str, ...]
    parts: np.ndarray
    objects: np.ndarray
    depth: np.ndarray | None
    depth_exact: bool
    visible: np.ndarray | None
