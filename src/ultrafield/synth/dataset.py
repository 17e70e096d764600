"""Blender-HS datasets from 3D scenes: pictures, exact ids and depth, masks, and the true hierarchy."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from ..config.memory import check_need
from ..config.ranges import SEED, Range, Ranges, check_settings
from ..errors import ConfigError, SceneError
from ..io import fresh_folder, write_image, write_json, write_npz
from ..masks import write_masks
from ..owner import owned
from ..parallel import in_threads
from ..progress import track
from ..reading import read_json
from ..removal import check_ours, kinds
from .raycast import Raycaster
from .sam_like import clean_masks, sam_like_masks
from .scene_graph import Model, UpAxis, build_model, read_model
from .shading import Lights, make_lights
from .shots import CAMERA_ANGLE, CAMERA_RADIUS, depth_code, look_at_origin, take_shot, visible_from

MODEL_RADIUS = 1.30  # fits the box (±1.344 before normalisation) and every picture
NORMALIZED_RADIUS = 1.5
SPLITS = ("train", "val", "val_rotate")

_RENDERER = "ultrafield"  # as tree.json says
_SPLIT = f"({'|'.join(SPLITS)})"
_FILES = kinds(
    rf"transforms_{_SPLIT}\.json",
    r"tree\.json",
    rf"{_SPLIT}/r_\d+\.png",
    rf"gt_seg/{_SPLIT}/r_\d+_seg_(objects|collections)\.tif",
    rf"exact/({_SPLIT}\.npz|mask_origin\.json)",
    r"(clean/)?(train|val)_seg(_clean)?/r_\d+/\d+\.png",  # in "clean" until all are there
    r"(clean/)?(train|val)_seg(_clean)?_hierarchy/r_\d+_(inside|same)\.npy",
    r"val_depth/r_\d+_depth\.png",
    r"val_visible/r_\d+(_rotate)?\.png",
)


_ELEVATION = Range(-89, 89)
_TURN = Range(0, 180)
_SAMPLES = Range(1, 1 << 12)
_BYTES_PER_PIXEL = 400  # while a picture is rendered
LIMITS: Ranges = {
    "size": Range(16, 1 << 13),
    "train_views": Range(1, 10_000),
    "val_views": Range(1, 10_000),
    "seed": SEED,
    "lowest": _ELEVATION,
    "highest": _ELEVATION,
    "arc": Range(1, 360),
    "least_turn": _TURN,
    "most_turn": _TURN,
    "supersampling": Range(1, 16),
    "light_samples": _SAMPLES,
    "sky_samples": _SAMPLES,
    "mask_noise": Range(0, 10),
    "threads": Range(1, 64),
}


@dataclass(frozen=True)
class SynthConfig:
    """Settings of a synthetic dataset.

    Attributes:
        size: Width and height of the pictures, masks and ground truth, pixels.
        train_views: Training views.
        val_views: Validation views; as many rotated ones come with them.
        seed: Seed of camera poses and mask noise.
        lowest: Lowest elevation of a camera, degrees.
        highest: Highest elevation of a camera, degrees.
        arc: Width of the sector around -y that cameras stand in, degrees; 360 is all around.
        least_turn: Least turn between a validation view and its rotated partner about the vertical axis, degrees.
        most_turn: Largest such turn, degrees; the direction is random.
        supersampling: Colour rays along an edge of a pixel (2 casts 4); ids and depth are always those of its centre.
        light_samples: Shadow rays per pixel towards the area light.
        sky_samples: Shadow rays per pixel towards the sky.
        mask_noise: How far the masks are from the truth: 1 imitates Segment Anything, 0 is exact and complete.
        up: Upright axis of the source file; auto is y for glTF and z for everything else.
        threads: Views rendered at once.
    """

    size: int = 200
    train_views: int = 60
    val_views: int = 16
    seed: int = 0
    lowest: float = 10.0
    highest: float = 67.0
    arc: float = 360.0
    least_turn: float = 15.0
    most_turn: float = 30.0
    supersampling: int = 2
    light_samples: int = 16
    sky_samples: int = 32
    mask_noise: float = 1.0
    up: UpAxis = "auto"
    threads: int = 2

    def __post_init__(self) -> None:
        check_settings(self, LIMITS)
        for least, most in (("lowest", "highest"), ("least_turn", "most_turn")):
            if getattr(self, least) > getattr(self, most):
                text = f"expected at most {most} ({getattr(self, most):g}), got {getattr(self, least):g}"
                raise ConfigError(text, setting=least)


def synthesize(
    source: Path | None, out: Path, config: SynthConfig | None = None, *, overwrite: bool = False, progress: bool = True
) -> None:
    """Render a 3D scene into a full Blender-HS dataset with exact ground truth and noisy masks.

    Args:
        source: Any scene that trimesh reads (see `scene_graph.read_model`); None for the built-in still-life.
        out: Folder to make; it appears only when everything in it is complete.
        config: Settings; the defaults if None.
        overwrite: Whether a dataset made here before may be replaced.
        progress: Whether to show a progress bar.

    Raises:
        SceneError: The source cannot be used, or `out` exists, is not empty, and may not be replaced.
    """
    config = config or SynthConfig()
    _check_memory(config)
    out = Path(out)
    check_target(out, overwrite=overwrite)
    model, scale, centre = _placed(_load(source, config.up))
    with owned(out, lock=out.parent / f".{out.name}.lock"), fresh_folder(out, _FILES) as folder:
        writer = _Writer(folder, Raycaster(model), make_lights(config.light_samples, config.sky_samples), config)
        writer.write(_camera_poses(config), progress=progress)
        write_json(folder / "tree.json", _tree(model, scale, centre, config))


def _check_memory(config: SynthConfig) -> None:
    """Raise `ConfigError` for pictures that would take more memory than the program may."""
    kept = 6 * (config.train_views + 2 * config.val_views)  # ids and depth of every view
    check_need("size", config.size**2 * (config.threads * _BYTES_PER_PIXEL + kept))


@dataclass(frozen=True)
class _Writer:
    """Renders the splits of one dataset into `folder`."""

    folder: Path
    caster: Raycaster
    lights: Lights
    config: SynthConfig

    def write(self, poses: dict[str, np.ndarray], *, progress: bool) -> None:
        """Render and write every split, then the files that describe them."""
        jobs = [(split, index) for split in SPLITS for index in range(len(poses[split]))]
        seen: dict[tuple[str, int], tuple[np.ndarray, np.ndarray]] = {}
        origins: dict[str, list[str]] = {}

        def render(job: tuple[str, int]) -> tuple[np.ndarray, np.ndarray, dict[str, list[str]]]:
            return self._view(*job, poses[job[0]][job[1]])

        views = in_threads(render, jobs, workers=self.config.threads)
        tracked = track(views, "Rendering", len(jobs), show=progress)
        for job, (parts, depth, notes) in zip(jobs, tracked, strict=True):
            seen[job] = parts, depth
            origins.update(notes)
        for split in SPLITS:
            maps = [seen[job] for job in jobs if job[0] == split]
            parts, depth = (np.stack([pair[kind] for pair in maps]) for kind in range(2))
            self._describe(split, parts, depth, poses[split])
        for index in range(len(poses["val"])):
            self._visibility(index, {split: seen[split, index][0] for split in SPLITS[1:]}, poses)
        self._rename_clean()
        write_json(self.folder / "exact" / "mask_origin.json", dict(sorted(origins.items())))

    def _view(self, split: str, index: int, c2w: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[str, list[str]]]:
        """Render one view and write what belongs to it alone; returns its parts, its depth and notes on its masks."""
        model, name = self.caster.model, f"r_{index}"
        shot = take_shot(self.caster, self.lights, c2w, self.config.size, self.config.supersampling)
        write_image(self.folder / split / f"{name}.png", shot.image)
        parts = _narrow(shot.parts, model)
        for kind, ids in (("objects", parts), ("collections", _narrow(model.part_object[parts], model))):
            write_image(self.folder / "gt_seg" / split / f"{name}_seg_{kind}.tif", _three(ids))
        if split == "val":
            write_image(self.folder / "val_depth" / f"{name}_depth.png", _three(depth_code(shot.depth)))
        notes: dict[str, list[str]] = {}
        if split == "val_rotate":
            return parts, shot.depth, notes
        rng = np.random.default_rng([self.config.seed, SPLITS.index(split), index])
        masks, notes[f"{split}_seg/{name}"] = sam_like_masks(
            model.nodes, parts, shot.image[..., :3], shot.depth, rng=rng, strength=self.config.mask_noise
        )
        write_masks(self.folder, split, name, masks)
        if split == "train":
            masks, notes[f"train_seg_clean/{name}"] = clean_masks(model.nodes, parts)
            write_masks(self.folder / "clean", split, name, masks)
        return parts, shot.depth, notes

    def _describe(self, split: str, parts: np.ndarray, depth: np.ndarray, poses: np.ndarray) -> None:
        """Write the transforms and the exact arrays of a split."""
        frames = [
            {"file_path": f"./{split}/r_{index}", "transform_matrix": pose.tolist()} for index, pose in enumerate(poses)
        ]
        write_json(self.folder / f"transforms_{split}.json", {"camera_angle_x": CAMERA_ANGLE, "frames": frames})
        model = self.caster.model
        write_npz(
            self.folder / "exact" / f"{split}.npz",
            part=parts,
            object=_narrow(model.part_object[parts], model),
            group=_narrow(model.part_group[parts], model),
            depth=depth,
            c2w=poses,
        )

    def _visibility(self, index: int, parts: dict[str, np.ndarray], poses: dict[str, np.ndarray]) -> None:
        """Write the pixels that a validation view and its rotated partner have in common."""
        for split, other, ending in (("val", "val_rotate", ""), ("val_rotate", "val", "_rotate")):
            seen = visible_from(self.caster, parts[split], poses[split][index], poses[other][index])
            write_image(self.folder / "val_visible" / f"r_{index}{ending}.png", _three(seen.astype(np.uint8) * 255))

    def _rename_clean(self) -> None:
        """Move the clean masks, written as a dataset's own, to their published folders."""
        for kind in ("seg", "seg_hierarchy"):
            target = "train_seg_clean" if kind == "seg" else "train_seg_clean_hierarchy"
            (self.folder / "clean" / f"train_{kind}").rename(self.folder / target)
        (self.folder / "clean").rmdir()


