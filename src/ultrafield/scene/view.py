"""Views and splits: pictures with their masks, and the cameras that took them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..cameras import Cameras, Similarity
from ..errors import check_shape
from ..masks import MaskSet
from ..masks.read import size_text
from .images import PictureFile


@dataclass(frozen=True, eq=False)
class Photograph:
    """A picture at its own size, where its view works at the smaller size of the masks.

    Attributes:
        image: [H, W, 3] uint8 sRGB, blended on the background.
        alpha: Coverage [H, W] uint8; None for a picture without.
        valid: Which pixels are to be used [H, W] bool; None for all.
    """

    image: np.ndarray
    alpha: np.ndarray | None = None
    valid: np.ndarray | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.image.shape[1], self.image.shape[0]


class _Image:
    """The attribute `image` of a view: an array, or read anew from its file whenever it is asked for."""

    def __get__(self, view: View | None, owner: type) -> np.ndarray | None:
        if view is None:
            raise AttributeError("image")
        image = view._image
        return image.read() if isinstance(image, PictureFile) else image

    def __set__(self, view: View, image: np.ndarray | PictureFile | None) -> None:
        object.__setattr__(view, "_image", image)


@dataclass(frozen=True, eq=False)
class View:
    """One picture of a scene.

    Attributes:
        name: Unique within its split; the stem of every file written for the view.
        image: [H, W, 3] uint8 sRGB at working size, blended on the background; None for a camera without a picture.
            Read anew whenever it is asked for, where all pictures of a scene would take too much memory.
        masks: The view's 2D masks, of the picture's size or another one of the same proportions; or None.
        file: The picture on disk, for messages.
        alpha: Coverage [H, W] uint8 of a picture that has it, before blending; None otherwise.
        valid: Which pixels are to be used [H, W] bool; None for all. The others are not trained on, count for no vote
            and are left out of comparisons.
        photograph: The picture at its own size, from which geometry is learned; None where `image` has that size.

    `ValueError` names the view if an array has another dtype or shape.
    """

    name: str
    image: np.ndarray | None = None
    masks: MaskSet | None = None
    file: Path | None = None
    alpha: np.ndarray | None = None
    valid: np.ndarray | None = None
    photograph: Photograph | None = None
    _image: np.ndarray | PictureFile | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for attribute, shape, dtype in (
            ("image", (None, None, 3), np.dtype(np.uint8)),
            ("alpha", (None, None), np.dtype(np.uint8)),
            ("valid", (None, None), np.dtype(bool)),
        ):
            array = self._image if attribute == "image" else getattr(self, attribute)
            if array is None or isinstance(array, PictureFile):
                continue
            array = np.ascontiguousarray(array)
            check_shape(f"view {self.name!r}: {attribute}", array, shape)
            if array.dtype != dtype:
                raise ValueError(f"view {self.name!r}: {attribute}: expected {dtype}, got {array.dtype}")
            object.__setattr__(self, attribute, array)
        for attribute in ("alpha", "valid"):
            array = getattr(self, attribute)
            if self.shape is not None and array is not None and self.shape != array.shape:
                listed = " and ".join(size_text(shape) for shape in (self.shape, array.shape))
                raise ValueError(f"view {self.name!r}: image and {attribute} must have one size, got {listed}")

    @property
    def shape(self) -> tuple[int, int] | None:
        """Height and width of the picture; None if there is none."""
        return None if self._image is None else (self._image.shape[0], self._image.shape[1])

    def changed(self, **changes: Any) -> View:
        """The view with other attributes; one that is read from its file is not read for that."""
        return replace(self, **({"image": self._image} | changes))

    def __repr__(self) -> str:
        size = "no picture" if self.shape is None else f"{self.shape[1]}×{self.shape[0]} pixels"
        return f"View({self.name!r}, {size}, {'no' if self.masks is None else len(self.masks)} masks)"


# In the class body it would be a default value.
View.image = _Image()  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class Split:
    """The views of one split and their cameras, in the same order.

    Attributes:
        views: Views with unique names.
        normalised_cameras: Their cameras in the normalised frame, of the sizes of the pictures.
        to_user: Maps normalised coordinates to the user's frame; a `Scene` gives its own to its splits.

    `ValueError` names the view whose camera has another size, and names that are not unique.
    """

    views: tuple[View, ...]
    normalised_cameras: Cameras
    to_user: Similarity = field(default_factory=Similarity)

    def __post_init__(self) -> None:
        object.__setattr__(self, "views", tuple(self.views))
        if len(self.views) != len(self.normalised_cameras):
            raise ValueError(f"split: {len(self.views)} views but {len(self.normalised_cameras)} cameras")
        for name, times in Counter(view.name for view in self.views).items():
            if times > 1:
                raise ValueError(f"split: {times} views are called {name!r}")
        for view, (width, height) in zip(self.views, self.normalised_cameras.sizes.tolist(), strict=True):
            if view.shape not in (None, (height, width)):
                raise ValueError(
                    f"view {view.name!r}: expected {size_text((height, width))} as its camera has, "
                    f"got {size_text(view.shape)}"
                )

    @property
    def cameras(self) -> Cameras:
        """The cameras in the user's frame and units."""
        return self.normalised_cameras.moved(self.to_user)

    def __len__(self) -> int:
        return len(self.views)

    def __iter__(self) -> Iterator[View]:
        return iter(self.views)

    def __repr__(self) -> str:
        sizes = {view.shape for view in self.views if view.shape is not None}
        size = " of {1}×{0} pixels".format(*next(iter(sizes))) if len(sizes) == 1 else f" of {len(sizes)} sizes"
        masked = sum(view.masks is not None for view in self.views)
        return f"Split({len(self)} views{size if sizes else ' without pictures'}, {masked} with masks)"
