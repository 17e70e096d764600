from __future__ import annotations

import numpy as np
import trimesh

from ultrafield.synth.raycast import Raycaster
from ultrafield.synth.scene_graph import build_model
from ultrafield.synth.shading import Lights, encode, linear, make_lights, shade


def floor_light(lights: Lights, *, roof: bool, albedo: float = 0.5, gloss: float = 0.0) -> np.ndarray:
    """Colours [K, 3] of a floor at z = 0 around the origin, seen from above, with or without a roof over it."""
    scene = trimesh.Scene()
    scene.add_geometry(trimesh.creation.box((8, 8, 0.1), trimesh.transformations.translation_matrix([0, 0, -0.05])))
    if roof:
        scene.add_geometry(trimesh.creation.box((8, 8, 0.1), trimesh.transformations.translation_matrix([0, 0, 0.6])))
    caster = Raycaster(build_model(scene, name="t"))
    points = np.float32([[x, y, 0] for x in (-0.3, 0, 0.4) for y in (-0.2, 0.1)])
    up = np.tile(np.float32([0, 0, 1]), (len(points), 1))
    glossy = np.full(len(points), gloss, np.float32)
    return shade(caster, lights, points, up, up, np.full_like(points, albedo), -up, glossy)


def test_roof_takes_most_of_the_light() -> None:
    lights = make_lights(8, 32)
    open_sky, covered = linear(floor_light(lights, roof=False)), linear(floor_light(lights, roof=True))
    assert (covered < 0.35 * open_sky).all()
    assert (covered >= 0).all()
    assert (open_sky < 1).all()


def test_light_is_the_same_at_every_open_place() -> None:
    color = floor_light(make_lights(8, 32), roof=False)
    assert np.ptp(color, axis=0).max() < 0.02


def test_shares_of_the_lights_average_to_the_whole() -> None:
    lights = make_lights(8, 32)
    shares = [linear(floor_light(lights.subset(index, 4), roof=False, albedo=0.2)) for index in range(4)]
    whole = linear(floor_light(lights, roof=False, albedo=0.2))
    np.testing.assert_allclose(np.mean(shares, axis=0), whole, rtol=1e-4)


def test_fewer_samples_than_shares_still_light_every_share() -> None:
    lights = make_lights(1, 2)
    for index in range(4):
        share = lights.subset(index, 4)
        assert len(share.key) == len(share.sky) == 1


def test_gloss_only_adds_light() -> None:
    lights = make_lights(8, 16)
    plain, glossy = (floor_light(lights, roof=False, gloss=gloss) for gloss in (0.0, 1.0))
    assert (glossy >= plain).all()


def test_encoding_round_trip() -> None:
    values = np.linspace(0, 1, 101, dtype=np.float32)
    np.testing.assert_allclose(encode(linear(values)), values, atol=1e-5)
    np.testing.assert_allclose(encode(np.float32([-1.0, 7.0])), [0, 1], atol=1e-6)
