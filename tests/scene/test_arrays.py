"""Scenes from arrays."""

from __future__ import annotations

import re
import tracemalloc
from typing import Any

import numpy as np
import pytest

from ultrafield.cameras import Cameras
from ultrafield.cameras.pixels import resize_nearest
from ultrafield.errors import ConfigError, SceneError
from ultrafield.masks import build_mask_set
from ultrafield.scene import Scene, load_ground_truth
from ultrafield.scene.normalize import capture_similarity
from ultrafield.scene.views import photographs_fit

WIDTH, HEIGHT = 16, 12
TARGET = np.array([5.0, -3.0, 2.0])


def around(count: int = 6, *, radius: float = 4.0, focal: float = 20.0) -> Cameras:
    """Cameras on a ring around TARGET that look at it, user's frame."""
    poses = []
    for angle in 2 * np.pi * np.arange(count) / count:
        offset = radius * np.array([0.8 * np.cos(angle), 0.8 * np.sin(angle), 0.6])
        forward = -offset / radius
        right = np.cross(forward, [0.0, 0, 1])
        right /= np.linalg.norm(right)
        poses.append(np.column_stack([right, np.cross(forward, right), forward, TARGET + offset]))
    return Cameras.pinhole(poses, focal, (WIDTH, HEIGHT))


def pictures(count: int = 6) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, HEIGHT, WIDTH, 3), np.uint8)


def test_a_capture() -> None:
    scene = Scene.from_arrays(pictures(), around(), name="things")
    assert (scene.name, scene.root, scene.source, scene.layout) == ("things", None, "things", "arrays")
    assert [view.name for view in scene.train] == [f"view_{index:03d}" for index in range(6)]
    np.testing.assert_array_equal(np.stack([view.image for view in scene.train]), pictures())
    assert scene.background is None
    assert scene.half_extent == 8.0
    np.testing.assert_allclose(scene.train.cameras.c2w, around().c2w, atol=1e-12)
    expected = capture_similarity(around().c2w, "things").apply_poses(around().c2w)
    np.testing.assert_array_equal(scene.train.normalised_cameras.c2w, expected)
    assert not scene.has_masks
    assert load_ground_truth(scene, "train") is None


@pytest.mark.parametrize("focal", [20.0, 3.0])
def test_a_bounded_object_fits_the_box(focal: float) -> None:
    scene = Scene.from_arrays(pictures(), around(focal=focal), background=[0, 0, 0])
    assert scene.bounded
    assert scene.background is not None
    assert scene.background.tolist() == [0, 0, 0]
    focus = scene.to_user.inverse().apply(TARGET)
    np.testing.assert_allclose(focus, 0, atol=0.01)
    distance = np.linalg.norm(scene.train.normalised_cameras.c2w[:, :, 3], axis=1)
    half_width = distance * WIDTH / 2 / focal  # of what the pictures show at the focus
    assert half_width.max() <= 0.625 + 1e-9
    if focal == 20.0:
        np.testing.assert_allclose(distance, 1.5, atol=0.01)  # as in Blender-HS


def test_transparent_pictures_are_blended() -> None:
    rgba = np.concatenate([pictures(), np.full((6, HEIGHT, WIDTH, 1), 255, np.uint8)], axis=3)
    rgba[:, :2, :, 3] = 0
    scene = Scene.from_arrays(list(rgba), around())
    view = scene.train.views[0]
    assert scene.bounded
    assert view.image is not None
    assert view.alpha is not None
    assert (view.image[:2] == 255).all()
    np.testing.assert_array_equal(view.image[2:], pictures()[0, 2:])
    assert (view.alpha[:2] == 0).all()
    dark = Scene.from_arrays(list(rgba), around(), background=(0, 0.2, 0)).train.views[0].image
    assert dark is not None
    assert (dark[:2] == [0, 51, 0]).all()


def test_an_opaque_alpha_channel_is_no_transparency() -> None:
    rgba = np.concatenate([pictures(), np.full((6, HEIGHT, WIDTH, 1), 255, np.uint8)], axis=3)
    scene = Scene.from_arrays(rgba, around())
    assert scene.background is None
    np.testing.assert_array_equal(scene.train.views[3].image, pictures()[3])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_are_scaled(dtype: type) -> None:
    scene = Scene.from_arrays(pictures().astype(dtype) / 255, around())
    np.testing.assert_array_equal(scene.train.views[1].image, pictures()[1])


