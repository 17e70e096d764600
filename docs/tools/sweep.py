"""Makes the moving picture of the README: a cut that climbs from small parts to the whole scene, and back.

    ultrafield synth still-life tray --size 480 --val-views 4 --seed 3 --light-samples 8 --sky-samples 16
    python docs/tools/sweep.py tray docs/images/sweep.gif

The scene is made by `ultrafield synth`; its exact depth stands for geometry, its masks imitate Segment Anything's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

import ultrafield as uf
from ultrafield.export import node_colors

VIEW = "r_11"
WIDTH = 400  # of each of the two pictures, pixels
STEPS, HOLD = 26, 6  # cuts of the sweep; pictures that the two ends stand still
MILLISECONDS = 110
FEWEST, MOST = 2, 160  # segments that one can see
COLORS = 160
_INK = (40, 40, 40)
_MARGIN = 6  # pixels


def main() -> None:
    """Read the scene, build its tree, and write the moving picture."""
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    scene = uf.load_scene(source)
    with np.load(source / "exact" / "train.npz") as exact:
        depths = exact["depth"]
    cameras = scene.train.cameras
    seg = uf.segment(uf.surface_from_depth(depths, cameras, [view.image for view in scene.train]), scene)
    view = [view.name for view in scene.train].index(VIEW)
    labels = next(
        iter(seg.label(cameras[[view]], depths=depths[[view]], heights=(heights := sweep_heights(seg)).tolist()))
    )
    colors = node_colors(seg.tree)
    photo = scene.train.views[view].image
    pictures = [
        frame(photo, ids, colors, counted(seg.cut(height))) for ids, height in zip(labels, heights, strict=True)
    ]
    order = [*[0] * HOLD, *range(len(pictures)), *[len(pictures) - 1] * HOLD, *range(len(pictures) - 2, 0, -1)]
    write(target, [pictures[index] for index in order])
    print(f"{target}: {target.stat().st_size / 1024:.0f} KB")


def counted(nodes: np.ndarray) -> int:
    """How many segments have at least a thousandth of the points."""
    return int((np.unique(nodes, return_counts=True)[1] >= len(nodes) / 1000).sum())


def sweep_heights(seg: uf.Segmentation) -> np.ndarray:
    """Heights at which the number of visible segments falls in even ratios [STEPS], ascending."""
    tried = np.unique(np.quantile(seg.tree.heights[len(seg.surface) :], 1 - np.geomspace(1e-6, 0.05, 400)))
    counts = np.array([counted(seg.cut(height)) for height in tried])
    wanted = np.geomspace(min(MOST, counts.max()), FEWEST, STEPS)
    nearest = [int(np.abs(np.log(counts) - np.log(number)).argmin()) for number in wanted]
    return tried[np.unique(nearest)]


def frame(photo: np.ndarray, ids: np.ndarray, colors: np.ndarray, count: int) -> np.ndarray:
    """Photograph and segments side by side, with the number of segments below."""
    painted = np.full_like(photo, 255)
    seen = ids >= 0
    shade = 0.65 + 0.35 * photo[seen].mean(axis=1, keepdims=True) / 255  # a little of the light
    painted[seen] = np.clip(colors[ids[seen]] * shade, 0, 255).astype(np.uint8)
    both = [cropped(picture, seen) for picture in (photo, painted)]
    page = np.concatenate([np.concatenate(both, axis=1), np.full((34, 2 * WIDTH, 3), 255, np.uint8)])
    text = f"{count} segments" if count > 1 else "1 segment"
    size = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, 0.6, 1)[0][0]
    cv2.putText(
        page,
        text,
        (WIDTH + (WIDTH - size) // 2, page.shape[0] - 12),
        cv2.FONT_HERSHEY_DUPLEX,
        0.6,
        _INK,
        1,
        cv2.LINE_AA,
    )
    return page


def cropped(picture: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The part of a picture in which something is seen [H, W], with a margin, scaled to the width of a tile."""
    rows, columns = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
    part = picture[max(rows[0] - _MARGIN, 0) : rows[-1] + _MARGIN, max(columns[0] - _MARGIN, 0) : columns[-1] + _MARGIN]
    return cv2.resize(part, (WIDTH, round(WIDTH * part.shape[0] / part.shape[1])), interpolation=cv2.INTER_AREA)


def write(target: Path, pictures: list[np.ndarray]) -> None:
    """Write a GIF with one palette for all pictures, so that what stands still costs nothing."""
    sheet = Image.fromarray(np.concatenate(pictures[:: max(1, len(pictures) // 8)]))
    palette = sheet.quantize(COLORS, dither=Image.Dither.NONE)
    frames = [Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    target.parent.mkdir(parents=True, exist_ok=True)
    frames[0].save(target, save_all=True, append_images=frames[1:], duration=MILLISECONDS, loop=0, optimize=False)


if __name__ == "__main__":
    main()
