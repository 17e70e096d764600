"""The process that maps: features, matches and an incremental reconstruction by COLMAP.

It is a process of its own, as pycolmap may end the whole process, and as pycolmap and OpenCV bring libraries that do
not go together in one. It reads a job (`mapping.Job`) and writes a line of JSON for each step of progress.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .pairs import EXHAUSTIVE, all_pairs, batches, likely_pairs

_FEATURES = 4096  # of a picture, at most: twice as many take four times as long to match, and hardly place better
_AT_ONCE = 4  # pictures whose features are found before the next report
_ENOUGH = 0.6  # part of the pictures; with fewer, mapping is tried again with weaker demands
_WEAKER = {  # settings of the mapper
    "init_min_num_inliers": 50,
    "init_min_tri_angle": 8.0,
    "abs_pose_min_num_inliers": 15,
    "abs_pose_min_inlier_ratio": 0.15,
}
_SMALLEST = 3  # pictures of a model


def run(job: dict[str, Any]) -> None:
    """Map the pictures of a job; the model, its points and what is known of it are written into the job's folder."""
    import pycolmap

    pycolmap.set_random_seed(job["seed"] % (1 << 31))
    database = Path(job["folder"]) / "database.db"
    names = [name for group in job["groups"] for name in group["names"]]
    find_features(pycolmap, database, job)
    order = {name: index for index, name in enumerate(sorted(names))}
    match(pycolmap, database, job, sorted(order))
    best = map_all(pycolmap, database, job, len(names), weaker=False)
    if best is None or best.num_reg_images() < _ENOUGH * len(names):
        other = map_all(pycolmap, database, job, len(names), weaker=True)
        if other is not None and (best is None or other.num_reg_images() > best.num_reg_images()):
            best = other
    finish(best, job)


def find_features(pycolmap: Any, database: Path, job: dict[str, Any]) -> None:
    """Write a camera for each group of pictures, and the pictures with their features."""
    groups = [(group, _camera(pycolmap, group)) for group in job["groups"]]
    opened = pycolmap.Database.open(database)
    numbers = [opened.write_camera(camera) for _, camera in groups]
    opened.close()
    options = pycolmap.FeatureExtractionOptions(num_threads=job["threads"], use_gpu=False)
    options.sift.max_num_features = _FEATURES
    total, done = sum(len(group["names"]) for group, _ in groups), 0
    for (group, _), number in zip(groups, numbers, strict=True):
        masked = set(group["masked"])
        for part in ([n for n in group["names"] if n not in masked], [n for n in group["names"] if n in masked]):
            reader = pycolmap.ImageReaderOptions(existing_camera_id=number)
            if part and part[0] in masked:
                reader.mask_path = Path(job["pictures"]) / "masks"
            for first in range(0, len(part), _AT_ONCE):
                chosen = part[first : first + _AT_ONCE]
                pycolmap.extract_features(
                    database,
                    job["pictures"],
                    image_names=chosen,
                    camera_mode=pycolmap.CameraMode.SINGLE,
                    reader_options=reader,
                    extraction_options=options,
                )
                done += len(chosen)
                report("features", done, total)


def match(pycolmap: Any, database: Path, job: dict[str, Any], names: Sequence[str]) -> None:
    """Match the pictures' features, pair by pair, with geometric verification."""
    opened = pycolmap.Database.open(database)
    numbers = {image.name: image.image_id for image in opened.read_all_images()}
    names = [name for name in names if name in numbers]
    exhaustive = job["matching"] == "exhaustive" or (job["matching"] == "auto" and len(names) <= EXHAUSTIVE)
    if exhaustive:
        pairs = all_pairs(len(names))
    else:
        descriptors = [np.asarray(opened.read_descriptors(numbers[name]).data) for name in names]
        pairs = likely_pairs(descriptors, seed=job["seed"])
    opened.close()
    listed = Path(job["folder"]) / "pairs.txt"
    done = 0
    for batch in batches(pairs):
        listed.write_text("".join(f"{names[a]} {names[b]}\n" for a, b in batch))
        pycolmap.match_image_pairs(
            database,
            matching_options=pycolmap.FeatureMatchingOptions(num_threads=job["threads"], use_gpu=False),
            pairing_options=pycolmap.ImportedPairingOptions(match_list_path=listed),
        )
        done += len(batch)
        report("matches", done, len(pairs))


def map_all(pycolmap: Any, database: Path, job: dict[str, Any], total: int, *, weaker: bool) -> Any:
    """The largest model of an incremental mapping, None if there is none."""
    options = pycolmap.IncrementalPipelineOptions(
        num_threads=job["threads"], min_model_size=_SMALLEST, random_seed=job["seed"] % (1 << 31), extract_colors=False
    )
    if weaker:
        for name, value in _WEAKER.items():
            setattr(options.mapper, name, value)
    placed = 0

    def start() -> None:
        nonlocal placed
        placed = 2
        report("cameras", placed, total)

    def go_on() -> None:
        nonlocal placed
        placed += 1
        report("cameras", placed, total)

    output = Path(job["folder"]) / ("weaker" if weaker else "models")
    output.mkdir()
    models = pycolmap.incremental_mapping(
        database,
        job["pictures"],
        output,
        options,
        initial_image_pair_callback=start,
        next_image_callback=go_on,
    )
    return max(models.values(), key=lambda model: model.num_reg_images(), default=None)


def finish(model: Any, job: dict[str, Any]) -> None:
    """Write the model, its points, and a summary."""
    folder = Path(job["folder"])
    summary: dict[str, Any] = {"registered": 0}
    if model is not None:
        (folder / "model").mkdir()
        model.write_binary(folder / "model")
        points = list(model.points3D.values())
        np.save(folder / "points.npy", np.array([point.xyz for point in points]).reshape(-1, 3))
        np.save(folder / "tracks.npy", np.array([point.track.length() for point in points], np.int64))
        errors = {}
        for image in model.images.values():
            seen = [point.point3D_id for point in image.points2D if point.has_point3D()]
            values = [model.points3D[number].error for number in seen]
            errors[image.name] = float(np.mean(values)) if values else 0.0
        summary = {
            "registered": model.num_reg_images(),
            "points": len(points),
            "error": float(model.compute_mean_reprojection_error()),
            "errors": errors,
        }
    (folder / "summary.json").write_text(json.dumps(summary))


def report(stage: str, done: int, total: int) -> None:
    """Tell the parent how far the work is."""
    print(json.dumps({"stage": stage, "done": min(done, total), "total": total}), file=_parent, flush=True)


def _camera(pycolmap: Any, group: dict[str, Any]) -> Any:
    width, height = group["size"]
    camera = pycolmap.Camera.create_from_model_name(0, group["lens"], group["focal"], width, height)
    camera.has_prior_focal_length = group["told"]
    return camera


def _end_with_parent() -> None:
    """End the process when the parent has gone: its end of our input closes."""
    sys.stdin.buffer.read()
    os._exit(1)


def main() -> None:
    """Read the job that the command line names, and carry it out."""
    global _parent
    _parent = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever libraries print goes to the log
    threading.Thread(target=_end_with_parent, daemon=True).start()
    code = 1
    try:
        run(json.loads(Path(sys.argv[1]).read_text()))
        code = 0
    except BaseException:  # told to the log; taking apart what pycolmap has set up may end in a second failure
        traceback.print_exc()
    finally:
        _parent.flush()
        sys.stderr.flush()
        os._exit(code)


_parent: Any = sys.stdout

if __name__ == "__main__":
    main()
