"""Tray and crockery of the built-in still-life; outlines are radius and height in decimetres."""

from __future__ import annotations

import numpy as np

from .props import CORAL, CREAM, GOLD, NAVY, Parts
from .shapes import Color, bands, fade, joined, mix, mottled, painted, petals, tube, turned, wood

TEAL = (0.16, 0.52, 0.52)
TEA = (0.55, 0.27, 0.09)
PORCELAIN = 0.8  # gloss


POT = (
    (0, 0),
    (0.18, 0),
    (0.19, 0.03),
    (0.33, 0.14),
    (0.38, 0.27),
    (0.33, 0.42),
    (0.20, 0.50),
    (0.17, 0.52),
    (0, 0.52),
)
POT_SPOUT = ((0.30, 0, 0.17), (0.46, 0, 0.24), (0.55, 0, 0.38), (0.64, 0, 0.49))
POT_HANDLE = ((-0.30, 0, 0.42), (-0.50, 0, 0.44), (-0.60, 0, 0.29), (-0.49, 0, 0.14), (-0.32, 0, 0.14))
POT_COVER = ((0, 0.50), (0.19, 0.515), (0.195, 0.535), (0.12, 0.585), (0, 0.60))
POT_KNOB = ((0, 0.59), (0.035, 0.60), (0.03, 0.62), (0.065, 0.67), (0, 0.715))
CUP = (
    (0, 0.045),
    (0.09, 0.045),
    (0.15, 0.09),
    (0.185, 0.17),
    (0.20, 0.26),
    (0.188, 0.26),
    (0.17, 0.17),
    (0.13, 0.10),
    (0, 0.08),
)
CUP_HANDLE = ((0.175, 0, 0.215), (0.26, 0, 0.23), (0.295, 0, 0.16), (0.24, 0, 0.10), (0.145, 0, 0.10))
SAUCER = ((0, 0.012), (0.13, 0), (0.15, 0.012), (0.30, 0.055), (0.295, 0.068), (0.15, 0.03), (0, 0.035))
SUGAR = ((0, 0), (0.09, 0), (0.13, 0.05), (0.155, 0.13), (0.12, 0.21), (0, 0.21))
SUGAR_LID = ((0, 0.20), (0.13, 0.205), (0.13, 0.225), (0.07, 0.26), (0, 0.265))
SUGAR_KNOB = ((0, 0.25), (0.02, 0.265), (0.042, 0.30), (0, 0.33))
DISH = (
    (0, 0.07),
    (0.16, 0.075),
    (0.32, 0.14),
    (0.43, 0.27),
    (0.415, 0.28),
    (0.30, 0.165),
    (0.15, 0.11),
    (0, 0.105),
)
DISH_FOOT = ((0, 0), (0.17, 0), (0.18, 0.02), (0.13, 0.075), (0, 0.08))
TRAY = ((0, -0.07), (1.16, -0.07), (1.16, 0), (0, 0))
TRAY_RIM = ((1.16, -0.07), (1.22, -0.04), (1.24, 0.06), (1.20, 0.07), (1.16, 0))
TRAY_FOOT = ((0, -0.16), (0.07, -0.16), (0.09, -0.10), (0.09, -0.07))


def tray() -> Parts:
    """A round walnut tray on three brass feet."""
    feet = [turned(TRAY_FOOT, sections=24) for _ in range(3)]
    for foot, angle in zip(feet, np.radians([30, 150, 270]), strict=True):
        foot.apply_translation([0.95 * np.cos(angle), 0.95 * np.sin(angle), 0])
    walnut = wood((0.78, 0.58, 0.37), (0.52, 0.33, 0.18), rings=6)
    return {
        "board": painted(turned(TRAY, sections=160), walnut, gloss=0.1),
        "rim": painted(turned(TRAY_RIM, sections=160), (0.40, 0.24, 0.12), gloss=0.3),
        "feet": painted(joined(*feet), GOLD, gloss=0.6),
    }


def teapot() -> Parts:
    """A round pot with a wreath of dots, its spout towards x."""
    stripes = bands(CREAM, (0.10, 0.125, GOLD), (0.43, 0.455, GOLD), (0.15, 0.185, NAVY))
    glaze = petals(stripes, NAVY, count=14, height=0.30, size=0.05)
    spout = tube(POT_SPOUT, [0.10, 0.075, 0.052, 0.045])
    return {
        "body": painted(turned(POT, steps=90, sections=128), glaze, gloss=PORCELAIN),
        "spout": painted(spout, fade(CREAM, NAVY, 0.40, 0.47), gloss=PORCELAIN),
        "handle": painted(tube(POT_HANDLE, [0.035] * 5), NAVY, gloss=PORCELAIN),
        "lid/cover": painted(turned(POT_COVER, steps=24), bands(NAVY, (0.552, 0.568, GOLD)), gloss=PORCELAIN),
        "lid/knob": painted(turned(POT_KNOB, steps=20, sections=32), GOLD, gloss=0.9),
    }


def cup(color: Color) -> Parts:
    """A full cup on its saucer, its handle towards x."""

    def rings(points: np.ndarray) -> np.ndarray:
        radius = np.hypot(points[:, 0], points[:, 1])
        inside = (radius > 0.265) | ((radius > 0.185) & (radius < 0.21))
        return mix(CREAM, color, inside.astype(float))

    stripes = bands(CREAM, (0.225, 0.262, color), (0.12, 0.15, color))
    tea = turned([(0.165, 0.195), (0, 0.195)])
    return {
        "bowl": painted(turned(CUP, steps=60), stripes, gloss=PORCELAIN),
        "handle": painted(tube(CUP_HANDLE, [0.02] * 5), color, gloss=PORCELAIN),
        "tea": painted(tea, mottled(TEA, (0.62, 0.33, 0.12), scale=14), gloss=0.6),
        "saucer": painted(turned(SAUCER, steps=60), rings, gloss=PORCELAIN),
    }


def sugar_bowl() -> Parts:
    """A ribbed bowl with a lid."""

    def ribs(points: np.ndarray) -> np.ndarray:
        wave = np.sin(16 * np.arctan2(points[:, 1], points[:, 0]))
        return mix(TEAL, (0.45, 0.75, 0.72), 0.5 + 0.5 * wave)

    return {
        "body": painted(turned(SUGAR, steps=50), ribs, gloss=PORCELAIN),
        "lid": painted(turned(SUGAR_LID, steps=24), CREAM, gloss=PORCELAIN),
        "knob": painted(turned(SUGAR_KNOB, steps=16, sections=28), CORAL, gloss=PORCELAIN),
    }


def fruit_bowl() -> Parts:
    """A wide bowl with a wavy pattern, on a foot."""

    def waves(points: np.ndarray) -> np.ndarray:
        angle = np.arctan2(points[:, 1], points[:, 0])
        dark = np.sin(60 * points[:, 2] + 2.2 * np.sin(9 * angle)) > 0.2
        return mix((0.78, 0.86, 0.90), (0.22, 0.42, 0.62), dark.astype(float))

    return {
        "dish": painted(turned(DISH, steps=80, sections=120), waves, gloss=0.6),
        "foot": painted(turned(DISH_FOOT), (0.22, 0.36, 0.52), gloss=0.5),
    }
