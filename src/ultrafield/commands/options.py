"""Options that several commands share, and how they become a `Config`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, Self

import tyro

from .. import config as settings
from ..budget import limit_memory
from ..config import Config, Engine, FeatureConfig, GeometryConfig, Linkage, Preset, SegmentConfig, check_memory
from ..config.limits import SEGMENT
from ..config.ranges import Range, Ranges, check_number
from ..errors import ConfigError, SceneError, reason_of
from ..pipeline.console import Report
from ..scene import options as scene_options

Device = Literal["auto", "cpu", "cuda"]
PresetChoice = Literal["auto", "draft", "standard", "paper"]

SceneArgument = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SCENE")]
RunArgument = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
RunOption = Annotated[Path, tyro.conf.arg(metavar="RUN", aliases=("-o",))]
Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff]
Unprefixed = tyro.conf.arg(name="")

LinkageOption = Annotated[
    Linkage | None,
    tyro.conf.arg(metavar="{single,average}", help_behavior_hint="(default: as --segment.linkage)"),
]
CutsOption = Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: as --segment.cuts)")]

SHORTHANDS = ("linkage", "cuts")  # for --segment.linkage and --segment.cuts

MEMORY: Ranges = {"memory": Range(0.5, 1 << 20)}


@dataclass(frozen=True, kw_only=True)
class MemoryLimit(ABC):
    """What commands have in common: they take no more memory than they may.

    Attributes:
        memory: Memory that may be taken, GiB; half of the machine's if not given.
    """

    memory: Annotated[float | None, tyro.conf.arg(metavar="GIB")] = None

    def __post_init__(self) -> None:
        for options in (self, getattr(self, "data", None)):
            for value in () if options is None else vars(options).values():
                if isinstance(value, Path):
                    check_place(value)
        out = getattr(self, "out", None)
        if isinstance(out, Path) and out.exists() and not out.is_dir():
            raise SceneError(f"{out}: exists and is not a folder")

    def execute(self) -> None:
        """Carry the command out within the limit."""
        limit_memory(self.memory)
        self.carry_out()

    @abstractmethod
    def carry_out(self) -> None:
        """Do what the command is for."""


def check_place(path: Path) -> None:
    """Raise `SceneError` for a path that can neither be read nor made: too long, below a file, a link to itself, …"""
    try:
        path.stat()
    except FileNotFoundError:
        return
    except (OSError, ValueError) as failure:  # ValueError: a null character
        raise SceneError(f"{path}: {reason_of(failure)}") from None


@dataclass(frozen=True)
class SceneOptions(scene_options.SceneOptions):
    __doc__ = scene_options.SceneOptions.__doc__

    width: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    half_extent: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    masks: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    allow_missing: Switch = False
    recentre: Switch = False
    images: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None


@dataclass(frozen=True)
class MethodOptions:
    """Engine, preset and settings.

    Attributes:
        engine: Where dissimilarity comes from: a trained feature field, votes of lifted masks (no training), or both.
        preset: Settings to start from; auto takes standard with CUDA and draft without.
        seed: Seed of every random draw.
        linkage: Shorthand for --segment.linkage.
        cuts: Shorthand for --segment.cuts.
        geometry: Training of density and colour.
        features: Training of the feature field.
        segment: From field to tree and labels.
    """

    engine: Engine = "lift"
    preset: PresetChoice = "auto"
    seed: int = 0
    linkage: LinkageOption = None
    cuts: CutsOption = None
    geometry: GeometryConfig = field(default_factory=GeometryConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)
    segment: SegmentConfig = field(default_factory=SegmentConfig)

    @classmethod
    def of_preset(cls, name: Preset) -> Self:
        """The options with everything that preset `name` decides filled in."""
        base = settings.preset(name)
        return cls(engine=base.engine, geometry=base.geometry, features=base.features, segment=base.segment)

    def informed(self, device: Device) -> Self | None:
        """Options with the defaults of the preset that `auto` stands for, None where that is the draft."""
        name, _ = choose_preset(self.preset, device)
        return None if name in (self.preset, "draft") else self.of_preset(name)

    def config(self, name: Preset) -> Config:
        """The settings of a run whose preset is `name`."""
        return Config(
            engine=self.engine,
            preset=name,
            seed=self.seed,
            geometry=self.geometry,
            features=self.features,
            segment=with_shorthands(self.segment, self.linkage, self.cuts),
        )


def check_shorthands(options: Collection[str]) -> None:
    """Raise `ConfigError` where options, by name, give a setting twice: by its own name and by the shorthand for it."""
    for name in SHORTHANDS:
        if name in options and f"segment.{name}" in options:
            raise ConfigError(f"is the same as --segment.{name}; give one of them", setting=name)


def with_shorthands(segment: SegmentConfig, linkage: Linkage | None, cuts: int | None) -> SegmentConfig:
    """`segment` with --linkage and --cuts applied where they were given."""
    check_number("cuts", cuts, int, SEGMENT["cuts"], optional=True)
    return replace(segment, linkage=linkage or segment.linkage, cuts=cuts or segment.cuts)


def choose_preset(choice: PresetChoice, device: Device) -> tuple[Preset, str]:
    """Settle `auto`: standard with CUDA, draft without.

    Returns:
        The preset and the reason, for the user.
    """
    if choice != "auto":
        return choice, "as asked"
    if device == "cpu":
        return "draft", "the device is the CPU"
    if device == "cuda":
        return "standard", "the device is CUDA"
    import torch

    if not torch.cuda.is_available():
        return "draft", "there is no CUDA device"
    if find_spec("triton") is None:
        return "draft", "the CUDA device cannot be used without Triton: pip install triton"
    return "standard", "the device is CUDA"


def announced_config(method: MethodOptions, device: Device, report: Report) -> Config:
    """The settings of the run; says which preset they start from, and why."""
    if device == "cuda":
        from ..training import resolve_device

        resolve_device(device)  # before anything is written for a device that is not there
    name, reason = choose_preset(method.preset, device)
    report.note(f"preset {name} ({reason}), engine {method.engine}")
    config = method.config(name)
    check_memory(config)
    return config
