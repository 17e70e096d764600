"""Steps of fixed shape against the steps that the CPU takes: same rays, same losses, same gradients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ultrafield.masks import build_mask_set
from ultrafield.scene import Split
from ultrafield.training.geometry import base as geometry_base
from ultrafield.training.geometry.near import weakens_near
from ultrafield.training.geometry.smoothness import smoothness_loss
from ultrafield.training.geometry.trainer import HostGeometryTrainer, RayBatch, render_rays

from ..geometry.test_planes import chosen


@pytest.fixture
def build(balls, config, kernel_device, monkeypatch):
    """A function that makes a small trainer, for a scene and with changes to the settings."""
    from ultrafield.training.cuda import geometry as geometry_device

    # Triton's interpreter walks through all the room there is; in fog, a ray has some 20 samples.
    monkeypatch.setattr(geometry_device, "_SMOOTHED_PER_RAY", 24)
    monkeypatch.setattr(geometry_base, "PROBES", 256)
    monkeypatch.setattr(geometry_device, "FEWEST_RAYS", 16)
    rays, levels = (32, 4) if kernel_device == "cuda" else (16, 2)

    def make(scene=balls, **changes):
        from ultrafield.training.cuda.geometry import DeviceGeometryTrainer

        grid = replace(config.geometry.grid, levels=levels)
        small = replace(config.geometry, grid=grid, rays=rays, samples=24 * rays)
        small = replace(small, max_samples_per_ray=32, occupancy_resolution=8)
        changed = replace(config, geometry=replace(small, **changes))
        return DeviceGeometryTrainer(scene, changed, torch.device(kernel_device))

    return make


@pytest.fixture
def trainer(build):
    return build()


SMOOTH = {
    "depth_smooth": True,
    "depth_smooth_from": 0.0,
    "depth_smooth_pixels": 2,
    "depth_smooth_opacity": 0.05,
    "depth_smooth_tolerance": 0.0,
}


def with_masks(scene, masks):
    """The scene with other masks, one set per view."""
    views = tuple(replace(view, masks=found) for view, found in zip(scene.train, masks, strict=True))
    return replace(scene, splits={"train": Split(views, scene.train.normalised_cameras)})


def expected_smoothness(field, settings, rays, jitter, count):
    """The loss of the first so many rays as the steps of the CPU compute it."""
    origins, directions, cosine, jitter = (
        part[:count].cpu() for part in (rays.origins, rays.directions, rays.cosine, jitter)
    )
    rendered = render_rays(field, RayBatch(origins, directions, cosine), jitter)
    depth = (rendered.depth / rendered.opacity.clamp(min=1e-6)).view(-1, 4)
    return smoothness_loss(
        depth,
        rendered.opacity.view(-1, 4),
        min_opacity=settings.depth_smooth_opacity,
        tolerance=settings.depth_smooth_tolerance,
    )


def wavy(field):
    """Make a field that neighbouring rays see at different depths."""
    with torch.no_grad():
        field.grid.table.mul_(3e3)


def rounding(tensor):
    """Relative difference that TF32 on CUDA makes: a step from empty to full multiplies it by f over its width."""
    return 1e-2 if tensor.is_cuda else 3e-3


def test_smoothness_and_its_gradients_are_those_of_the_cpu(build, balls, config):
    trainer = build(**SMOOTH)
    wavy(trainer.field)
    rays, live = trainer.draw_smoothed()
    real = int(live)
    assert real % (2 * 4) == 0
    assert 0 < real <= len(rays.pixels) == 2 * 2 * 2 * 4  # at most both balls, both directions
    views, pixels = trainer.pool.locate(rays.pixels)
    assert len(views.unique()) == 1
    assert bool(trainer.pool.colors[rays.pixels].min(1).values.lt(255).all())  # on a ball
    steps = pixels.view(-1, 4).diff(dim=1)
    assert set(steps.flatten().tolist()) == {1, 24}
    jitter = torch.rand(len(rays.pixels), generator=torch.Generator().manual_seed(0)).to(rays.cosine.device)
    loss = trainer.smoothness(rays, live, jitter)
    loss.backward()

    other = HostGeometryTrainer(balls, replace(config, geometry=trainer.settings), torch.device("cpu"))
    other.field.load_state_dict(trainer.field.state_dict())
    expected = expected_smoothness(other.field, trainer.settings, rays, jitter, real)
    expected.backward()
    assert float(expected.detach()) > 1e-3
    torch.testing.assert_close(loss.detach().cpu(), expected.detach(), rtol=rounding(jitter), atol=1e-6)
    tolerance = 2e-2 if jitter.is_cuda else 1e-3
    gradient = other.field.grid.table.grad
    assert (trainer.table_grad.cpu() - gradient).norm() < tolerance * gradient.norm()
    for one, two in zip(trainer.field.density_mlp.parameters(), other.field.density_mlp.parameters(), strict=True):
        assert (one.grad.cpu() - two.grad).norm() < tolerance * two.grad.norm()


def test_quadruples_without_all_their_samples_do_not_count(build, monkeypatch):
    from ultrafield.training.cuda import geometry as module

    trainer = build(**SMOOTH)
    wavy(trainer.field)
    rays, live = trainer.draw_smoothed()
    jitter = torch.rand(len(rays.pixels), generator=torch.Generator().manual_seed(1)).to(rays.cosine.device)
    _, visible = trainer._visible(rays, jitter, live, 2048, 1024)
    samples = visible.samples
    assert samples.complete[: int(live)].all()
    assert int(live) > 12
    monkeypatch.setattr(module, "_MOST_SMOOTHED", int(samples.offsets[14]))  # three quadruples and a half
    loss = trainer.smoothness(rays, live, jitter)
    expected = expected_smoothness(trainer.field.cpu(), trainer.settings, rays, jitter, 12)
    assert float(expected.detach()) > 1e-3
    torch.testing.assert_close(loss.detach().cpu(), expected.detach(), rtol=rounding(jitter), atol=1e-6)


def test_pixels_without_a_ray_make_no_quadruple(build):
    trainer = build(**SMOOTH)
    wavy(trainer.field)
    trainer.pool.rays.directions[:] = torch.nan
    rays, live = trainer.draw_smoothed()
    assert bool(rays.origins.isfinite().all())
    assert float(trainer.smoothness(rays, live, torch.rand_like(rays.cosine)).detach()) == 0


def test_views_without_leaf_masks_are_not_smoothed(build, balls):
    none = build_mask_set(np.zeros((0, 24, 24), bool))
    trainer = build(with_masks(balls, [none] * 8), **SMOOTH)
    rays, live = trainer.draw_smoothed()
    assert len(rays.pixels) == int(live) == 0
    assert float(trainer.smoothness(rays, live, torch.rand_like(rays.cosine))) == 0
    trainer = build(with_masks(balls, [none] * 7 + [balls.train.views[7].masks]), **SMOOTH)
    drawn = [trainer.draw_smoothed() for _ in range(40)]
    assert {int(live) > 0 for _, live in drawn} == {False, True}
    for rays, live in drawn:
        views, pixels = trainer.pool.locate(rays.pixels)
        assert len(views.unique()) == 1
        assert (int(views[0]) == 7) == (int(live) > 0)
        assert bool(((pixels >= 0) & (pixels < 24 * 24)).all())


def test_smoothness_begins_when_it_should(build):
    trainer = build(**SMOOTH | {"depth_smooth_from": 2 / 60, "density_every": 3})
    trainer._steps = {kind: lambda kind=kind: kind for kind in trainer._steps}  # (probe, smooth, flat)
    kinds = [trainer.step(step) for step in (1, 2, 3, 6)]
    assert kinds == [(False, False, False), (False, True, False), (True, True, False), (True, True, True)]


def test_planarity_and_its_gradients_are_those_of_the_cpu(build, balls, config):
    trainer = build(samples=1664)
    wavy(trainer.field)
    triples = trainer.masked.draw(1024, 2, trainer.generator)
    triples = chosen(triples, triples.counted.long().argsort(descending=True)[:24])
    triples.counted[20:] = False
    assert int(triples.counted.sum()) == 20
    rays = trainer.rays_of((trainer.pool.starts[triples.views][:, None] + triples.pixels).view(-1))
    jitter = torch.rand(3 * 24, generator=torch.Generator().manual_seed(0)).to(trainer.device)
    trainer.live_rays.fill_(3 * 24)
    visible = trainer.visible_samples(rays, jitter)
    assert visible.samples.complete.all()
    loss = trainer.losses(rays, visible, *trainer.target(rays.pixels), triples=triples)["planes"]
    loss.backward()

    other = HostGeometryTrainer(balls, replace(config, geometry=trainer.settings), torch.device("cpu"))
    other.field.load_state_dict(trainer.field.state_dict())
    rows = triples.counted.cpu().nonzero()[:, 0]
    views, pixels, part = (values.cpu()[rows] for values in (triples.views, triples.pixels, triples.part))
    batch = RayBatch(*other.pool.rays.rays(views.repeat_interleave(3), pixels.view(-1)))
    rendered = render_rays(other.field, batch, jitter.cpu().view(-1, 3)[rows].view(-1))
    depth = (rendered.depth / rendered.opacity).view(-1, 3)
    opaque = (rendered.opacity.detach().view(-1, 3) > 0.5).all(1)
    off = 30.0 * (depth[:, 1] * ((1 - part) / depth[:, 0] + part / depth[:, 2]) - 1).abs()[opaque]
    expected = 3e-4 * (off * 4.0 / (4.0 + off)).mean()
    expected.backward()
    assert opaque.sum() > 10
    torch.testing.assert_close(loss.detach().cpu(), expected.detach(), rtol=rounding(jitter), atol=1e-8)
    tolerance = 2e-2 if jitter.is_cuda else 1e-3
    gradient = other.field.grid.table.grad
    assert gradient.norm() > 0
    assert (trainer.table_grad.cpu() - gradient).norm() < tolerance * gradient.norm()


def test_triples_that_lack_samples_do_not_count(build):
    trainer = build(samples=1152)
    wavy(trainer.field)
    triples = trainer.masked.draw(1024, 2, trainer.generator)
    triples = chosen(triples, triples.counted.nonzero()[:16, 0])
    rays = trainer.rays_of((trainer.pool.starts[triples.views][:, None] + triples.pixels).view(-1))
    jitter = torch.rand(48, generator=torch.Generator().manual_seed(0)).to(trainer.device)

    def loss(live, counted):
        trainer.live_rays.fill_(live)  # the others have no samples
        visible = trainer.visible_samples(rays, jitter)
        assert visible.samples.complete[:live].all()
        some = replace(triples, counted=torch.arange(16, device=trainer.device) < counted)
        return float(trainer.losses(rays, visible, *trainer.target(rays.pixels), triples=some)["planes"].detach())

    dark = loss(31, 16)
    assert dark == pytest.approx(loss(48, 10), rel=1e-4)
    assert dark != pytest.approx(loss(48, 16), rel=1e-4)
    assert loss(2, 16) == 0


def test_a_fixed_number_of_rays_is_used_from_the_first_step_on(build):
    trainer = build(samples=None, rays=300)  # of fog, there would be room for fewer
    assert int(trainer.live_rays) == len(trainer.draw()) == 300


@pytest.mark.gpu
def test_smoothed_steps_are_recorded_and_train(build):
    trainer = build(**SMOOTH | {"density_every": 16})  # its third use is the first that is recorded
    losses = [{name: float(value) for name, value in trainer.step(step).items()} for step in range(70)]
    assert all(step._graph is not None for (_, smooth, flat), step in trainer._steps.items() if smooth and flat)
    assert losses[-1]["color"] < losses[0]["color"]
    assert len({entry["smoothness"] for entry in losses[4:]}) > 10


@pytest.mark.gpu
def test_recorded_steps_draw_other_triples_each_time(build, monkeypatch):
    monkeypatch.setattr(geometry_base, "SAMPLES_PER_TRIPLE", 4)  # few triples of a small picture lie in one mask
    monkeypatch.setattr(geometry_base, "PLANAR_REACH", 2)
    trainer = build(representation="density", lr=1e-6, rays=2048, samples=24 * 2048)
    wavy(trainer.field)  # and stays so: triples count where the field is opaque
    losses = [float(trainer.step(step)["planes"]) for step in range(10, 70)]
    assert trainer._steps[False, False, True]._graph is not None
    assert len(set(losses)) > 10


@pytest.mark.parametrize(("surroundings", "exposure"), [(False, False), (False, True), (True, True)])
def test_losses_and_gradients_are_those_of_the_cpu(build, balls, config, surroundings, exposure):
    scene = replace(balls, background=None, half_extent=1.0) if surroundings else balls
    trainer = build(scene, exposure=exposure)
    assert weakens_near(trainer.field) == surroundings
    if surroundings:
        trainer.live_rays.fill_(8)  # twice as long in the fog
    if exposure:
        with torch.no_grad():
            trainer.exposure.log_gains.copy_(torch.linspace(-0.4, 0.4, 24).view(8, 3))
    rays = trainer.rays_of(trainer.draw())
    jitter = torch.rand(len(rays.pixels), generator=torch.Generator().manual_seed(2)).to(rays.pixels.device)
    live = int(trainer.live_rays)
    visible = trainer.visible_samples(rays, jitter)
    samples = visible.samples
    assert samples.complete[:live].all()
    assert not samples.complete[live:].any()
    gains = trainer.gains(rays.pixels)
    target, background = trainer.target(rays.pixels, gains)
    losses = trainer.losses(rays, visible, target, background, gains)
    torch.stack(list(losses.values())).sum().backward()

    other = HostGeometryTrainer(scene, replace(config, geometry=trainer.settings), torch.device("cpu"))
    other.field.load_state_dict(trainer.field.state_dict())
    if exposure:
        other.exposure.load_state_dict(trainer.exposure.state_dict())
    origins, directions = rays.origins[:live].cpu(), rays.directions[:live].cpu()
    rendered = render_rays(other.field, RayBatch(origins, directions, torch.ones(live)), jitter[:live].cpu())
    assert len(rendered.samples) == int(samples.offsets[-1])
    background = background.cpu() if background.ndim == 1 else background[:live].cpu()
    gains = other.gains(rays.pixels[:live].cpu())
    expected = other.losses(rendered, target[:live].cpu(), background, 1, gains)
    if not exposure:
        shown = rendered.color + (1 - rendered.opacity)[:, None] * background
        torch.testing.assert_close(expected["color"], (shown - target[:live].cpu()).square().mean())
    torch.stack(list(expected.values())).sum().backward()
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        # float32 and, on CUDA, tf32 products.
        torch.testing.assert_close(losses[name].cpu(), value, rtol=3e-3, atol=1e-6)
    tolerance = 2e-2 if rays.pixels.is_cuda else 1e-4
    gradient = other.field.grid.table.grad
    assert (trainer.table_grad.cpu() - gradient).norm() < tolerance * gradient.norm()
    pairs = zip(trainer.learned.named_parameters(), other.learned.named_parameters(), strict=True)
    for (name, one), (_, two) in pairs:
        if not name.endswith("grid.table"):
            assert two.grad.norm() > 0
            assert (one.grad.cpu() - two.grad).norm() < tolerance * two.grad.norm(), name


def test_steps_train_and_a_state_goes_on(trainer, balls, config):
    from ultrafield.training.cuda.geometry import DeviceGeometryTrainer

    first = {name: float(value) for name, value in trainer.step(0).items()}
    assert set(first) == {"color", "opacity", "distortion", "density"}
    assert (trainer.table_grad == 0).all()  # spent by the optimiser
    state = trainer.state(1)
    again = DeviceGeometryTrainer(balls, replace(config, geometry=trainer.settings), trainer.device)
    again.restore(state)
    one, other = ({name: float(value) for name, value in this.step(1).items()} for this in (trainer, again))
    # Atomic additions come in any order on a GPU.
    assert one == pytest.approx(other, rel=1e-3, abs=1e-7)


def test_steps_learn_gains_which_a_state_keeps(build):
    trainer = build(exposure=True)
    trainer.step(0)
    gains = trainer.exposure.log_gains
    assert float(gains.detach().abs().max()) == pytest.approx(1e-2, rel=0.5)  # a step of Adam
    again = build(exposure=True)
    again.restore(trainer.state(1))
    assert torch.equal(again.exposure.log_gains, gains)


@pytest.mark.gpu
def test_recorded_steps_learn_gains(build):
    trainer = build(exposure=True)
    seen = [trainer.step(step) and trainer.exposure.gains().detach().clone() for step in range(60)]
    assert trainer._steps[False, False, True]._graph is not None
    assert len({float(gains[0, 0]) for gains in seen[10:]}) > 40
    torch.testing.assert_close(seen[-1].log().mean(0).cpu(), torch.zeros(3), atol=1e-5, rtol=0)


def test_rays_of_one_picture(build):
    trainer = build(ray_sampling="same_image")
    views, _ = trainer.pool.locate(trainer.draw())
    assert len(views.unique()) == 1


def test_a_picture_of_which_no_pixel_is_used_gives_way_to_another(build):
    trainer = build(ray_sampling="same_image")
    size, last = 24 * 24, trainer.pool.num_views - 1
    used = torch.arange(size, size * last, device=trainer.device)  # all but the first picture's and the last one's
    trainer.pool = replace(trainer.pool, valid=used)
    drawn = [trainer.draw() for _ in range(40)]
    assert all(bool(torch.isin(pixels, used).all()) for pixels in drawn)
    views = [int(trainer.pool.locate(pixels)[0][0]) for pixels in drawn]
    assert set(views) == set(range(1, last))


def test_refreshed_cells_hold_the_denser_of_old_and_new(trainer):
    trainer._refresh(everywhere=True)
    density = trainer.field.occupancy.density
    assert (density > 0.5).all()  # fog of density one at the start
    before = density.clone()
    trainer._refresh(everywhere=False)
    kept = trainer.settings.occupancy_decay
    assert (trainer.field.occupancy.density >= kept * before).all()


class Ball(torch.nn.Module):
    """A density network whose surface is a ball of radius 0.3, from places in the unit cube."""

    def forward(self, places, *, live=None):
        raw = torch.zeros(len(places), 16, device=places.device)
        raw[:, 0] = ((places - 0.5).norm(dim=1) - 0.3 - 0.1) / 0.1
        return raw


def test_rays_end_in_cells_that_let_no_light_through(build, monkeypatch):
    trainer = build(occupancy_resolution=16, max_samples_per_ray=64)
    monkeypatch.setattr(trainer, "_encode", lambda places, live=None: places)
    trainer.field.density_mlp = Ball()
    trainer.field.level_set.set_progress(1.0)
    rays = trainer.rays_of(trainer.draw()[:32])
    jitter = torch.rand(32, generator=torch.Generator().manual_seed(0)).to(rays.cosine.device)
    live = torch.tensor([32], device=trainer.device)
    trainer._refresh(everywhere=True)
    inner = torch.cartesian_prod(*[torch.linspace(0.0, 1.0, 5, device=trainer.device)] * 3)  # corners as well
    cells, grid = torch.arange(16**3, device=trainer.device), trainer.field.occupancy
    places = torch.stack([grid.positions(0, cells, part.expand(len(cells), 3)) for part in inner])
    depth = trainer.field.level_set.depth(Ball()(places.view(-1, 3) + 0.5)[:, 0]).view(len(inner), -1)
    trainer._depth[0] = depth.amin(dim=0)  # of all of a cell, not of where it was looked at
    trainer._settle()
    assert bool(trainer.solid.any())
    occupied, visible = trainer._visible(rays, jitter, live, 2048, 2048)
    trainer.solid.zero_()
    every, wanted = trainer._visible(rays, jitter, live, 2048, 2048)
    assert bool(every.complete.all())
    assert int(occupied.offsets[-1]) < 0.8 * int(every.offsets[-1])
    assert torch.equal(visible.samples.offsets, wanted.samples.offsets)
    assert torch.equal(visible.samples.t, wanted.samples.t)
    assert int((visible.samples.offsets.diff() > 0).sum()) > 10


def test_what_a_cell_stops_falls_at_once_and_grows_slowly(trainer):
    level_set, cell = trainer.field.level_set, torch.tensor([3, 3], device=trainer.device)
    level_set.set_progress(1.0)
    deep, open_space = torch.full((2, 16), -2.0), torch.full((2, 16), 2.0)
    for visit in range(1, 7):
        trainer._deepen(0, cell, deep.to(trainer.device))
        assert float(trainer._depth[0, 3]) == 2.0 * visit
    trainer._deepen(0, cell, open_space.to(trainer.device))
    assert float(trainer._depth[0, 3]) < 1e-6
    level_set.set_progress(0.0)  # while densities are those of places, no depth is known
    trainer._deepen(0, cell, deep.to(trainer.device))
    assert float(trainer._depth.max()) < 1e-6