def _load(source: Path | None, up: UpAxis) -> Model:
    if source is not None:
        return read_model(source, up)
    from .still_life import still_life

    return build_model(still_life(), name="still_life")


def _placed(model: Model) -> tuple[Model, float, np.ndarray]:
    """The model moved and scaled into the scene box, with the scale and centre used."""
    points = model.triangles.reshape(-1, 3)
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    radius = float(np.linalg.norm(points - centre, axis=1).max())
    scale = MODEL_RADIUS / radius
    return replace(model, triangles=(model.triangles - centre) * scale), scale, centre


def _camera_poses(config: SynthConfig) -> dict[str, np.ndarray]:
    """OpenGL camera-to-world poses [N, 4, 4] of every split, looking at the origin with z up."""
    rng = np.random.default_rng([config.seed, len(SPLITS)])
    poses = {}
    for split, count in (("train", config.train_views), ("val", config.val_views)):
        # Even coverage: azimuths by the golden ratio, elevations stratified and shuffled.
        turns = rng.random() + np.arange(count) * (np.sqrt(5) - 1) / 2
        azimuth = 2 * np.pi * turns if config.arc == 360 else np.radians(config.arc * (turns % 1 - 0.5) - 90)
        share = (rng.permutation(count) + rng.random(count)) / count
        elevation = np.radians(config.lowest + (config.highest - config.lowest) * share)
        poses[split] = look_at_origin(azimuth, elevation)
    # The rotated views are the validation views, which come last above, turned about the vertical axis.
    turn = rng.uniform(config.least_turn, config.most_turn, config.val_views) * rng.choice([-1, 1], config.val_views)
    poses["val_rotate"] = look_at_origin(azimuth + np.radians(turn), elevation)
    return poses


