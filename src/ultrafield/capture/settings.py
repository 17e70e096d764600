"""Settings of an import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..config.ranges import SEED, Range, Ranges, check_settings
from ..errors import ConfigError

LensChoice = Literal["auto", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "OPENCV_FISHEYE"]
Matching = Literal["auto", "exhaustive", "sequential"]

LIMITS: Ranges = {
    "frames": Range(3, 10_000),
    "rate": Range(0, 240, above=True),
    "feature_size": Range(256, 1 << 13),
    "seed": SEED,
    "threads": Range(1, 64),
}


@dataclass(frozen=True)
class ImportConfig:
    """Settings of an import.

    Attributes:
        frames: Frames to take from a video; by default as many as its motion asks for, up to 150.
        rate: Frames to take from each second of a video, instead of --frames.
        lens: Lens model of the photographs (COLMAP's names); auto takes OPENCV for ten pictures or more of one camera.
        matching: Which pictures are compared: all with all, or neighbours in order and those that look alike; auto
            compares all up to 150.
        feature_size: Longer edge of the pictures in which features are looked for, pixels.
        undistort: Write pictures without the distortion of their lens.
        keep_all: Keep blurred pictures and duplicates.
        keep_frame: Keep position, direction and scale of a model; otherwise up becomes z, and the cameras' mean
            distance from what they look at one.
        seed: Seed of the mapping's random draws.
        threads: Threads of the mapping; one per CPU if not given.
    """

    frames: int | None = None
    rate: float | None = None
    lens: LensChoice = "auto"
    matching: Matching = "auto"
    feature_size: int = 1600
    undistort: bool = False
    keep_all: bool = False
    keep_frame: bool = False
    seed: int = 0
    threads: int | None = None

    def __post_init__(self) -> None:
        check_settings(self, LIMITS)
        if self.frames is not None and self.rate is not None:
            raise ConfigError("expected a number of frames or a rate, got both", setting="rate")
