"""Masks of everything by SAM ViT-H and SAM 2 large with random weights: the original generator's masks, and time.

    python benchmarks/sam.py [--models sam sam2] [--pictures 3] [--points-per-side 32] [--points-per-batch 256]
        [--device cuda] [--small] [--float64] [--json FILE]

Networks with the published architectures and random weights (see `lib/random_sam.py`) are saved as transformers saves
them and loaded from disk. Where the package `segment-anything` is (it needs torchvision), its generator gets the same
weights, and its masks are compared with ours, both in float32 without TF32: how many are the same (IoU of at least
0.99), and whether they come in the same order of predicted qualities. As a control, masks are compared with those of
another picture too; and fewer masks than `--least` prove nothing. With `--float64` both compute in double precision,
which tells whether what differs is rounding; nothing is timed then. SAM 2 has a package of its own, which is not on
PyPI; its generator is that of the first one but for what `lib/original_sam.py` says.

Seconds are medians per picture after one that does not count, from a picture to masks on the host; with their
hierarchy, which a thread of its own finds while the next picture is on the device. Memory is the peak of what PyTorch
had allocated.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from lib.double import double_precision
from lib.machine import gpu, processor
from lib.networks import sam2_large, sam2_small, sam_huge, sam_small
from lib.options import parser_of, positive
from lib.original_sam import StretchedPredictor, original_model, stretched_generator
from lib.random_sam import fit_heads, randomise
from lib.results import Results, print_header, print_row
from lib.times import Times, wall

from ultrafield.masks.sam import network as sam_network
from ultrafield.masks.sam.checkpoint import open_checkpoint
from ultrafield.masks.sam.families import FAMILIES, Precision
from ultrafield.masks.sam.generator import GeneratedMasks, MaskGenerator
from ultrafield.masks.sam.network import Network
from ultrafield.masks.sam.options import GeneratorOptions

_BUILD: dict[tuple[str, bool], Callable[[], Any]] = {
    ("sam", False): sam_huge,
    ("sam2", False): sam2_large,
    ("sam", True): sam_small,
    ("sam2", True): sam2_small,
}
_SAME_IOU, _SAME_SHARE = 0.99, 0.99
_COLUMNS = ("network, generator", "s per picture", "fastest", "slowest", "hierarchy s", "masks", "peak GB")


def main(arguments: list[str] | None = None) -> int:
    """Compare and time; the exit code is 1 if masks differ or are too few."""
    options = parsed(arguments)
    results = Results("sam", options)
    device = torch.device(options.device)
    print(f"{gpu() if device.type == 'cuda' else processor()}, PyTorch {torch.__version__}")
    pictures = [blobs(options.size, seed) for seed in range(options.pictures)]
    right = True
    with tempfile.TemporaryDirectory() as folder:
        for name in options.models:
            save(name, Path(folder) / name, options, pictures[0], device)
            right &= compare(name, Path(folder) / name, options, pictures, device, results)
            if not options.float64:
                measure(name, Path(folder) / name, options, pictures, device, results)
    results.save()
    return 0 if right else 1


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--models", nargs="+", default=["sam", "sam2"], choices=("sam", "sam2"))
    parser.add_argument("--pictures", type=positive, default=3)
    parser.add_argument("--size", type=positive, default=1024, help="width and height of the pictures")
    parser.add_argument("--points-per-side", type=positive, default=32)
    parser.add_argument("--points-per-batch", type=positive, default=256, help="the original generator asks 64")
    parser.add_argument("--stability", type=float, default=0.9, help="least stability of a mask")
    parser.add_argument("--box-nms", type=float, default=0.9, help="IoU of boxes of near-duplicates")
    parser.add_argument("--min-region", type=int, default=0, help="holes and islands that are cleaned, pixels")
    parser.add_argument("--crops", type=int, default=0, help="layers of crops")
    parser.add_argument("--least", type=positive, default=24, help="masks of a picture, below which nothing is proved")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--small", action="store_true", help="small networks, to try the benchmark itself")
    parser.add_argument("--float64", action="store_true", help="compare in double precision, and time nothing")
    parser.add_argument("--repeats", type=positive, default=5)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(arguments)


def blobs(size: int, seed: int) -> np.ndarray:
    """A picture [H, W, 3] uint8 of three dozen discs on a gradient, with a little noise."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    picture = np.stack([rows, columns, rows + columns], axis=-1) / (2 * size) * 160 + 40
    for _ in range(36):
        row, column = generator.uniform(0, size, 2)
        radius = generator.uniform(0.02, 0.15) * size
        picture[(rows - row) ** 2 + (columns - column) ** 2 < radius**2] = generator.uniform(0, 255, 3)
    noisy: np.ndarray = (picture + generator.normal(0, 4, picture.shape)).clip(0, 255).astype(np.uint8)
    return noisy


