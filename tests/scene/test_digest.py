"""Digests of scenes: equal for what is equal, however it is stored, and others for anything else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ultrafield.cameras import Cameras, Lens
from ultrafield.masks import MaskSet
from ultrafield.masks.hierarchy import build_mask_set
from ultrafield.scene import Scene
from ultrafield.scene.digest import SceneDigest, digest_scene
from ultrafield.scene.view import Photograph

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


def as_files_may_hold_them(masks: MaskSet) -> MaskSet:
    """The same masks with wider numbers, one membership twice, and one that no pixel has."""
    rows = np.concatenate([masks.rows, masks.rows[:1], ~masks.rows[:1] & np.uint64(31)])
    numbers = masks.numbers.astype(np.uint32)
    numbers[numbers == 0] = np.where(np.arange((numbers == 0).sum()) % 2, len(masks.rows), 0)
    return MaskSet._trusted((rows, numbers), masks.areas, masks.inside, masks.same)


def test_how_files_number_memberships_says_nothing() -> None:
    kept = sets(stacks())
    other = [as_files_may_hold_them(masks) for masks in kept if masks is not None]
    np.testing.assert_array_equal(other[1].bits, kept[1].bits)
    assert digest(images(), other) == digest(images(), kept)


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


def changed_view(**changes: Any) -> Callable[[Scene], Scene]:
    def change(scene: Scene) -> Scene:
        first, *others = scene.train.views
        return replace(scene, splits={"train": replace(scene.train, views=(first.changed(**changes), *others))})

    return change


def changed_cameras(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Scene], Scene]:
    def apply(scene: Scene) -> Scene:
        cameras = scene.train.normalised_cameras
        other = replace(cameras, **{name: change(getattr(cameras, name).copy())})
        return replace(scene, splits={"train": replace(scene.train, normalised_cameras=other)})

    return apply


def first_set(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        array.reshape(-1)[0] = value
        return array

    return change


def renamed_split(scene: Scene) -> Scene:
    return replace(scene, splits={"train": scene.train, "val": scene.train})


@pytest.mark.parametrize(
    "change",
    [
        changed_view(alpha=np.full(SIZE, 9, np.uint8)),
        changed_view(valid=np.zeros(SIZE, bool)),
        changed_view(photograph=Photograph(np.zeros((12, 16, 3), np.uint8))),
        changed_view(name="another"),
        changed_cameras("c2w", lambda poses: poses + np.array([0, 0, 0, 0.1])),
        changed_cameras("intrinsics", first_set(9.5)),
        changed_cameras("lenses", lambda lenses: np.full_like(lenses, Lens.OPENCV)),
        changed_cameras("distortion", first_set(0.1)),
        lambda scene: replace(scene, background=np.float32([0, 0.5, 1])),
        lambda scene: replace(scene, half_extent=0.75 * scene.half_extent),
        lambda scene: replace(scene, to_user=replace(scene.to_user, scale=2 * scene.to_user.scale)),
        renamed_split,
    ],
)
def test_everything_that_training_sees_counts(change: Callable[[Scene], Scene]) -> None:
    scene = Scene.from_arrays(images(), cameras())
    assert digest_scene(change(scene)).pictures != digest_scene(scene).pictures
