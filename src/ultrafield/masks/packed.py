"""All masks of a view in one file: an `.npz` archive with a `MaskSet` as it lies in memory, and what is known of them.

    format       1
    rows         the distinct memberships [C, ceil(M / 64)] uint64, bit m % 64 of word m // 64 for mask m
    numbers      which of them each pixel has [H, W], unsigned integers
    areas        pixels of each mask [M] int64
    inside same  the hierarchy, eight flags in a byte [M, ceil(M / 8)] uint8, the first in the highest bit

and of each mask, where its maker knows them, `predicted_iou` and `stability_score` [M] and `point_coords` [M, 2], the
(x, y) in pixels at which it was found, float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ..errors import SceneError
from ..io import atomic_write, write_npz_into
from ..reading import npz_headers, read_npz
from .distinct import mask_areas, row_counts
from .mask_set import MaskSet
from .packing import check_budget
from .sizes import Size

ENDING = ".npz"
QUALITIES = {"predicted_iou": (), "stability_score": (), "point_coords": (2,)}  # and the shapes of each mask's
_FORMAT = 1
_SET = ("rows", "numbers", "areas", "inside", "same")


def write_packed(
    file: Path,
    masks: MaskSet,
    qualities: Mapping[str, np.ndarray] | None = None,
    *,
    announce: Callable[[Path], None] = lambda file: None,
) -> None:
    """Write the masks of a view.

    Args:
        file: Target, `.npz`.
        masks: The masks.
        qualities: What is known of each, by the names of the module.
        announce: Called with the file before it appears under its name.
    """
    with atomic_write(file) as stream:
        write_npz_into(stream, _arrays(masks) | dict(qualities or {}))
        stream.flush()
        announce(Path(stream.name))


def is_packed(file: Path) -> bool:
    """Whether a file is one that `write_packed` wrote, by its header; errors as for `read_npz`."""
    return {"format", *_SET} <= npz_headers(file).keys()


def packed_header(file: Path) -> tuple[int, Size]:
    """Number, height and width of the masks in a file, as its header says."""
    headers = npz_headers(file)
    (size, _), (areas, _) = (headers.get(name, ((), None)) for name in ("numbers", "areas"))
    if len(size) != 2 or len(areas) != 1:
        raise _fault(file, "numbers of pixels and areas of masks")
    return areas[0], (size[0], size[1])


def read_packed(file: Path) -> MaskSet:
    """Read the masks of a view.

    Raises:
        SceneError: The file is broken, of another format, or its arrays do not fit each other.
    """
    count, size = packed_header(file)
    check_budget(file, count, size)
    arrays = read_npz(file, ("format", *_SET), error=SceneError)
    if set(arrays) != {"format", *_SET} or arrays["format"].shape != () or int(arrays["format"]) != _FORMAT:
        raise _fault(file, f"format {_FORMAT}")
    _check(file, arrays)
    inside, same = (np.unpackbits(arrays[name], axis=-1, count=count).view(bool) for name in ("inside", "same"))
    return MaskSet._trusted((arrays["rows"], arrays["numbers"]), arrays["areas"], inside, same)


def read_qualities(file: Path) -> dict[str, np.ndarray]:
    """What a file knows of each of its masks, by the names of the module; empty if nothing."""
    count, _ = packed_header(file)
    arrays = read_npz(file, QUALITIES, error=SceneError)
    for name, array in arrays.items():
        if array.shape != (count, *QUALITIES[name]) or array.dtype.kind != "f":
            raise _fault(file, f"{name} of {count} masks")
    return arrays


def _arrays(masks: MaskSet) -> dict[str, np.ndarray]:
    flags = {name: np.packbits(getattr(masks, name), axis=-1) for name in ("inside", "same")}
    return {"format": np.array(_FORMAT), "rows": masks.rows, "numbers": masks.numbers, "areas": masks.areas} | flags


def _check(file: Path, arrays: dict[str, np.ndarray]) -> None:
    """Raise `SceneError` unless the arrays make a `MaskSet`."""
    rows, numbers, areas = arrays["rows"], arrays["numbers"], arrays["areas"]
    count = len(areas)
    if rows.dtype != np.uint64 or rows.ndim != 2 or rows.shape[1] != -(-count // 64) or len(rows) == 0:
        raise _fault(file, f"memberships of {count} masks")
    if numbers.dtype.kind != "u" or numbers.size == 0 or int(numbers.max()) >= len(rows):
        raise _fault(file, f"numbers of pixels below {len(rows)}")
    if count % 64 and (rows[:, -1] >> np.uint64(count % 64)).any():
        raise _fault(file, f"memberships of {count} masks")
    if areas.dtype != np.int64 or (mask_areas(rows, row_counts(numbers, len(rows)), count) != areas).any():
        raise _fault(file, "the areas of its masks")
    if count and areas.min() < 1:
        raise _fault(file, "masks that hold a pixel")
    for name in ("inside", "same"):
        if arrays[name].dtype != np.uint8 or arrays[name].shape != (count, -(-count // 8)):
            raise _fault(file, f"flags {name!r} of {count} masks")


def _fault(file: Path, expected: str) -> SceneError:
    return SceneError(f"{file}: no packed masks as ultrafield writes them; expected {expected}")