def test_every_form_of_masks() -> None:
    stack = np.zeros((2, HEIGHT, WIDTH), bool)
    stack[0, :6], stack[1, :, :4] = True, True
    ids = np.zeros((HEIGHT, WIDTH), np.int32)
    ids[:6], ids[6:, :4], ids[6:, 8:] = 7, 300, -1
    masks = [stack, ids, None, build_mask_set(stack), ids.astype(np.uint16) * (ids > 0), stack[0]]
    scene = Scene.from_arrays(pictures(), around(), masks)
    got = [None if view.masks is None else view.masks.masks() for view in scene.train]
    assert got[2] is None
    np.testing.assert_array_equal(got[0], stack)
    np.testing.assert_array_equal(got[1], [ids == 7, ids == 300])
    np.testing.assert_array_equal(got[3], stack)
    np.testing.assert_array_equal(got[4], [ids == 7, ids == 300])
    np.testing.assert_array_equal(got[5], stack[:1])


def test_smaller_masks_decide_the_working_size() -> None:
    stack = np.ones((1, HEIGHT // 2, WIDTH // 2), bool)
    scene = Scene.from_arrays(pictures(), around(), [stack, None, None, None, None, None])
    assert {view.shape for view in scene.train} == {(HEIGHT // 2, WIDTH // 2)}
    assert scene.train.cameras.sizes.tolist() == [[WIDTH // 2, HEIGHT // 2]] * 6
    np.testing.assert_allclose(scene.train.cameras.intrinsics, around().intrinsics / 2)
    mean = pictures()[0].reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 3).mean(axis=(1, 3))
    image = scene.train.views[0].image
    assert image is not None
    np.testing.assert_allclose(image, mean, atol=0.51)
    photograph = scene.train.views[0].photograph
    assert photograph is not None
    np.testing.assert_array_equal(photograph.image, pictures()[0])
    assert all(view.photograph is None for view in Scene.from_arrays(pictures(), around()).train)


def test_photographs_that_take_too_much_memory_are_not_kept(little_memory: None) -> None:
    assert photographs_fit([(4000, 4000)])
    assert not photographs_fit([(4000, 4000)] * 2)


def test_larger_masks_are_resampled_and_lost_ones_dropped() -> None:
    stack = np.zeros((2, 2 * HEIGHT, 2 * WIDTH), bool)
    stack[0, :12], stack[1, 0, 0] = True, True  # the second lies on no pixel's centre
    scene = Scene.from_arrays(pictures(), around(), [stack] * 6)
    masks = scene.train.views[0].masks
    assert masks is not None
    assert masks.areas.tolist() == [6 * WIDTH]


def test_pictures_of_several_sizes() -> None:
    images = [*pictures(3), *[np.zeros((6, 8, 3), np.uint8)] * 3]
    scene = Scene.from_arrays(images, around())  # the cameras list one size, of the same aspect ratio
    assert scene.train.cameras.sizes.tolist() == [[16, 12]] * 3 + [[8, 6]] * 3
    np.testing.assert_allclose(scene.train.cameras.intrinsics[5], [10, 10, 4, 3])


def test_views_are_held_out() -> None:
    scene = Scene.from_arrays(pictures(), around(), hold_out=3)
    assert [view.name for view in scene.splits["val"]] == ["view_000", "view_003"]
    assert [view.name for view in scene.train] == ["view_001", "view_002", "view_004", "view_005"]
    np.testing.assert_allclose(scene.splits["val"].cameras.c2w, around().c2w[[0, 3]], atol=1e-12)


def test_half_extent_may_be_given() -> None:
    assert Scene.from_arrays(pictures(), around(), half_extent=2.0).half_extent == 2.0


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"images": pictures(1)}, "images: expected at least 2 pictures, got 1"),
        ({"cameras": around(5)}, "cameras: expected 6, one per picture, got 5"),
        ({"masks": [None] * 4}, "masks: expected 6 items, one per picture (or None), got 4"),
        ({"images": pictures().astype(np.float32)}, "images: view_000: expected floats in [0, 1], got values from"),
        ({"images": pictures().astype(np.int32)}, "images: view_000: expected uint8 or floats in [0, 1], got int32"),
        ({"images": pictures()[..., :2]}, "images: view_000: expected shape [H, W, 3] or [H, W, 4], got [12, 16, 2]"),
        ({"images": pictures()[:, :6]}, "cameras: view_000: expected the aspect ratio of the picture (16x6 pixels)"),
        ({"masks": [np.ones((1, 5, 5), bool)] * 6}, "masks: view_000: expected the aspect ratio of the picture"),
        ({"masks": [np.ones((HEIGHT, WIDTH))] * 6}, "masks: view_000: expected bool [M, H, W] or an id map [H, W]"),
        (
            {"masks": [np.ones((1, HEIGHT, WIDTH), bool), np.ones((1, 6, 8), bool), *[None] * 4]},
            "masks: view_001: expected 16x12 pixels as for view_000, got 8x6 pixels",
        ),
        ({"background": [255, 255, 255]}, "background: expected three numbers in [0, 1]"),
        ({"background": "white"}, "background: expected an array of numbers, got <U5"),
        ({"background": [None, 0, 1]}, "background: expected three numbers in [0, 1]"),
        ({"background": [10**400, 0, 1]}, "background: expected an array of numbers"),
        ({"images": [None] * 6}, "images: view_000: expected shape [H, W, 3] or [H, W, 4], got []"),
        ({"images": ["a.png"] * 6}, "images: view_000: expected shape [H, W, 3] or [H, W, 4], got []"),
        ({"images": pictures() * np.nan}, "images: view_000: expected floats in [0, 1], got values from nan to nan"),
        (
            {"masks": ["a.png"] * 6},
            "masks: view_000: expected bool [M, H, W] or an id map [H, W] of integers, got <U5 []",
        ),
        ({"half_extent": 1e300}, "half_extent: expected at most 32768, got 1e+300"),
    ],
)
def test_bad_arrays_are_named(changes: dict[str, Any], error: str) -> None:
    arguments = {"images": pictures(), "cameras": around()} | changes
    with pytest.raises(ValueError, match=re.escape(error)):
        Scene.from_arrays(**arguments)


def test_other_bad_arguments() -> None:
    with pytest.raises(TypeError, match="cameras: expected Cameras"):
        Scene.from_arrays(pictures(), around().c2w)
    with pytest.raises(ConfigError, match="hold_out: expected None or at least 2, got 1"):
        Scene.from_arrays(pictures(), around(), hold_out=1)
    with pytest.raises(SceneError, match="things: all 6 cameras stand at the same point"):
        Scene.from_arrays(pictures(), around()[[0] * 6], name="things")


def test_id_maps_of_any_integers_and_sizes() -> None:
    from ultrafield.scene.arrays import _mask_set, _stack

    rng = np.random.default_rng(0)
    for dtype in (np.uint8, np.int16, np.int64, np.uint64):
        ids = np.kron(rng.choice([0, 3, 7, 100], (5, 6)), np.ones((4, 4), int)).astype(dtype)
        if dtype == np.int16:
            ids[:4] = -5
        for size in ((24, 20), (6, 5), (30, 25)):
            expected = [resize_nearest(ids == number, size[::-1]) for number in np.unique(ids[ids > 0])]
            masks = _mask_set(_stack(ids, "a"), size, "a")
            reference = build_mask_set(np.stack([mask for mask in expected if mask.any()]))
            for name in ("bits", "areas", "inside", "same"):
                np.testing.assert_array_equal(getattr(masks, name), getattr(reference, name))


def test_id_maps_of_many_segments_are_never_unpacked() -> None:
    from ultrafield.scene.arrays import _mask_set, _stack

    ids = 1 + np.arange(1000).repeat(90).reshape(300, 300)
    tracemalloc.start()
    masks = _mask_set(_stack(ids, "a"), (300, 300), "a")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert masks is not None
    assert len(masks) == 1000
    assert peak < 3 * masks.bits.nbytes < ids.size * 1000  # bytes of [M, H, W]
