"""Triples of pixels that the same masks hold, and the loss that makes them lie on planes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ultrafield.cameras import Cameras, Lens
from ultrafield.config.settings import Regions
from ultrafield.field.rays import ray_table
from ultrafield.masks import build_mask_set
from ultrafield.scene import Split, View
from ultrafield.training import fit_geometry
from ultrafield.training.geometry import base
from ultrafield.training.geometry.planes import MaskedPixels, Triples, planes_loss
from ultrafield.training.geometry.trainer import HostGeometryTrainer, render_rays
from ultrafield.training.pixels import PixelPool

from .test_quadruples import HEIGHT, WIDTH, some_masks, without_masks


def masked_pixels(
    cameras: Cameras, *views: View, valid: torch.Tensor | None = None, regions: Regions = "masks"
) -> MaskedPixels:
    count = int(cameras.sizes[0].prod())
    starts = torch.arange(len(views) + 1) * count
    colors = torch.zeros((len(views) * count, 3), dtype=torch.uint8)
    pool = PixelPool(ray_table(cameras), colors, None, starts, valid)
    return MaskedPixels.of(Split(views, cameras), pool, regions=regions)


def cameras(count: int, *, size: tuple[int, int] = (WIDTH, HEIGHT), scale: int = 1) -> Cameras:
    lens = np.array([20.0, 20.0, 7.5, 6.0]) * scale
    return Cameras.pinhole(np.tile(np.eye(4)[:3], (count, 1, 1)), lens, np.array(size) * scale)


def chosen(triples: Triples, rows: torch.Tensor) -> Triples:
    """Some of the triples."""
    return Triples(triples.views[rows], triples.pixels[rows], triples.part[rows], triples.counted[rows])


def random() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_triples_are_the_lines_of_pixels_in_the_same_masks():
    masks = some_masks()
    pixels = masked_pixels(cameras(2), View("a", None, build_mask_set(masks)), View("b", None, without_masks()))
    drawn = pixels.draw(40_000, 4, random())
    assert not drawn.counted[drawn.views == 1].any()
    found = {tuple(sorted(triple)) for triple in drawn.pixels[drawn.counted].tolist()}
    expected = set()
    for row, column in np.ndindex(HEIGHT, WIDTH):
        for distance in (1, 2, 4):
            for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
                places = [(row + k * distance * down, column + k * distance * right) for k in (-1, 0, 1)]
                if all(0 <= i < HEIGHT and 0 <= j < WIDTH for i, j in places):
                    first, middle, last = (masks[:, i, j].tolist() for i, j in places)
                    if first == middle == last and any(middle):
                        expected.add(tuple(sorted(i * WIDTH + j for i, j in places)))
    assert found == expected
    torch.testing.assert_close(drawn.part[drawn.counted], torch.full((int(drawn.counted.sum()),), 0.5))


def test_masks_may_be_smaller_than_the_pictures():
    masks = some_masks()[[1, 2, 3]]
    pixels = masked_pixels(cameras(1, scale=3), View("a", None, build_mask_set(masks)))
    drawn = pixels.draw(4000, 16, random())
    places = drawn.pixels[drawn.counted]
    rows, columns = places // (3 * WIDTH) // 3, places % (3 * WIDTH) // 3
    held = torch.from_numpy(masks)[:, rows, columns]
    assert len(places) > 100
    assert held.any(0).all()
    assert (held == held[:, :, :1]).all()


@pytest.mark.parametrize(("sets", "kind"), [(2, torch.int16), (40_000, torch.int32)])
def test_sets_of_masks_are_told_apart_however_many(sets, kind):
    size = (200, 200 * sets // 40_000 or 1)
    ids = np.arange(size[0] * size[1]) % sets
    bits = ids[None] >> np.arange((sets - 1).bit_length())[:, None] & 1
    masks = build_mask_set(bits.astype(bool).reshape(-1, size[1], size[0]))
    pixels = masked_pixels(cameras(1, size=size), View("a", None, masks))
    assert pixels.numbers.dtype == kind
    assert len(pixels.numbers.unique()) == sets
    assert (pixels.numbers == -1).sum() == (ids == 0).sum()


@pytest.mark.parametrize(("scale", "regions"), [(1, "masks"), (2, "masks"), (1, "pictures")])
def test_pixels_that_are_not_used_make_no_triple(scale, regions):
    height, width = scale * HEIGHT, scale * WIDTH
    used = np.ones((height, width), bool)
    used[5:7, :9] = False
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8) if regions == "pictures" else None
    view = View("a", image, build_mask_set(some_masks()))
    valid = torch.from_numpy(used.ravel()).nonzero()[:, 0]
    pixels = masked_pixels(cameras(1, scale=scale), view, valid=valid, regions=regions)
    drawn = pixels.draw(4000, 4, random())
    assert drawn.counted.sum() > 100
    assert torch.from_numpy(used.ravel())[drawn.pixels[drawn.counted]].all()
    assert torch.from_numpy(used.ravel())[drawn.pixels[:, 1]].all()


def test_pixels_without_a_ray_make_no_triple():
    pixels = masked_pixels(cameras(1), View("a", None, build_mask_set(some_masks())))
    pixels.pool.rays.directions[: 6 * WIDTH] = torch.nan
    drawn = pixels.draw(4000, 4, random())
    assert drawn.counted.sum() > 100
    assert (drawn.pixels[drawn.counted] >= 6 * WIDTH).all()
    assert drawn.part.isfinite().all()


@pytest.mark.parametrize("lens", [Lens.PINHOLE, Lens.OPENCV])
def test_a_plane_costs_nothing_and_a_step_as_much_as_it_is_high(lens):
    distorted = replace(
        cameras(1),
        lenses=np.array([lens]),
        distortion=np.array([[0.3, -0.1] + [0.0] * 6]) * (lens == Lens.OPENCV),
    )
    pixels = masked_pixels(distorted, View("a", None, build_mask_set(np.ones((1, HEIGHT, WIDTH), bool))))
    triples = pixels.draw(4000, 4, random())
    triples = chosen(triples, triples.counted.nonzero()[:, 0])
    directions = pixels.pool.rays.directions[triples.pixels].double()
    normal = torch.tensor([0.3, -0.4, 1.0], dtype=torch.float64)
    depth = 2.0 / (directions @ normal)
    focal = pixels.focal[triples.views]
    assert set(focal.tolist()) == {20.0}

    def cost(depth: torch.Tensor, opacity: float = 0.8) -> float:
        opaque = torch.full_like(depth, opacity)
        return float(planes_loss(depth, opaque, triples.part, focal, triples.counted, tolerance=4.0))

    # A lens bends a line of pixels a little.
    assert cost(depth) < (1e-5 if lens == Lens.PINHOLE else 0.02)
    assert cost(depth, 0.4) == 0.0
    raised = depth.clone()
    raised[:, 1] *= 1 + 3 / 20  # by three footprints
    assert cost(raised) == pytest.approx(3 / (1 + 3 / 4), rel=0.02)


def test_gradients_of_the_loss_are_those_of_differences():
    generator = random()
    depth = (1 + torch.rand((6, 3), generator=generator, dtype=torch.float64)).requires_grad_()
    rest = (torch.ones_like(depth), torch.full((6,), 0.5), torch.full((6,), 10.0), torch.arange(6) < 4)
    assert torch.autograd.gradcheck(lambda depth: planes_loss(depth, *rest, tolerance=4.0), depth)


def test_planes_are_made_from_a_tenth_of_the_steps_on_and_only_with_masks(balls, config):
    trainer = HostGeometryTrainer(balls, config, torch.device("cpu"))
    assert [trainer.makes_planes(step) for step in (0, 5, 6, 59)] == [False, False, True, True]
    bare = tuple(replace(view, masks=None) for view in balls.train)
    scene = replace(balls, splits={"train": replace(balls.train, views=bare)})
    assert not HostGeometryTrainer(scene, config, torch.device("cpu")).makes_planes(59)
    without = replace(config, geometry=replace(config.geometry, planar_weight=0.0, outline_share=0.5))
    assert not HostGeometryTrainer(balls, without, torch.device("cpu")).makes_planes(59)
    pictures = replace(config, geometry=replace(config.geometry, regions="pictures"))
    assert HostGeometryTrainer(scene, pictures, torch.device("cpu")).makes_planes(59)


def test_the_first_rays_of_a_step_make_triples_and_at_most_half_of_them(balls, config, monkeypatch):
    monkeypatch.setattr(base, "PLANAR_REACH", 1)
    settings = replace(config.geometry, samples=base.SAMPLES_PER_TRIPLE * 30)
    trainer = HostGeometryTrainer(balls, replace(config, geometry=settings), torch.device("cpu"))
    drawn = trainer.pool.draw(1000, trainer.generator)
    pixels, triples = trainer.with_triples(drawn, 1000)
    assert len(triples.views) == 30
    counted = triples.counted.nonzero()[:, 0]
    assert 2 < len(counted) < 28
    views, inside = trainer.pool.locate(pixels[:90].view(30, 3)[counted])
    assert (views == triples.views[counted][:, None]).all()
    assert (inside == triples.pixels[counted]).all()
    others = torch.ones(1000, dtype=torch.bool)
    others[:90] = ~triples.counted.repeat_interleave(3)
    assert (pixels[others] == drawn[others]).all()
    for rays in (100, torch.tensor([100])):
        _, triples = trainer.with_triples(drawn, rays)
        assert len(triples.views) == 30
        assert not triples.counted[16:].any()
    pixels, triples = trainer.with_triples(drawn[:60], 60)
    assert (len(pixels), len(triples.views)) == (60, 10)


def test_regions_of_pictures_stand_in_for_masks():
    image = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    image[:, 7:] = 200
    view = View("a", image, build_mask_set(some_masks()))
    pixels = masked_pixels(cameras(1), view, regions="pictures")
    assert len(pixels.numbers.unique()) == 2
    halves = pixels.numbers.view(HEIGHT, WIDTH)
    assert (halves[:, :7] == halves[0, 0]).all()
    assert (halves[:, 7:] == halves[0, 7]).all()


def test_planes_are_trained_for(balls, config, monkeypatch):
    """The more they weigh, the flatter is what masks tell nothing apart in."""
    monkeypatch.setattr(base, "PLANAR_REACH", 2)  # few longer triples of a small picture lie in one mask
    monkeypatch.setattr(base, "SAMPLES_PER_TRIPLE", 32)

    def bent(weight: float) -> float:
        settings = replace(config, geometry=replace(config.geometry, planar_weight=weight, steps=140))
        trainer = HostGeometryTrainer(balls, settings, torch.device("cpu"))
        trainer.field = fit_geometry(balls, settings, progress=False)
        trainer.generator.manual_seed(1)
        trainer.settings = replace(trainer.settings, planar_weight=1.0, samples=32 * 2000)
        pixels, triples = trainer.with_triples(torch.zeros(6 * 2000, dtype=torch.int64), 6 * 2000)
        assert triples.counted.sum() > 80
        rendered = render_rays(trainer.field, trainer._batch(*trainer.pool.locate(pixels)), trainer.uniform(6 * 2000))
        return float(trainer.planarity(triples, rendered.depth, rendered.opacity).detach())

    assert bent(1e-1) < 0.7 * bent(1e-9)
