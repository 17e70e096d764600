"""Digests of scenes: equal for what is equal, however it is stored, and others for anything else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ultrafield.cameras import Cameras
from ultrafield.masks import MaskSet
from ultrafield.masks.hierarchy import build_mask_set
from ultrafield.scene import Scene
from ultrafield.scene.digest import SceneDigest, digest_scene

SIZE, VIEWS = (6, 8), 3


def cameras() -> Cameras:
    poses = np.tile(np.eye(3, 4), (VIEWS, 1, 1))
    poses[:, 0, 3] = np.arange(VIEWS)
    return Cameras.pinhole(poses, [9.0, 9.0, 4.0, 3.0], SIZE[::-1])


def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (VIEWS, *SIZE, 3), np.uint8)


def stacks() -> np.ndarray:
    """Five masks [V, 5, H, W] bool of each view, none of them empty."""
    found = np.random.default_rng(1).random((VIEWS, 5, *SIZE)) < 0.5
    found[..., 0, 0] = True
    return found


def digest(pictures: np.ndarray, masks: list[MaskSet | None]) -> SceneDigest:
    scene = Scene.from_arrays(pictures, cameras())
    views = [view.changed(masks=own) for view, own in zip(scene.train, masks, strict=True)]
    return digest_scene(replace(scene, splits={"train": replace(scene.train, views=tuple(views))}))


def sets(found: np.ndarray) -> list[MaskSet | None]:
    return [build_mask_set(stack) for stack in found]


def in_another_order(masks: MaskSet, seed: int) -> MaskSet:
    """The same masks, whose distinct memberships stand in another order."""
    order = np.random.default_rng(seed).permutation(len(masks.rows))
    rank = np.argsort(order).astype(masks.numbers.dtype)
    parts = masks.rows[order], rank[masks.numbers]
    return MaskSet._trusted(parts, masks.areas, masks.inside, masks.same)


@given(st.integers(0, 2**32))
def test_the_order_of_distinct_memberships_says_nothing(seed: int) -> None:
    kept = sets(stacks())
    moved = [in_another_order(masks, seed + view) for view, masks in enumerate(kept) if masks is not None]
    assert any(not np.array_equal(one.rows, other.rows) for one, other in zip(kept, moved, strict=True))
    assert digest(images(), moved) == digest(images(), kept)


@given(st.integers(0, VIEWS - 1), st.integers(0, 4), st.integers(1, SIZE[0] * SIZE[1] - 1))
def test_every_pixel_of_every_mask_counts_and_pictures_stay_the_same(view: int, mask: int, pixel: int) -> None:
    changed = stacks()
    changed[view, mask].reshape(-1)[pixel] ^= True
    before, after = digest(images(), sets(stacks())), digest(images(), sets(changed))
    assert after.masks != before.masks
    assert after.pictures == before.pictures
    assert after.whole != before.whole


@given(st.integers(0, VIEWS * SIZE[0] * SIZE[1] * 3 - 1))
def test_every_value_of_every_picture_counts_and_masks_stay_the_same(value: int) -> None:
    changed = images()
    changed.reshape(-1)[value] ^= 1
    before, after = digest(images(), sets(stacks())), digest(changed, sets(stacks()))
    assert after.pictures != before.pictures
    assert after.masks == before.masks


def test_views_are_not_interchangeable_and_no_masks_are_not_an_empty_list() -> None:
    own, pictures = sets(stacks()), images()
    before = digest(pictures, own)
    assert digest(pictures, [own[1], own[0], own[2]]).masks != before.masks
    assert digest(pictures[[1, 0, 2]], own).pictures != before.pictures
    nothing = build_mask_set(np.zeros((0, *SIZE), bool))
    assert digest(pictures, [None, *own[1:]]).masks != digest(pictures, [nothing, *own[1:]]).masks


@pytest.mark.parametrize("threads", ["1", "3"])
def test_digests_do_not_depend_on_the_number_of_threads(threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(images(), sets(stacks()))
    monkeypatch.setenv("NUMBA_NUM_THREADS", threads)
    assert digest(images(), sets(stacks())) == before
