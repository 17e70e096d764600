"""Views whose label maps and depth exporters ask for, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..cameras import Cameras


@dataclass(frozen=True, eq=False)
class ExportViews:
    """V views of one or more splits.

    Attributes:
        splits: Split of each view [V].
        names: Its name within the split [V].
        files: File name of its picture [V].
        cameras: Their cameras, the surface's frame, of the depth maps' sizes.
        depth: Reads the z-depth of a view [H, W] float32, the surface's units; 0 where nothing is seen.
        labels: Reads its label maps at the exported levels [L, H, W] int32, lasting ids; −1 for none.
    """

    splits: tuple[str, ...]
    names: tuple[str, ...]
    files: tuple[str, ...]
    cameras: Cameras
    depth: Callable[[int], np.ndarray]
    labels: Callable[[int], np.ndarray]

    def __len__(self) -> int:
        return len(self.names)

    def of_split(self, split: str) -> list[int]:
        """Indices of the views of a split."""
        return [index for index, name in enumerate(self.splits) if name == split]

    @property
    def split_names(self) -> list[str]:
        """The splits, in order."""
        return list(dict.fromkeys(self.splits))
