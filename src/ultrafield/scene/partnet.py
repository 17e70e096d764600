"""PartNet renderings of the published experiments: view-XX/{shape-rgb.png, meta.txt}."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..cameras import Similarity
from ..errors import SceneError
from ..reading import read_bytes
from .frames import Frame, Listing, ListingOptions
from .normalize import OBJECT_NEAR
from .optics import Optics
from .pictures import PictureFinder
from .splits import drop_missing, hold_out_views
from .values import as_float, shown

BLACK = (0.0, 0.0, 0.0)
PICTURE = "shape-rgb.png"
FIELD_OF_VIEW = math.radians(50.0)
_PUBLISHED_SCALE = 2.0
_META_BYTES = 1 << 16  # of meta.txt, which holds four numbers
_LARGEST = 1e6  # angle in degrees, or radius


def is_partnet(root: Path) -> bool:
    """Whether the folder holds views in this layout."""
    return next(root.glob("view-*/meta.txt"), None) is not None


def list_partnet(root: Path, options: ListingOptions) -> Listing:
    """List the views in the order of their folders; view-XX is called XX.

    The radius is doubled on the way to the normalised frame, as published.

    Args:
        root: The scene folder.
        options: How it is listed; told about missing pictures.

    Raises:
        SceneError: A view without usable `meta.txt`, pictures missing.
    """
    frames = [_read_frame(folder) for folder in sorted(root.glob("view-*")) if folder.is_dir()]
    if not frames:
        raise SceneError(f"{root}: holds no view-XX folder")
    allowed = options.allow_missing
    present = drop_missing(root, "its view-XX folders", frames, allow_missing=allowed, warn=options.warn)
    splits = hold_out_views(present, options.hold_out)
    # Masks lie in our folder or in the published one, seg/XX.
    places: dict[str, tuple[str, ...]] = {split: (split, "") for split in splits}
    return Listing("partnet", splits, Similarity(scale=_PUBLISHED_SCALE), BLACK, 0.5, OBJECT_NEAR, places)


def orbit_pose(azimuth: float, elevation: float, radius: float) -> np.ndarray:
    """A camera on a sphere that looks at the origin, world x pointing up in its picture.

    The published code builds this pose with the picture's x axis reversed, which amounts to a mirrored world: its
    pictures fit its poses, but both are left-handed. Turning the azimuth the other way round the x axis gives the same
    pictures in a right-handed world.

    Args:
        azimuth: Angle about +x from +z, degrees.
        elevation: Angle above the y-z plane, degrees.
        radius: Distance from the origin.

    Returns:
        The pose [3, 4], OpenCV axes.
    """
    turn, rise = math.radians(azimuth), math.radians(elevation)
    outwards = np.array([math.sin(rise), -math.cos(rise) * math.sin(turn), math.cos(rise) * math.cos(turn)])
    right = np.array([0.0, -math.cos(turn), -math.sin(turn)])
    return np.stack([right, np.cross(-outwards, right), -outwards, radius * outwards], axis=1)


def _read_frame(folder: Path) -> Frame:
    """The frame of one view-XX folder."""
    meta = folder / "meta.txt"
    azimuth, elevation, _, radius = _read_meta(meta)
    frame = Frame(
        name=folder.name.removeprefix("view-"),
        listed=f"{folder.name}/{PICTURE}",
        file=None,
        where=str(meta),
        c2w=orbit_pose(azimuth, elevation, radius),
        optics=Optics(angle=(FIELD_OF_VIEW, None)),
    )
    return replace(frame, file=PictureFinder(folder, ()).find(PICTURE, str(meta)))


def _read_meta(file: Path) -> tuple[float, float, float, float]:
    """The two angles, the unused third and the radius."""
    data = read_bytes(file)
    words = data.decode("utf-8", "replace").split() if len(data) <= _META_BYTES else []
    values = [value for word in words if (value := as_float(word)) is not None]
    if not words or len(values) < len(words):
        raise SceneError(f"{file}: expected four numbers (three angles in degrees, the radius)")
    if len(values) < 4 or not all(abs(value) <= _LARGEST for value in values[:4]) or values[3] < 1 / _LARGEST:
        raise SceneError(f"{file}: expected three finite angles and a positive radius, got {shown(values)}")
    return values[0], values[1], values[2], values[3]
