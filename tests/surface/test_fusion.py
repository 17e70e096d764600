"""The surface of a scene that is known exactly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from toy_scene import BOXES, COLORS, SIZE, TO_USER, Toy, cast

from ultrafield.cameras import RenderedDepth, RenderedView, project
from ultrafield.cameras.projection import back_project
from ultrafield.config import SegmentConfig
from ultrafield.errors import RunError
from ultrafield.lazy import OnDemand
from ultrafield.surface import Surface, rendered, surface_from_field, surface_from_views
from ultrafield.surface import fusion as module
from ultrafield.surface.samples import focal_length
from ultrafield.surface.voxels import thin


def blank(view: RenderedView) -> RenderedView:
    return replace(view, depth=np.zeros_like(view.depth), opacity=np.zeros_like(view.opacity))


def fused(toy: Toy, views: list[RenderedView], **settings: float) -> Surface:
    return surface_from_views(views, toy.cameras, to_user=TO_USER, config=SegmentConfig(**settings))


def airborne(points: np.ndarray) -> np.ndarray:
    """Which points are higher than every box."""
    return points[:, 2] > BOXES[:, 1, 2].max() + 0.05


def test_points_lie_on_the_boxes(toy_surface: Surface) -> None:
    points = toy_surface.points.astype(np.float64)
    low, high = BOXES[:, 0, None], BOXES[:, 1, None]
    gap = np.maximum(np.maximum(low - points, points - high), 0).max(axis=2)  # outside each box, [3, N]
    depth = np.minimum(points - low, high - points).min(axis=2)  # inside each box
    nearest = np.where(gap > 0, gap, np.abs(depth)).min(axis=0)
    assert len(points) > 2000
    assert np.quantile(nearest, 0.99) < toy_surface.voxel
    assert nearest.max() < 1.5 * toy_surface.voxel


def test_normals_are_unit_length_and_point_outwards(toy_surface: Surface, toy_ids: np.ndarray) -> None:
    np.testing.assert_allclose(np.linalg.norm(toy_surface.normals, axis=1), 1.0, atol=1e-5)
    middles = BOXES.mean(axis=1)[toy_ids - 1]
    outwards = ((toy_surface.points - middles) * toy_surface.normals).sum(axis=1) > 0
    assert outwards.mean() > 0.99
    assert (np.abs(toy_surface.normals).max(axis=1) > 0.98).mean() > 0.8  # faces are axis-aligned, edges are not


def test_colours_come_from_the_pictures(toy_surface: Surface, toy_ids: np.ndarray) -> None:
    assert (np.abs(toy_surface.colors.astype(int) - COLORS[toy_ids]).max(axis=1) < 60).mean() > 0.97


def test_visibility_is_that_of_the_exact_scene(toy: Toy, toy_surface: Surface) -> None:
    points = toy_surface.points.astype(np.float64)
    wrong, total = 0, 0
    for index in range(len(toy.cameras)):
        depth, _ = cast(toy.cameras, index)
        pose = toy.cameras.c2w[index]
        local = (points - pose[:, 3]) @ pose[:, :3]
        column, row = (np.floor(60.0 * local[:, axis] / local[:, 2] + SIZE / 2).astype(int) for axis in (0, 1))
        inside = (np.minimum(column, row) >= 0) & (np.maximum(column, row) < SIZE)
        found = np.where(inside, depth[row.clip(0, SIZE - 1), column.clip(0, SIZE - 1)], 0.0)
        hidden = local[:, 2] > found + 0.13  # far behind what its pixel shows, however slanted
        seen = toy_surface.seen_from(index)
        wrong, total = wrong + (seen & (hidden | ~inside)).sum(), total + seen.sum()
        on_surface = inside & (np.abs(local[:, 2] - found) < 0.25 * toy_surface.voxel)
        assert seen[on_surface].mean() > 0.97
    assert wrong < 0.001 * total


def test_every_point_is_seen_by_some_view(toy: Toy, toy_surface: Surface) -> None:
    seen = np.stack([toy_surface.seen_from(index) for index in range(len(toy.cameras))])
    assert seen.any(axis=0).all()
    assert toy_surface.visible.shape == (10, (len(toy_surface) + 7) // 8)


def test_the_result_is_the_same_bit_for_bit(toy: Toy, toy_surface: Surface) -> None:
    again = toy.surface()
    for name in ("points", "normals", "colors", "visible"):
        np.testing.assert_array_equal(getattr(again, name), getattr(toy_surface, name))


def test_automatic_voxels_follow_the_footprint_and_the_limit(
    toy: Toy, toy_surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    depths = np.concatenate([view.depth[view.depth > 0] for view in toy.views])
    assert toy_surface.voxel == pytest.approx(0.6 * np.median(depths) / 60.0, rel=1e-5)
    monkeypatch.setattr(module, "MAX_POINTS", 500)
    coarse = toy.surface()
    assert 100 < len(coarse) <= 500
    assert coarse.voxel > toy_surface.voxel


def test_of_many_pixels_some_choose_the_voxel(toy: Toy, toy_surface: Surface, monkeypatch: pytest.MonkeyPatch) -> None:
    depths, pixels = [view.depth for view in toy.views], int(toy.cameras.sizes.prod(axis=1).sum())
    monkeypatch.setattr(module, "_PIXELS_GLANCED_AT", pixels // 9)
    _, voxel, estimated = module._automatic_voxel(depths, toy.cameras, np.inf)
    assert estimated
    assert voxel == pytest.approx(toy_surface.voxel, rel=0.02)
    places = np.concatenate([back_project(toy.cameras, index, depth)[::3, ::3] for index, depth in enumerate(depths)])
    places = places[np.isfinite(places).all(axis=2)]
    occupied = 9 * len(np.unique(np.floor(places / (3 * voxel)), axis=0))
    monkeypatch.setattr(module, "MAX_POINTS", occupied // 8)
    _, enlarged, _ = module._automatic_voxel(depths, toy.cameras, np.inf)
    assert enlarged == pytest.approx(voxel * np.sqrt(8 / module.SPARE), rel=0.01)


def test_small_maps_of_large_cameras_are_looked_at_closely(
    toy: Toy, toy_surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    depths, large = [view.depth for view in toy.views], toy.cameras.resized(40 * toy.cameras.sizes)
    _, voxel, estimated = module._automatic_voxel(depths, large, np.inf)
    assert (voxel, estimated) == (pytest.approx(toy_surface.voxel, rel=1e-6), False)
    patch = np.zeros_like(depths[0])
    patch[20:27, 20:27] = 1.5
    monkeypatch.setattr(module, "_PIXELS_GLANCED_AT", len(depths))  # one pixel of each
    cameras, voxel, _ = module._automatic_voxel([patch] * len(depths), large, np.inf)
    assert voxel == pytest.approx(module.FOOTPRINTS_PER_VOXEL * 1.5 / focal_length(cameras, 0), rel=1e-6)


@pytest.mark.parametrize("voxel", [None, 0.1])
def test_without_views_there_is_no_surface(toy: Toy, voxel: float | None) -> None:
    with pytest.raises(module.NoSurface):
        module.fuse_depth_maps([], [], toy.cameras[[]], TO_USER, voxel)


def test_depth_maps_that_do_not_fit_into_memory_are_read_again_and_give_the_same(
    toy: Toy, toy_surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []

    class Views(Sequence[RenderedView]):
        def __len__(self) -> int:
            return len(toy.views)

        def __getitem__(self, index: int) -> RenderedView:  # type: ignore[override]
            held.append(index)
            return toy.views[index]

    monkeypatch.setattr(rendered, "memory", lambda: 8 * 4 * (toy.cameras.sizes.prod(axis=1).sum() - 1))
    looked: list[int] = []

    def image(index: int) -> np.ndarray:
        looked.append(index)
        return toy.scene.train.views[index].image

    every = list(range(len(toy.views)))
    settings = {"to_user": TO_USER, "config": SegmentConfig()}
    again = surface_from_views(Views(), toy.cameras, images=OnDemand(image, every), **settings)
    assert sorted(held) == sorted(3 * every)
    assert sorted(looked) == every
    held.clear()
    surface_from_views(Views(), toy.cameras, **settings)
    assert sorted(held) == sorted(4 * every)
    for name in ("points", "normals", "visible"):
        np.testing.assert_array_equal(getattr(again, name), getattr(toy_surface, name))


def test_a_chosen_voxel_is_a_fraction_of_the_half_extent(toy: Toy) -> None:
    surface = fused(toy, toy.views, voxel=0.0937)  # faces of the boxes lie on no border between such voxels
    assert surface.voxel == pytest.approx(0.0937 * 0.5)
    cells = np.floor(surface.points.astype(np.float64) / surface.voxel)
    assert len(np.unique(cells, axis=0)) == len(surface)


def test_views_may_be_smaller_than_the_pictures(toy: Toy, toy_surface: Surface) -> None:
    large = toy.cameras.resized(2 * toy.cameras.sizes)
    images = [np.repeat(np.repeat(view.image, 2, 0), 2, 1) for view in toy.scene.train]
    found = surface_from_views(toy.views, large, to_user=TO_USER, config=SegmentConfig(), images=images)
    np.testing.assert_allclose(found.points, toy_surface.points, atol=1e-6)
    np.testing.assert_array_equal(found.colors, toy_surface.colors)


def test_depth_and_opacity_alone_will_do_where_there_are_pictures(toy: Toy, toy_surface: Surface) -> None:
    views = [RenderedDepth(view.depth, view.opacity) for view in toy.views]
    images = [view.image for view in toy.scene.train]
    settings = {"to_user": TO_USER, "config": SegmentConfig()}
    found = surface_from_views(views, toy.cameras, images=images, **settings)
    for name in ("points", "normals", "colors", "visible"):
        np.testing.assert_array_equal(getattr(found, name), getattr(toy_surface, name))
    with pytest.raises(ValueError, match="images: expected one for view 2, which has no colours of its own"):
        surface_from_views(views, toy.cameras, images=[*images[:2], None, *images[3:]], **settings)


def test_rendered_colour_serves_where_there_is_no_picture(toy: Toy, toy_surface: Surface) -> None:
    np.testing.assert_array_equal(fused(toy, toy.views).colors, toy_surface.colors)


def test_a_view_that_sees_nothing_is_fine(toy: Toy) -> None:
    surface = fused(toy, [blank(toy.views[0]), *toy.views[1:]])
    assert len(surface) > 2000
    assert not surface.seen_from(0).any()


def test_ignored_pixels_show_nothing(toy: Toy, toy_surface: Surface) -> None:
    used = [None, np.zeros(toy.views[1].depth.shape, bool), *[None] * (len(toy.views) - 2)]
    used[1][:, :20] = True
    found = surface_from_views(toy.views, toy.cameras, to_user=TO_USER, config=SegmentConfig(), valid=used)
    assert len(found) > 2000
    pixels, _ = project(toy.cameras, 1, found.points[found.seen_from(1)])
    assert (pixels[:, 0] < 21).all()
    assert toy_surface.seen_from(1).sum() > 1.5 * found.seen_from(1).sum()


def test_floaters_that_others_see_through_go(toy: Toy) -> None:
    depth = toy.views[4].depth.copy()
    depth[20:28, 20:28] = 0.9  # a patch in the air above the boxes
    views = [*toy.views]
    views[4] = replace(toy.views[4], depth=depth)
    alone = fused(toy, [view if index == 4 else blank(view) for index, view in enumerate(views)])
    assert airborne(alone.points).any()
    assert not airborne(fused(toy, views).points).any()


def test_transparent_pixels_carry_no_surface(toy: Toy) -> None:
    views = [
        replace(view, opacity=np.where(ids == 3, 0.4, view.opacity))
        for view, ids in zip(toy.views, toy.ids, strict=True)
    ]
    inside = fused(toy, views).points
    assert not ((inside > BOXES[2, 0] + 0.02) & (inside < BOXES[2, 1] + 0.02)).all(axis=1).any()
    lenient = fused(toy, views, min_opacity=0.3).points
    assert ((lenient > BOXES[2, 0] + 0.02) & (lenient < BOXES[2, 1] + 0.02)).all(axis=1).any()


def test_no_opaque_pixel_is_an_error_with_advice(toy: Toy) -> None:
    with pytest.raises(RunError, match=r"show no surface: no pixel .* opaque; train the geometry for longer"):
        fused(toy, [blank(view) for view in toy.views])


def test_no_continuous_patch_is_an_error(toy: Toy) -> None:
    lone = np.zeros((SIZE, SIZE), bool)
    lone[::3, ::3] = True
    views = [replace(view, depth=np.where(lone, view.depth, 0)) for view in toy.views]
    with pytest.raises(RunError, match="no depth map has a continuous patch"):
        fused(toy, views)


def test_contradicting_views_are_an_error(toy: Toy) -> None:
    left, right = np.zeros((2, SIZE, SIZE), np.float32)
    left[:, : SIZE // 2], right[:, SIZE // 2 :] = 1.0, 1.0  # each sees through what the other sees
    views = [replace(toy.views[0], depth=depth, opacity=depth) for depth in (left, right)]
    with pytest.raises(RunError, match="contradict each other everywhere"):
        surface_from_views(views, toy.cameras[[0, 0]], to_user=TO_USER, config=SegmentConfig())


@pytest.mark.parametrize("inner", [np.inf, 0.4])
@pytest.mark.parametrize("footprint", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("count", [0, 1, 2, 700])
def test_points_have_company_if_another_one_is_nearby(count: int, footprint: float, inner: float) -> None:
    rng = np.random.default_rng(count)
    rows = np.ones((count, 11))
    rows[:, :3], rows[:, 9] = rng.uniform(-1, 1, (count, 3)), footprint * rng.random(count)
    rows[: count // 2, :3] *= 0.3
    sums = thin([rows], 0.03, inner)
    points, near = sums.means(0, 3), 2.0 * np.maximum(sums.edges, sums.means(9, 10)[:, 0])
    apart = np.linalg.norm(points[:, None] - points, axis=2) + np.where(np.eye(len(points)), np.inf, 0.0)
    company = (apart <= near[:, None]).any(axis=1)
    np.testing.assert_array_equal(module._in_company(sums), company)
    assert count < 3 or 0.1 < company.mean() < 1.0


def test_points_on_the_border_of_voxels_keep_their_company() -> None:
    """Means of many rows on a border round to either side of it, out of the order of voxels."""
    rng, unsorted = np.random.default_rng(0), 0
    for _ in range(8):
        rows = np.ones((20_000, 11))
        rows[:, :3], rows[:, 9] = rng.uniform(-1, 1, (20_000, 3)), 0.0
        rows[:, 0] = 1.1
        sums = thin([rows], 0.1, np.inf)
        points = sums.means(0, 3)
        unsorted += int((np.diff(module.voxel_keys(sums.table, sums.voxel)) <= 0).any())
        company = module.nearest_points(points, 2)[0][:, 1] <= 2.0 * sums.edges
        np.testing.assert_array_equal(module._in_company(sums), company)
    assert unsorted


def test_numbers_that_differ_are_refused(toy: Toy) -> None:
    with pytest.raises(ValueError, match="views: got 9 for 10 cameras, 9 images and 9 valid"):
        fused(toy, toy.views[1:])


def test_surface_from_field_renders_the_training_views(
    toy: Toy, toy_surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def render_views(field: object, cameras: object, indices: Iterable[int]) -> Iterator[RenderedView]:
        for index in indices:
            asked.append((field, cameras is toy.cameras, index))
            yield toy.views[index]

    monkeypatch.setattr("ultrafield.field.render.render_views", render_views)
    surface = surface_from_field("a field", toy.scene)
    assert asked == [("a field", True, index) for index in range(10)]
    np.testing.assert_array_equal(surface.points, toy_surface.points)
    np.testing.assert_array_equal(surface.visible, toy_surface.visible)