def save(name: str, folder: Path, options: argparse.Namespace, picture: np.ndarray, device: torch.device) -> None:
    """Save a network with random weights as transformers saves it."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    began = time.perf_counter()
    model = _BUILD[name, options.small]().eval()
    randomise(model, options.seed)
    model = model.to(device)
    side = int(model.prompt_encoder.input_image_size)
    pixels = torch.from_numpy(picture).to(device).permute(2, 0, 1)[None].float() / 127.5 - 1
    pixels = torch.nn.functional.interpolate(pixels, (side, side), mode="bilinear", antialias=True)
    fit_heads(model, pixels, spread=60.0, inside=0.05, quality=FAMILIES[name].pred_iou_thresh)  # type: ignore[index]
    model.cpu().save_pretrained(folder)
    count = sum(weight.numel() for weight in model.parameters())
    print(f"{name}: {count / 1e6:.0f} M random weights saved in {time.perf_counter() - began:.0f} s", flush=True)


def ours(
    name: str, folder: Path, options: argparse.Namespace, device: torch.device, precision: Precision
) -> MaskGenerator:
    """Our generator with the weights in a folder."""
    network = Network(open_checkpoint(name, str(folder)), device, precision)  # type: ignore[arg-type]
    settings = GeneratorOptions(points_per_batch=options.points_per_batch, **shared(options))
    return MaskGenerator(network, settings)


def shared(options: argparse.Namespace) -> dict[str, Any]:
    """Settings of both generators."""
    return {
        "points_per_side": options.points_per_side,
        "stability_score_thresh": options.stability,
        "box_nms_thresh": options.box_nms,
        "crop_nms_thresh": options.box_nms,
        "crop_n_layers": options.crops,
        "min_mask_region_area": options.min_region,
    }


def loaded(folder: Path) -> Any:
    """The network in a folder, in single precision."""
    import transformers

    return transformers.AutoModelForMaskGeneration.from_pretrained(folder).eval()


def original(name: str, model: Any, options: argparse.Namespace, device: torch.device) -> Any:
    """The original generator with a network's weights."""
    from segment_anything import SamAutomaticMaskGenerator

    family = FAMILIES[name]  # type: ignore[index]
    settings = shared(options) | {"pred_iou_thresh": family.pred_iou_thresh}
    if name == "sam":
        return SamAutomaticMaskGenerator(original_model(model).to(device), **settings)
    return stretched_generator(StretchedPredictor(model.to(device), family.mean, family.std), **settings)


def compare(
    name: str,
    folder: Path,
    options: argparse.Namespace,
    pictures: list[np.ndarray],
    device: torch.device,
    results: Results,
) -> bool:
    """Compare masks with the original generator's; whether they are the same."""
    if find_spec("segment_anything") is None or find_spec("torchvision") is None:
        print(f"{name}: segment-anything or torchvision is not installed; nothing to compare with")
        return True
    model = loaded(folder)
    with ExitStack() as stack:
        stack.enter_context(torch.backends.cudnn.flags(allow_tf32=False))
        if options.float64:
            stack.enter_context(double_precision())
            stack.enter_context(mock.patch.object(sam_network, "_load", return_value=deepcopy(model.double())))
        fast, slow = ours(name, folder, options, device, "float32"), original(name, model, options, device)
        found = [fast.generate(picture) for picture in pictures]
        expected = [slow.generate(picture) for picture in pictures]
    right = True
    for index, (masks, records) in enumerate(zip(found, expected, strict=True)):
        row = agreement(masks, records)
        control = agreement(found[index - 1], records)["same"] if len(pictures) > 1 else 0.0
        enough = len(records) >= options.least
        good = enough and row["same"] >= _SAME_SHARE and row["ordered"] and control < 0.5
        right &= good
        results.add(operation=f"{name}: picture {index}", **row, control=control, right=good)
        print(
            f"{name}: picture {index}: {len(records)} masks of the original, {len(masks)} of ours; IoU of at least "
            f"{_SAME_IOU}: {row['same']:.2%} (another picture's: {control:.0%}); least IoU {row['least']:.4f}; same "
            f"order of scores: {'yes' if row['ordered'] else 'NO'}; largest difference of scores {row['scores']:.1e}"
            f"{'' if enough else '; TOO FEW to prove anything'}",
            flush=True,
        )
    return right


