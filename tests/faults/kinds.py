"""The kinds of inputs that are damaged, how, and the commands that read them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from damage import damage
from damage_pictures import encoded
from furniture import EXPORTS, LONGER, masks_in_form
from harness import NETWORK
from PIL import Image
from workspace import CHECKPOINT, PUBLISHED, SMALL, TRAINED

NAMES = (
    *("..", ".", "", " ", "-", "a\nb", "a\x01b", "..png", "con", "*", "~", "x" * 250, "\udcff", "²", "r_1 ", "R_1"),
    *(".r_1", "r_1.png", "r_1/..", "a b", "é", "e\u0301", "%s", "--out", "0", "r_1_inside"),
)


@dataclass(frozen=True)
class Kind:
    """A kind of input.

    Attributes:
        spoil: Damages the workspace; the files that it has damaged.
        lines: Command lines that read such input, each a program and its arguments; one is drawn.
        owned: Folders that these may change.
    """

    spoil: Callable[[Path, random.Random], list[Path]]
    lines: tuple[tuple[str, ...], ...]
    owned: tuple[str, ...] = ("new",)


def one_of(*patterns: str) -> Callable[[Path, random.Random], list[Path]]:
    """Damages one file, now and then two, that match a pattern each."""

    def spoil(place: Path, rng: random.Random) -> list[Path]:
        files = [file for file in sorted(place.glob(rng.choice(patterns))) if file.is_file()]
        chosen = rng.sample(files, min(len(files), rng.choice((1, 1, 1, 2))))
        for file in chosen:
            damage(file, rng)
        return chosen

    return spoil


def spoil_format(place: Path, rng: random.Random) -> list[Path]:
    """A picture in another format under its name, or under a name that says so; half of them damaged as well."""
    file = rng.choice(sorted((place / "scene" / "train").iterdir()))
    picture = Image.open(file)
    picture.load()
    file.write_bytes(encoded(picture if rng.random() < 0.5 else picture.convert("RGB"), rng))
    if rng.random() < 0.5:
        ending = rng.choice((".jpg", ".JPEG", ".webp", ".tif", ".bmp", ".gif", ".exr", ".hdr", ".pgm", ".png.png", ""))
        file = file.rename(file.with_suffix(ending))
    if rng.random() < 0.5:
        damage(file, rng)
    return [file]


def spoil_mask_form(place: Path, rng: random.Random) -> list[Path]:
    """Masks of a view in another form, most of them damaged."""
    form = rng.choice((".png", ".npy", ".npy", ".jpg", ".webp", ".tif", ".bmp"))
    file = masks_in_form(place / "scene" / "train_seg", form, f"r_{rng.randrange(4)}", rng)
    if rng.random() < 0.8:
        damage(file, rng)
    return [file]


def spoil_names(place: Path, rng: random.Random) -> list[Path]:
    """Pictures, folders of masks or frames of odd names."""
    folder = place / rng.choice(("scene/train", "scene/train_seg", "scene/train_seg/r_1", "masks/train_seg"))
    name, file = rng.choice(NAMES), rng.choice(sorted(folder.iterdir()))
    draw = rng.random()
    listed = place / "scene" / "transforms_train.json"
    if draw < 0.4:
        content = json.loads(listed.read_text())
        frame = rng.choice(content["frames"])
        frame["file_path"] = rng.choice((name, f"train/{name}", f"./train/{name}/", f"/{name}", f"train/{name}/r_1"))
        listed.write_text(json.dumps(content))
        return [listed]
    target = folder / (name.replace("/", "_").strip("\0") or "_")
    if target.name in (".", "..") or target == file:
        return [file]
    if draw < 0.8:
        if len(target.name.encode("utf-8", "surrogateescape")) < 255 and not target.exists():
            file.rename(target)
        return [target, file]
    kept = file.rename(file.with_name("kept"))
    file.symlink_to(rng.choice((kept.name, "nowhere", file.name, "..", "/", "/dev", kept.resolve())))
    return [file, kept]


LOAD = ("load_scene", "scene")
TRAIN = ("train", "scene", "--out", "new", *SMALL)
OWN = (("load_scene", "scene", "own/coco.json"), (*TRAIN, "--masks", "own/coco.json"))
RUN = ("run", "scene", "--out", "new", "--engine", "lift", *TRAINED)
GO_ON = ("run", "scene", "--out", "done", "--engine", "both", *TRAINED)
READ_RUN = (
    ("segment", "done", "--device", "cpu"),
    ("segment", "done", "--device", "cpu", "--cuts", "4"),
    ("render", "done", "--device", "cpu", "--frames", "1"),
    ("eval", "done"),
    ("eval", "done", "--sampling", "3"),
    ("open_run", "done"),
    ("view", "done"),
    ("find", "done", "leaf"),
    ("name", "done", "--csv", "names.csv"),
    ("export", "done", "--to", "png", "--out", "new"),
    GO_ON,
)
ONTO = ("export", "done", "--out", "new", "--distance", "5", "--onto")
FILM = ("render", "done", "--device", "cpu", "--frames", "1", "--out", "new")
RENDER = ("render.py", *PUBLISHED, "--ckpt_path", CHECKPOINT, "--render_dir", "new")
PUBLISHED_OWN = ("results", "ckpts", "vis", "new")
KINDS: dict[str, Kind] = {
    "blender": Kind(
        one_of("scene/transforms_train.json", "scene/transforms_train.json", "scene/transforms_val*.json"),
        (
            TRAIN,
            RUN,
            ("masks", "scene", "--out", "new"),
            (*TRAIN, "--recentre"),
            (*TRAIN, "--layout", "nerf-synthetic"),
        ),
    ),
    "nerfstudio": Kind(
        one_of("capture/transforms.json", "capture/transforms.json", "capture/transforms.json", "capture/*/*.png"),
        (
            ("train", "capture", "--out", "new", *SMALL),
            ("run", "capture", "--out", "new", "--engine", "lift", *TRAINED),
        ),
    ),
    "partnet": Kind(
        one_of("part/view-*/meta.txt", "part/view-*/*.png", "part/seg/*"),
        (("load_scene", "part"), ("train", "part", "--out", "new", *SMALL), ("masks", "part", "--out", "new")),
    ),
    "photograph": Kind(one_of("photographs/*.png"), (("import", "photographs", "new", "--threads", "1"),)),
    **{
        f"export {form}": Kind(
            one_of(f"exports/{form}/{files}"),
            (("load_scene", f"exports/{form}"), ("import", f"exports/{form}", "new")),
        )
        for form, files in EXPORTS.items()
    },
    "picture": Kind(
        one_of("scene/train/*.png", "scene/train/*.png", "scene/val/*.png", "scene/val_rotate/*.png"),
        (LOAD, LOAD, TRAIN, ("masks", "scene", "--out", "new"), RUN, ("train.py", *PUBLISHED)),
        PUBLISHED_OWN,
    ),
    "format": Kind(spoil_format, (LOAD, LOAD, TRAIN, ("masks", "scene", "--out", "new"))),
    "mask": Kind(
        one_of("scene/train_seg/*/*.png", "masks/train_seg/*/*.png"),
        (LOAD, ("load_scene", "scene", "masks"), TRAIN, RUN, (*TRAIN, "--masks", "masks"), ("read_masks",)),
    ),
    "mask form": Kind(spoil_mask_form, (LOAD, TRAIN, ("read_masks",), RUN)),
    "annotations": Kind(
        one_of("own/coco.json"), (OWN[0], OWN[0], OWN[1], ("masks", "scene", "--from", "own/coco.json", "--out", "new"))
    ),
    "panoptic": Kind(
        one_of("own/panoptic.json", "own/panoptic/*"),
        (
            ("load_scene", "scene", "own/panoptic.json"),
            ("masks", "scene", "--from", "own/panoptic.json", "--out", "new"),
        ),
    ),
    "own masks": Kind(
        one_of("own/lists/*", "own/stacks/*", "own/packed/train_seg/*.npz"),
        tuple(
            line
            for form in ("lists", "stacks", "packed")
            for line in (
                ("load_scene", "scene", f"own/{form}"),
                ("masks", "scene", "--from", f"own/{form}", "--out", "new"),
            )
        ),
    ),
    "stack": Kind(
        one_of("own/all.npz"),
        (("load_scene", "scene", "own/all.npz"), ("masks", "scene", "--from", "own/all.npz", "--out", "new")),
    ),
    "name": Kind(spoil_names, (LOAD, TRAIN, ("masks", "scene", "--out", "new"), (*TRAIN, "--masks", "masks"), RUN)),
    "hierarchy": Kind(one_of("scene/train_seg_hierarchy/*.npy"), (LOAD, TRAIN, RUN, ("read_masks",))),
    "seg folder": Kind(one_of("seg/*/*.png"), (("get_hierarchy.py", "--input", "seg", "--output", "new"),)),
    "truth": Kind(
        one_of(
            "scene/gt_seg/val*/*", "scene/exact/*.npz", "scene/val_depth/*", "scene/val_visible/*", "scene/tree.json"
        ),
        (("eval_nc.py", "scene", "e"), ("eval_vc.py", "scene", "e"), ("eval", "done", "--sampling", "3"), RUN),
        ("eval_results", "new", "done"),
    ),
    "camera path": Kind(
        one_of("paths/*.json"),
        (
            (*FILM, "--path", "paths/frames.json"),
            (*FILM, "--path", "paths/nerfstudio.json", "--path-frame", "paths/frame.json"),
        ),
    ),
    "record": Kind(one_of("done/*.json", "done/*.json", "done/log.jsonl"), READ_RUN, ("done", "new")),
    "artefact": Kind(
        one_of("done/*.npz", "done/renders/*/*.npz", "done/labels/*/*", "done/*.ply", "done/views/*/*"),
        READ_RUN,
        ("done", "new"),
    ),
    "field": Kind(one_of("done/field.safetensors"), READ_RUN, ("done", "new")),
    "state": Kind(
        one_of("stopped/state.pt", "stopped/state.pt", "stopped/*"),
        (("train", "scene", "--out", "stopped", *TRAINED[:3], LONGER, *TRAINED[4:]),),
        ("stopped",),
    ),
    "published": Kind(
        one_of("results/nerf/e/0/*", "results/nerf/e/0/*.npy", "results/nerf/e/*.json", "ckpts/nerf/e/*.ckpt"),
        (("3dseg.py", "e", "new"), RENDER, ("train.py", *PUBLISHED)),
        PUBLISHED_OWN,
    ),
    "label map": Kind(
        one_of("vis/e/*/*.npy"), (("eval_nc.py", "scene", "e"), ("eval_vc.py", "scene", "e")), ("eval_results",)
    ),
    "gltf": Kind(one_of("models/model.gltf", "models/*.bin", "models/model.glb"), ()),
    "glb": Kind(one_of("models/model.glb"), ()),
    "model": Kind(one_of("models/model.obj", "models/*.mtl", "models/*.p*", "models/*.stl", "models/*.off"), ()),
    "splats": Kind(one_of("splats.ply"), (("read_splats", "splats.ply"), (*ONTO, "splats.ply", "--to", "splats"))),
    "onto points": Kind(one_of("models/ascii.ply"), ((*ONTO, "models/ascii.ply"),)),
    "onto mesh": Kind(one_of("models/model.glb"), ((*ONTO, "models/model.glb"),)),
    "names": Kind(one_of("names.csv"), (("name", "done", "--csv", "names.csv"),), ("done",)),
    "batch": Kind(one_of("scenes.csv"), (("read_batch", "scenes.csv"),)),
    "network": Kind(
        one_of("clip/*"),
        (("find", "done", "red box", *NETWORK), ("name", "done", "--words", "words.txt", *NETWORK)),
        ("done",),
    ),
    "words": Kind(one_of("words.txt"), (("name", "done", "--words", "words.txt", *NETWORK),), ("done",)),
    "tree": Kind(one_of("edits.json", "done/tree.npz"), (("load_edits",),)),
}
NEEDS = {
    "state": "stopped",
    "published": "results",
    "network": "clip",
    "words": "clip",
}  # what such input needs, which takes a while to make
COMPANIONS = {".mtl": "model.obj", ".png": "model.obj", ".bin": "model.gltf"}
