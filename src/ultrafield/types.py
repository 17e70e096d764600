"""What the stages hand to each other: frozen dataclasses of numpy arrays (no torch, so that they load fast).

Frames: *user* is the frame of the files the user gave; *normalised* is the one training works in (a bounded scene
fills [-0.5, 0.5]³). Cameras look along +z with x right and y down (OpenCV); pixel centres lie at +0.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path

import numpy as np

from .errors import check_shape


@dataclass(frozen=True)
class Similarity:
    """The map x ↦ scale · rotation · x + translation.

    Attributes:
        scale: Positive factor.
        rotation: [3, 3], float64, orthonormal with determinant 1.
        translation: [3], float64.
    """

    scale: float = 1.0
    rotation: np.ndarray = field(default_factory=lambda: np.eye(3))
    translation: np.ndarray = field(default_factory=lambda: np.zeros(3))

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Map points [..., 3]; the dtype of `points` is kept."""
        mapped = self.scale * (points @ self.rotation.T) + self.translation
        return mapped.astype(points.dtype, copy=False)

    def apply_poses(self, c2w: np.ndarray) -> np.ndarray:
        """Map camera-to-world poses [N, 3, 4]: centres as points, axes by the rotation alone."""
        axes = self.rotation @ c2w[:, :, :3]  # [N, 3, 3]
        centres = self.apply(c2w[:, :, 3])  # [N, 3]
        return np.concatenate([axes, centres[:, :, None]], axis=2)

    def inverse(self) -> Similarity:
        """The similarity that undoes this one."""
        rotation = self.rotation.T
        return Similarity(1.0 / self.scale, rotation, -(rotation @ self.translation) / self.scale)


class Lens(IntEnum):
    """Lens model of a camera; parameters are OpenCV's, in OpenCV's order."""

    PINHOLE = 0
    OPENCV = 1  # k1 k2 p1 p2 k3 k4 k5 k6
    FISHEYE = 2  # k1 k2 k3 k4


@dataclass(frozen=True)
class Cameras:
    """N cameras, each with its own size and lens.

    Attributes:
        c2w: Camera-to-world poses [N, 3, 4], float64, OpenCV axes.
        intrinsics: fx, fy, cx, cy in pixels [N, 4], float64.
        sizes: Width, height in pixels [N, 2], int64.
        lenses: `Lens` of each camera [N], int64.
        distortion: OpenCV parameters, zero-padded [N, 8], float64.
    """

    c2w: np.ndarray
    intrinsics: np.ndarray
    sizes: np.ndarray
    lenses: np.ndarray
    distortion: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.c2w)
        check_shape("c2w", self.c2w, (count, 3, 4))
        check_shape("intrinsics", self.intrinsics, (count, 4))
        check_shape("sizes", self.sizes, (count, 2))
        check_shape("lenses", self.lenses, (count,))
        check_shape("distortion", self.distortion, (count, 8))

    def __len__(self) -> int:
        return len(self.c2w)

    def __getitem__(self, index: slice | np.ndarray | list[int]) -> Cameras:
        """A subset of the cameras, in the order asked for."""
        arrays = (self.c2w, self.intrinsics, self.sizes, self.lenses, self.distortion)
        return Cameras(*(array[index] for array in arrays))

    def resized(self, sizes: np.ndarray) -> Cameras:
        """The same cameras taking pictures of other sizes [N, 2] (width, height)."""
        factor = sizes / self.sizes  # [N, 2]
        return replace(self, intrinsics=self.intrinsics * np.concatenate([factor, factor], axis=1), sizes=sizes)

    def moved(self, similarity: Similarity) -> Cameras:
        """The same cameras in the frame that `similarity` maps to."""
        return replace(self, c2w=similarity.apply_poses(self.c2w))

    @staticmethod
    def pinhole(c2w: np.ndarray, intrinsics: np.ndarray, sizes: np.ndarray) -> Cameras:
        """Cameras without distortion; `intrinsics` [4] and `sizes` [2] may be shared by all."""
        count = len(c2w)
        return Cameras(
            np.asarray(c2w, np.float64)[:, :3],
            np.broadcast_to(np.asarray(intrinsics, np.float64), (count, 4)).copy(),
            np.broadcast_to(np.asarray(sizes, np.int64), (count, 2)).copy(),
            np.zeros(count, np.int64),
            np.zeros((count, 8)),
        )


