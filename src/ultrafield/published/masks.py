"""The published `scripts/get_hierarchy.py`, and what stands for `scripts/get_seg.py`, whose weights are not read."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..errors import ConfigError, SceneError
from ..io import write_npy
from ..pipeline.console import Report
from ..pipeline.guard import guarded

# Options of SAM's automatic mask generator: name and kind.
_GENERATOR = (
    ("points-per-side", int),
    ("points-per-batch", int),
    ("pred-iou-thresh", float),
    ("stability-score-thresh", float),
    ("stability-score-offset", float),
    ("box-nms-thresh", float),
    ("crop-n-layers", int),
    ("crop-nms-thresh", float),
    ("crop-overlap-ratio", float),
    ("crop-n-points-downscale-factor", int),
    ("min-mask-region-area", int),
)


def hierarchy_main(arguments: Sequence[str] | None = None) -> int:
    """`python scripts/get_hierarchy.py --input SEG --output HIERARCHY`; returns the exit code."""
    return guarded("get_hierarchy.py", lambda: _hierarchy(build_hierarchy_parser().parse_args(arguments)))


def seg_main(arguments: Sequence[str] | None = None) -> int:
    """`python scripts/get_seg.py --input IMAGES --output DIR …`; returns exit code 2 and says what to do instead."""
    return guarded("get_seg.py", lambda: _refuse(build_seg_parser().parse_args(arguments)))


def build_hierarchy_parser() -> argparse.ArgumentParser:
    """The parser of `get_hierarchy.py`."""
    parser = argparse.ArgumentParser(prog="get_hierarchy.py", description="The published command, on Ultrafield.")
    parser.add_argument("--input", required=True, help="folder with one folder of mask pictures per image")
    parser.add_argument("--output", required=True, help="folder for IMAGE_inside.npy and IMAGE_same.npy")
    return parser


def build_seg_parser() -> argparse.ArgumentParser:
    """The parser of `get_seg.py`: the published flags and those of SAM's mask generator."""
    parser = argparse.ArgumentParser(
        prog="get_seg.py",
        description="The published command. It does not read these weights: it only says what to do instead.",
    )
    parser.add_argument("--input", required=True, help="folder of pictures")
    parser.add_argument("--output", required=True, help="folder for the masks")
    parser.add_argument("--model-type", default="vit_h", help="kind of SAM")
    parser.add_argument("--checkpoint", help="SAM's weights")
    parser.add_argument("--resize-fact", type=float, default=1.0, help="factor on the size of the pictures")
    parser.add_argument("--device", default="cuda", help="where SAM would run")
    parser.add_argument("--convert-to-rle", action="store_true", help="SAM's JSON output")
    generator = parser.add_argument_group("SAM's automatic mask generator")
    for name, kind in _GENERATOR:
        generator.add_argument(f"--{name}", type=kind)
    return parser


def _refuse(options: argparse.Namespace) -> None:
    given = options.model_type if options.checkpoint is None else options.checkpoint
    raise ConfigError(
        f"{given}: this form of SAM's weights is not read; `ultrafield masks SCENE --model sam --checkpoint DIR` takes "
        "them as transformers stores them, and without --model it makes masks without weights"
    )


def _hierarchy(options: argparse.Namespace) -> None:
    from ..masks import mask_files, read_mask_files

    source, target, report = Path(options.input), Path(options.output), Report()
    folders = sorted(folder for folder in source.glob("*") if folder.is_dir())
    if not folders:
        raise SceneError(f"{source}: holds no folders of mask pictures")
    for folder in report.track(folders, len(folders), "hierarchy"):
        files = mask_files(folder)
        if not files:
            raise SceneError(f"{folder}: holds no mask pictures")
        mask_set = read_mask_files(files)
        write_npy(target / f"{folder.name}_inside.npy", mask_set.inside)
        write_npy(target / f"{folder.name}_same.npy", mask_set.same)
    report.result(f"{target}: hierarchy of {len(folders)} views")