def agreement(masks: GeneratedMasks, records: list[dict[str, Any]]) -> dict[str, Any]:
    """How far masks are those of the original generator.

    Returns:
        Share of the original's masks that have one of ours with an IoU of at least 0.99 (`same`), the least IoU with
        the best one (`least`), whether masks that are the same come in the same order (`ordered`), and the largest
        difference of their scores (`scores`).
    """
    ours_flat = masks.mask_set().masks().reshape(len(masks), -1).astype(np.float32)
    theirs = [record["segmentation"].reshape(-1) for record in records]
    if not len(masks) or not theirs:
        return {"same": 0.0, "least": 0.0, "ordered": False, "scores": float("inf")}
    theirs_flat = np.stack(theirs).astype(np.float32)
    common = theirs_flat @ ours_flat.T
    iou = common / (theirs_flat.sum(1)[:, None] + ours_flat.sum(1)[None] - common)
    scores = np.array([record["predicted_iou"] for record in records])
    gaps = np.where(iou >= _SAME_IOU, np.abs(scores[:, None] - masks.scores[None]), np.inf)
    same = np.isfinite(gaps).any(axis=1)
    places, gaps = gaps.argmin(axis=1)[same], gaps.min(axis=1)[same]  # of masks that are alike, that with the score
    return {
        "same": float(same.sum() / max(len(records), len(masks))),
        "least": float(iou.max(axis=1).min()),
        "ordered": bool((np.diff(places) > 0).all()),
        "scores": float(gaps.max()) if len(gaps) else float("inf"),
    }


def measure(
    name: str,
    folder: Path,
    options: argparse.Namespace,
    pictures: list[np.ndarray],
    device: torch.device,
    results: Results,
) -> None:
    """Time both generators side by side."""
    half: Precision = FAMILIES[name].half if device.type == "cuda" else "bfloat16"  # type: ignore[index]
    print_header(_COLUMNS)
    if find_spec("segment_anything") is not None and find_spec("torchvision") is not None:
        slow = original(name, loaded(folder), options, device)
        time_one(f"{name}, original float32", slow.generate, pictures, options, device, results)
        del slow
    precisions: tuple[Precision, ...] = ("float32", half)
    for precision in precisions:
        fast = ours(name, folder, options, device, precision)
        time_one(f"{name}, ours {precision}", fast.generate, pictures, options, device, results)
        if device.type == "cuda":
            parts(f"{name}, ours {precision}", fast, pictures[0], results)
        del fast


def time_one(
    title: str,
    generate: Callable[[np.ndarray], Any],
    pictures: list[np.ndarray],
    options: argparse.Namespace,
    device: torch.device,
    results: Results,
) -> None:
    """Time one generator on all pictures in turn."""
    turn = iter(range(10**9))
    made: list[Any] = []

    def once() -> None:
        made[:] = [generate(pictures[next(turn) % len(pictures)])]
        if device.type == "cuda":
            torch.cuda.synchronize()

    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    times = wall(once, options.repeats)
    peak = torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else float("nan")
    hierarchy = wall(made[0].mask_set, 3).median if isinstance(made[0], GeneratedMasks) else float("nan")
    results.add_times(title, times, masks=len(made[0]), peak_bytes=peak * 1e9, hierarchy=hierarchy)
    cells = [title, *(f"{value:.3f}" for value in (times.median, times.fastest, times.slowest))]
    print_row([*cells, f"{hierarchy:.3f}", str(len(made[0])), f"{peak:.2f}"])


def parts(title: str, generator: MaskGenerator, picture: np.ndarray, results: Results) -> None:
    """Print what encoding the picture and answering all points take alone."""
    network, side = generator.network, generator.options.points_per_side
    centres = (torch.arange(side, device=network.device) + 0.5) / side * picture.shape[0]
    points = torch.cartesian_prod(centres, centres)

    def timed(run: Callable[[], object]) -> Times:
        def once() -> None:
            run()
            torch.cuda.synchronize()

        return wall(once, 5)

    def decode() -> None:
        for lot in points.split(generator.points_per_batch):
            network.decode(embedding, lot)

    encoding = timed(lambda: network.encode(picture))
    embedding = network.encode(picture)
    decoding = timed(decode)
    for name, times in (("encoder", encoding), ("decoder", decoding)):
        results.add_times(f"{title}: {name}", times)
    print(f"  {title}: encoder {encoding.median:.3f} s, decoder {decoding.median:.3f} s for {len(points)} points")


if __name__ == "__main__":
    sys.exit(main())
