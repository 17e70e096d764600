"""The masks of one picture, wherever and however they are stored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..sizes import Size


@dataclass(frozen=True, eq=False)
class Listed(ABC):
    """The masks of one picture.

    Attributes:
        place: The file or folder that holds them, for messages.
        item: What they are called there: a picture's file name, with folders and ending if it has them.
    """

    place: Path
    item: str

    @abstractmethod
    def size(self) -> Size:
        """Height and width of the masks; errors as for `read`."""

    @abstractmethod
    def read(self) -> tuple[int, Iterator[np.ndarray]]:
        """How many masks there are, and each of them [H, W] bool, one after the other; some may be empty.

        Raises:
            SceneError: They cannot be read; the text names the file and the item. It may be raised on the way.
        """

    def qualities(self) -> dict[str, np.ndarray]:
        """What is known of each mask, by the names of `packed.QUALITIES`; errors as for `read`."""
        return {}