@dataclass(frozen=True)
class MaskSet:
    """The masks of one view, packed so that one pixel's memberships lie side by side.

    Attributes:
        bits: [H, W, ceil(M / 64)], uint64; bit m % 64 of word m // 64 says whether mask m holds the pixel.
        areas: Pixels per mask [M], int64; none is empty.
        inside: [M, M] bool; inside[i, j]: mask i lies inside mask j (|i ∩ j| / |i| > 0.95 and IoU < 0.9).
        same: [M, M] bool; IoU > 0.9 (true on the diagonal).
    """

    bits: np.ndarray
    areas: np.ndarray
    inside: np.ndarray
    same: np.ndarray

    def __len__(self) -> int:
        return len(self.areas)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.bits.shape[0], self.bits.shape[1]

    def mask(self, index: int) -> np.ndarray:
        """Mask `index` as [H, W] bool."""
        return (self.bits[:, :, index // 64] >> np.uint64(index % 64)) & np.uint64(1) != 0

    def masks(self) -> np.ndarray:
        """All masks as [M, H, W] bool."""
        if len(self) == 0:
            return np.zeros((0, *self.shape), bool)
        return np.stack([self.mask(index) for index in range(len(self))])


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
    cameras: Cameras

    def __post_init__(self) -> None:
        if len(self.views) != len(self.cameras):
            raise ValueError(f"split: {len(self.views)} views but {len(self.cameras)} cameras")

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


@dataclass(frozen=True)
class RenderedView:
    """What a radiance field shows to one camera.

    Attributes:
        color: [H, W, 3] float32 in [0, 1].
        depth: Median z-depth [H, W] float32, normalised units; 0 where the opacity is at most one half.
        opacity: [H, W] float32 in [0, 1].
    """

    color: np.ndarray
    depth: np.ndarray
    opacity: np.ndarray


@dataclass(frozen=True)
class Surface:
    """Voxel-thinned points on the surfaces that the training views see.

    Attributes:
        points: [N, 3] float32, user's frame.
        normals: [N, 3] float32, unit length, towards the cameras.
        colors: [N, 3] uint8 sRGB.
        visible: Which training view sees which point [V, ceil(N / 8)] uint8, bit-packed along N (`np.packbits`,
            little-endian bit order).
        voxel: Edge of the thinning voxels, user's units; the typical distance of neighbouring points.
    """

    points: np.ndarray
    normals: np.ndarray
    colors: np.ndarray
    visible: np.ndarray
    voxel: float

    def __len__(self) -> int:
        return len(self.points)

    def seen_from(self, view: int) -> np.ndarray:
        """Which points training view `view` sees [N] bool."""
        return np.unpackbits(self.visible[view], count=len(self), bitorder="little").astype(bool)


@dataclass(frozen=True)
class AffinityGraph:
    """Neighbouring surface points and how different the evidence says they are.

    Attributes:
        num_nodes: Number of points N.
        edges: [E, 2] int64, each undirected edge once, first index smaller.
        dissimilarity: [E] float32, finite, in [0, bound].
        evidence: How much was seen of each edge (summed weights, views or pairs) [E] float32; 0 means a guess.
        bound: Largest possible dissimilarity (1 for votes, 2 for distances of unit features); components that no edge
            joins are joined at this height.
    """

    num_nodes: int
    edges: np.ndarray
    dissimilarity: np.ndarray
    evidence: np.ndarray
    bound: float


@dataclass(frozen=True)
class Tree:
    """A binary merge tree over n leaves: node ids 0 … n−1 are leaves, n … 2n−2 merges, 2n−2 the root.

    Attributes:
        parents: [2n − 1] int64; a parent's id is larger than its children's; the root is its own parent.
        heights: [2n − 1] float32; 0 for leaves, never smaller at a parent than at its child.
        sizes: Leaves below each node [2n − 1] int64.
    """

    parents: np.ndarray
    heights: np.ndarray
    sizes: np.ndarray

    def __post_init__(self) -> None:
        check_shape("heights", self.heights, self.parents.shape)
        check_shape("sizes", self.sizes, self.parents.shape)

    @property
    def num_leaves(self) -> int:
        """Number of leaves n."""
        return (len(self.parents) + 1) // 2
