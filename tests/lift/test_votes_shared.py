"""Votes of views that two processes share out, against those of one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy_scene import Toy

from ultrafield.errors import RunError
from ultrafield.lift.edges import neighbor_edges
from ultrafield.lift.votes import mask_votes
from ultrafield.scene import Split
from ultrafield.sharing import Team
from ultrafield.surface import Surface


@pytest.mark.parametrize("masked", [range(10), (4,), (0, 3, 5)])
def test_two_processes_count_what_one_counts(pair: Team, toy: Toy, toy_surface: Surface, masked) -> None:
    train = toy.scene.train
    views = tuple(view if index in masked else replace(view, masks=None) for index, view in enumerate(train))
    scene = replace(toy.scene, splits={"train": Split(views, train.normalised_cameras)})
    edges = neighbor_edges(toy_surface, 8)
    for found, expected in zip(
        mask_votes(toy_surface, edges, scene, team=pair), mask_votes(toy_surface, edges, scene), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        assert expected.any()


def test_without_masks_nothing_is_asked_of_others(pair: Team, toy: Toy, toy_surface: Surface) -> None:
    train = toy.scene.train
    views = tuple(replace(view, masks=None) for view in train)
    scene = replace(toy.scene, splits={"train": Split(views, train.normalised_cameras)})
    with pytest.raises(RunError, match="no training view has masks"):
        mask_votes(toy_surface, np.zeros((0, 2), np.int64), scene, team=pair)
    assert pair.finish() == []