def _tree(model: Model, scale: float, centre: np.ndarray, config: SynthConfig) -> dict[str, object]:
    """The content of tree.json."""
    return {
        "scene": model.name,
        "renderer": _RENDERER,
        "seed": config.seed,
        "scale": scale,
        "centre": centre.tolist(),
        "note": f"export = (model - centre) * scale; readers divide by {CAMERA_RADIUS / NORMALIZED_RADIUS:.6f}",
        "nodes": [asdict(node) for node in model.nodes],
    }


def check_target(out: Path, *, overwrite: bool) -> None:
    """Raise `SceneError` unless `out` is free, empty, or a dataset made here that may be replaced."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise SceneError(f"{out}: exists and is not a folder")
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not _is_dataset(out):
        raise SceneError(f"{out}: not a dataset written by synth; choose another, or delete it by hand")
    if not overwrite:
        raise SceneError(f"{out}: folder exists and is not empty; choose another, or replace it with --overwrite")
    check_ours(out, _FILES)


def _is_dataset(out: Path) -> bool:
    """Whether a folder is a dataset that `synthesize` wrote."""
    if not all((out / name).is_file() for name in ("tree.json", "transforms_train.json", "exact/mask_origin.json")):
        return False
    tree = read_json(out / "tree.json")
    return isinstance(tree, dict) and tree.get("renderer") == _RENDERER


def _narrow(ids: np.ndarray, model: Model) -> np.ndarray:
    """Ids as uint8 where all of the model's fit, else uint16."""
    return ids.astype(np.uint8 if len(model.part_object) <= 256 else np.uint16)


def _three(values: np.ndarray) -> np.ndarray:
    """A grey picture [H, W] as three equal channels."""
    return np.repeat(values[..., None], 3, axis=2)
