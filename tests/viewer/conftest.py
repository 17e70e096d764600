"""The toy scene, segmented; its boxes are segments of the tree."""

from __future__ import annotations

import numpy as np
import pytest
from toy_scene import Toy

import ultrafield as uf
from ultrafield.surface import Surface
from ultrafield.viewer.session import Session


@pytest.fixture(scope="session")
def segmented_toy(toy: Toy, toy_surface: Surface) -> uf.Segmentation:
    return uf.segment(toy_surface, toy.scene)


@pytest.fixture
def session(segmented_toy: uf.Segmentation) -> Session:
    return Session(segmented_toy)


@pytest.fixture
def boxes(session: Session, toy_ids: np.ndarray) -> dict[int, int]:
    """The lasting id of the largest segment that lies within each part, by its number."""
    found = {}
    for entry in range(len(session.hierarchy)):
        node = int(session.ids[session.hierarchy.nodes[entry]])
        parts, counts = np.unique(toy_ids[session.leaves_of((node,))], return_counts=True)
        if counts.max() > 0.95 * counts.sum():
            part = int(parts[counts.argmax()])
            if (
                part not in found
                or session.tree.sizes[session.node(node)] > session.tree.sizes[session.node(found[part])]
            ):
                found[part] = node
    return found
