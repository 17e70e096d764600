"""Soft light for synthetic pictures: a warm area light and a sky dome, both with shadows.

Every light is a fixed set of points or directions, the same for every surface point and camera. The light that arrives
somewhere is therefore a function of the place alone, as in reality, and pictures of different cameras agree; drawing
random directions per pixel would put noise into them that no radiance field can explain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .raycast import Raycaster

GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))
KEY_CENTRE = np.array([2.6, -3.4, 5.2])
KEY_RADIUS = 1.1
KEY_COLOR = np.array([1.0, 0.93, 0.82], np.float32) * 1.1
SKY_COLOR = np.array([0.80, 0.90, 1.0], np.float32) * 0.75
GROUND_COLOR = np.array([1.0, 0.92, 0.82], np.float32) * 0.36
LOWEST_SKY = -0.35  # sine of the elevation where the dome ends: some light from below keeps undersides readable
OFFSET = 2e-4  # how far above the surface shadow rays start, file units


@dataclass(frozen=True, eq=False)
class Lights:
    """Samples of the two lights.

    Attributes:
        key: Points on the area light [A, 3], float32.
        sky: Unit directions of the dome [B, 3], float32.
        sky_color: Light from each direction [B, 3], float32, weighted so that an unshadowed upward face gets the sum.
    """

    key: np.ndarray
    sky: np.ndarray
    sky_color: np.ndarray

    def subset(self, index: int, count: int) -> Lights:
        """The `index`-th of `count` interleaved shares, scaled so that the mean over all shares is the whole."""
        key, sky = (_share(len(samples), index, count) for samples in (self.key, self.sky))
        return Lights(self.key[key], self.sky[sky], self.sky_color[sky] * np.float32(len(self.sky) / len(sky)))


def _share(samples: int, index: int, count: int) -> np.ndarray:
    """Indices of an interleaved share; with fewer samples than shares, single samples are used again."""
    return np.arange(index, samples, count) if samples >= count else np.array([index % samples])


def make_lights(key_samples: int, sky_samples: int) -> Lights:
    """Spread samples evenly over the area light and the dome (Fibonacci spirals)."""
    turn = GOLDEN_ANGLE * np.arange(key_samples)
    disc = KEY_RADIUS * np.sqrt((np.arange(key_samples) + 0.5) / key_samples)
    towards = KEY_CENTRE / np.linalg.norm(KEY_CENTRE)
    right = np.cross(towards, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    above = np.cross(right, towards)
    key = KEY_CENTRE + (disc * np.cos(turn))[:, None] * right + (disc * np.sin(turn))[:, None] * above

    height = LOWEST_SKY + (1 - LOWEST_SKY) * (np.arange(sky_samples) + 0.5) / sky_samples
    # Neighbours in height must not share a subset's side of the sky, so the order is shuffled, once and for all.
    height = np.random.default_rng(0).permutation(height)
    turn = GOLDEN_ANGLE * np.arange(sky_samples) + 0.5
    flat = np.sqrt(1 - height**2)
    sky = np.stack([flat * np.cos(turn), flat * np.sin(turn), height], axis=1)
    blend = np.clip((height[:, None] + 0.15) / 0.6, 0, 1)
    color = GROUND_COLOR * (1 - blend) + SKY_COLOR * blend
    # Uniform directions on the dome: the cosine-weighted mean of a constant sky over an upward face is one.
    color *= 1 / max(np.maximum(height, 0).sum(), 1e-6)
    return Lights(key.astype(np.float32), sky.astype(np.float32), color.astype(np.float32))


def shade(
    caster: Raycaster,
    lights: Lights,
    points: np.ndarray,
    flat: np.ndarray,
    smooth: np.ndarray,
    albedo: np.ndarray,
    directions: np.ndarray,
    gloss: np.ndarray,
) -> np.ndarray:
    """Light that leaves surface points towards the camera.

    Args:
        caster: The scene, for shadows.
        lights: The lights.
        points: Surface points [K, 3], float32.
        flat: Geometric normals [K, 3], float32.
        smooth: Shading normals [K, 3], float32.
        albedo: Surface colours [K, 3], float32, sRGB in [0, 1].
        directions: Unit directions from the camera to the points [K, 3], float32.
        gloss: Strength of the highlight [K], float32.

    Returns:
        sRGB colours [K, 3], float32 in [0, 1].
    """
    start = points + OFFSET * flat
    base = linear(albedo)
    light = np.zeros_like(base)
    highlight = np.zeros(len(base), np.float32)
    reflected = directions - 2 * (directions * smooth).sum(1, keepdims=True) * smooth
    for point in lights.key:
        towards = point - start
        distance = np.linalg.norm(towards, axis=1, keepdims=True)
        towards /= distance
        cosine, chosen = _facing(towards, flat, smooth)
        chosen = chosen[~caster.occluded(start[chosen], towards[chosen], distance[chosen, 0])]
        light[chosen] += cosine[chosen, None] * (KEY_COLOR / len(lights.key))
        mirror = np.maximum((reflected[chosen] * towards[chosen]).sum(1), 0)
        highlight[chosen] += mirror**40 / len(lights.key)
    for direction, color in zip(lights.sky, lights.sky_color, strict=True):
        cosine, chosen = _facing(direction[None], flat, smooth)
        chosen = chosen[~caster.occluded(start[chosen], np.broadcast_to(direction, (len(chosen), 3)).copy())]
        light[chosen] += cosine[chosen, None] * color
    return encode(base * light + (0.35 * gloss * highlight)[:, None] * KEY_COLOR)


def _facing(towards: np.ndarray, flat: np.ndarray, smooth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosines with the shading normal [K], and which points face a light both geometrically and as shaded."""
    cosine = (smooth * towards).sum(1)
    return cosine, np.flatnonzero((cosine > 0) & ((flat * towards).sum(1) > 0))


def linear(color: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] to linear light."""
    return np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4).astype(np.float32)


def encode(light: np.ndarray) -> np.ndarray:
    """Linear light to sRGB in [0, 1]; what is brighter than white is cut off."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055).astype(np.float32)
