"""Pictures of a report as data URIs."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np

from ...cameras.pixels import resize_nearest
from ...io import encode_image
from ...parallel import in_threads
from ..pictures import scaled_to_height
from ..segments import Segments
from .content import ViewMaps

EDGE = 420  # pixels of a large picture's longer edge
_THUMBNAIL = 56
_MARGIN = 0.25  # around a segment in its thumbnail, as a part of its size
_FADED = 0.35  # of what lies around a segment


def photo_uri(photo: np.ndarray) -> str:
    """A photograph, reduced, as JPEG."""
    return _uri(".jpg", _reduced(photo))


def map_uri(labels: np.ndarray, colors: np.ndarray) -> str:
    """A label map as PNG in the colours of its segments, see-through where there is none.

    Args:
        labels: Indices of nodes [h, w]; −1 for none.
        colors: sRGB [K, 3], uint8.
    """
    step = max(1, -(-max(labels.shape) // EDGE))
    labels = labels[step // 2 :: step, step // 2 :: step]
    rgba = np.zeros((*labels.shape, 4), np.uint8)
    rgba[..., :3] = colors[labels]
    rgba[..., 3] = np.where(labels >= 0, 255, 0)
    edges = np.zeros(labels.shape, bool)
    edges[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edges[1:] |= labels[1:] != labels[:-1]
    rgba[edges & (labels >= 0), :3] //= 2
    return _uri(".png", rgba)


def thumbnails(segments: Segments, views: Sequence[ViewMaps], most: int) -> dict[int, str]:
    """A picture of each of the largest nodes, cut out of the view that shows most of it.

    Args:
        segments: The nodes.
        views: Views with label maps at all of its levels.
        most: Number of pictures.

    Returns:
        Data URIs by index of the node; nodes that no view shows are left out.
    """
    best: dict[int, tuple[int, int, int]] = {}  # pixels, view, level
    for number, (view, found) in enumerate(zip(views, in_threads(_shown, views), strict=True)):
        for level, (ids, counts) in enumerate(found[: len(segments.levels)]):
            share = counts * (1_000_000 // max(1, view.labels[level].size))
            for index, pixels in zip(segments.index_of_known(ids).tolist(), share.tolist(), strict=True):
                if index >= 0 and pixels > best.get(index, (0, 0, 0))[0]:
                    best[index] = (pixels, number, level)
    wanted = sorted(best, key=lambda index: (-segments.sizes[index], index))[:most]
    made = in_threads(lambda index: _thumbnail(segments, index, views[best[index][1]], best[index][2]), wanted)
    return dict(zip(wanted, made, strict=True))


def _shown(view: ViewMaps) -> list[tuple[np.ndarray, np.ndarray]]:
    """The ids in each label map of a view, and how many pixels have them."""
    return [np.unique(labels, return_counts=True) for labels in view.labels]


def _thumbnail(segments: Segments, index: int, view: ViewMaps, level: int) -> str:
    return cut_out_uri(view.photo, view.labels[level] == segments.ids[index])


def cut_out_uri(photo: np.ndarray, mask: np.ndarray) -> str:
    """A thumbnail of what a mask shows, as JPEG; what lies around it is faded.

    Args:
        photo: [H, W, 3], uint8.
        mask: [h, w], bool, of the same proportions; at least one pixel is set.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    size = max(int(rows[-1] - rows[0]), int(columns[-1] - columns[0]), 4)
    edge = (1.0 + 2.0 * _MARGIN) * size
    middle = np.array([rows[0] + rows[-1] + 1, columns[0] + columns[-1] + 1]) / 2
    low = np.maximum(np.floor(middle - edge / 2), 0).astype(int)
    high = np.minimum(np.ceil(middle + edge / 2), mask.shape).astype(int)
    scale = np.array(photo.shape[:2]) / mask.shape
    begin, end = np.floor(low * scale).astype(int), np.ceil(high * scale).astype(int)
    crop = photo[begin[0] : end[0], begin[1] : end[1]]
    height = max(8, min(_THUMBNAIL, round(_THUMBNAIL * crop.shape[0] / max(crop.shape[:2]))))
    picture = scaled_to_height(crop, height)
    inside = resize_nearest(mask[low[0] : high[0], low[1] : high[1]], picture.shape[:2])
    faded = picture * _FADED + 255 * (1 - _FADED) * 0.9
    return _uri(".jpg", np.where(inside[..., None], picture, faded).astype(np.uint8))


def _reduced(picture: np.ndarray) -> np.ndarray:
    longest = max(picture.shape[:2])
    return picture if longest <= EDGE else scaled_to_height(picture, round(picture.shape[0] * EDGE / longest))


def _uri(ending: str, picture: np.ndarray) -> str:
    kind = {".jpg": "jpeg", ".png": "png"}[ending]
    return f"data:image/{kind};base64,{base64.b64encode(encode_image(ending, picture)).decode()}"
