"""Every form of masks that others write gives the masks of the views with their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from own_masks import (
    Views,
    coco,
    colors,
    example,
    layered,
    records,
    visible,
    write_generated,
    write_json,
    write_panoptic,
)

from ultrafield.io import write_image
from ultrafield.masks import MaskFolder, MaskSet, build_mask_set, find_masks, read_masks
from ultrafield.masks.packed import write_packed
from ultrafield.masks.read import read_with_qualities

NAMES = {"a.png": ("a", "a.png"), "b.png": ("b", "b.png"), "c.png": ("c", "c.png")}


def put_runs(root: Path, views: Views) -> Path:
    return write_json(root / "instances.json", coco(views))


def put_text(root: Path, views: Views) -> Path:
    tools = pytest.importorskip("pycocotools.mask", reason="needs pycocotools")
    values = coco(views)
    for annotation in values["annotations"]:
        rle = tools.frPyObjects(annotation["segmentation"], *annotation["segmentation"]["size"])
        annotation["segmentation"] = rle | {"counts": rle["counts"].decode()}
    return write_json(root / "instances.json", values)


def put_polygons(root: Path, views: Views) -> Path:
    values = coco(views)  # all of the example's masks are rectangles
    masks = [mask for of_view in views.values() for mask in of_view]
    for annotation, mask in zip(values["annotations"], masks, strict=True):
        rows, columns = np.nonzero(mask)
        left, right, top, bottom = (
            int(value) for value in (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1)
        )
        annotation["segmentation"] = [[left, top, right, top, right, bottom, left, bottom]]
    return write_json(root / "instances.json", values)


def put_folders_of_pictures(root: Path, views: Views) -> Path:
    write_generated(root, views)
    return root


def put_lists(root: Path, views: Views) -> Path:
    for name, masks in views.items():
        write_json(root / f"{name[:-4]}.json", records(masks))
        write_image(root / name, np.full((*masks.shape[1:], 3), 99, np.uint8))  # the picture lies beside, as in SA-1B
    return root


def put_images_with_lists(root: Path, views: Views) -> Path:
    for name, masks in views.items():
        image = {"image_id": 1, "file_name": name, "height": masks.shape[1], "width": masks.shape[2]}
        write_json(root / f"{name[:-4]}.json", {"image": image, "annotations": records(masks)})
    return root


def put_stacks(root: Path, views: Views) -> Path:
    root.mkdir(exist_ok=True)
    for name, masks in views.items():
        np.savez_compressed(root / f"{name[:-4]}.npz", masks=masks.astype(np.uint8), other=np.arange(5))
    return root


def put_flags(root: Path, views: Views) -> Path:
    root.mkdir(exist_ok=True)
    for name, masks in views.items():
        np.savez(root / f"{name[:-4]}.npz", **{f"mask{index:02}": mask for index, mask in enumerate(masks)})
    return root


def put_arrays_by_name(root: Path, views: Views) -> Path:
    np.savez(root / "all.npz", **{name[:-4]: masks[:, None] for name, masks in views.items()})
    return root / "all.npz"


def put_arrays_by_list(root: Path, views: Views) -> Path:
    most = max(len(masks) for masks in views.values())
    stack = np.stack([np.pad(masks, ((0, most - len(masks)), (0, 0), (0, 0))) for masks in views.values()])
    np.savez(root / "all.npz", masks=stack, names=np.array(list(views)))
    return root / "all.npz"


def put_objects(root: Path, views: Views) -> Path:
    for name, masks in views.items():
        for index, mask in enumerate(masks):
            write_image(root / f"{index + 1:03}" / name, mask.astype(np.uint8) * 255)
    return root


def put_packed(root: Path, views: Views) -> Path:
    for name, masks in views.items():
        write_packed(root / f"{name[:-4]}.npz", build_mask_set(masks))
    return root


FORMS: dict[str, Callable[[Path, Views], Path]] = {
    name.removeprefix("put_"): put for name, put in list(globals().items()) if name.startswith("put_")
}


@pytest.mark.parametrize("form", FORMS)
def test_masks_are_read_whatever_their_form(tmp_path: Path, form: str) -> None:
    views = example()
    folder = MaskFolder(FORMS[form](tmp_path, views), direct=True)
    for name, masks in views.items():
        assert folder.size("train", NAMES[name]) == masks.shape[1:]
        assert find_masks(folder, "train", NAMES[name]) is not None
        found = read_masks(folder, "train", NAMES[name])
        assert found is not None
        np.testing.assert_array_equal(found.masks(), masks)
        expected = build_mask_set(masks)
        np.testing.assert_array_equal(found.inside, expected.inside)
        np.testing.assert_array_equal(found.areas, expected.areas)
        half = read_masks(folder, "train", NAMES[name], (12, 16))
        assert half is not None
        assert half.shape == (12, 16)
    assert read_masks(folder, "train", ("d", "d.png")) is None
    assert read_masks(folder, "val", NAMES["a.png"]) is None


def put_id_maps(root: Path, views: Views, kind: str) -> Path:
    """Maps of ids that need all of the bits."""
    bits, ending = kind.split(" ")
    for name, masks in views.items():
        most = {"8": 255, "16": 65535, "32": 1 << 20}[bits]
        ids = layered(masks, [most - index for index in range(len(masks))])
        file = root / f"{name[:-4]}.{ending}"
        root.mkdir(exist_ok=True)
        if ending == "npy":
            np.save(file, ids.astype(f"uint{bits}"))
        elif ending == "tif":
            tifffile.imwrite(file, ids.astype(f"uint{bits}"))
        else:
            write_image(file, colors(ids) if bits == "32" else ids.astype(f"uint{bits}"))
    return root


@pytest.mark.parametrize("kind", [f"{bits} {ending}" for bits in ("8", "16", "32") for ending in ("png", "tif", "npy")])
def test_id_maps_are_read_whatever_their_bits(tmp_path: Path, kind: str) -> None:
    check_maps(put_id_maps(tmp_path, example(), kind))


def test_panoptic_maps_are_read(tmp_path: Path) -> None:
    check_maps(write_panoptic(tmp_path, example()))
    check_maps(tmp_path / "panoptic")  # the pictures alone are maps of colours


def test_panoptic_maps_may_lie_beside_their_list(tmp_path: Path) -> None:
    write_panoptic(tmp_path, example())
    for file in (tmp_path / "panoptic").iterdir():
        file.rename(tmp_path / file.name)
    (tmp_path / "panoptic").rmdir()
    check_maps(tmp_path / "panoptic.json")
    check_maps(tmp_path)  # the folder too


def check_maps(place: Path) -> None:
    """The masks of maps in which later ones hide earlier ones, in any order."""
    folder = MaskFolder(place, direct=True)
    for name, masks in example().items():
        found = read_masks(folder, "train", NAMES[name])
        assert found is not None
        assert as_set(found) == {mask.tobytes() for mask in visible(masks)}


def as_set(masks: MaskSet) -> set[bytes]:
    return {masks.mask(index).tobytes() for index in range(len(masks))}


def test_maps_of_parts_and_of_objects_are_read_together(tmp_path: Path) -> None:
    views = example()
    for name, masks in views.items():
        write_image(tmp_path / f"{name[:-4]}_seg_objects.png", layered(masks, [1, 2, 3][: len(masks)]).astype(np.uint8))
        write_image(tmp_path / f"{name[:-4]}_seg_collections.png", masks.any(axis=0).astype(np.uint8))
    folder = MaskFolder(tmp_path, direct=True)
    for name, masks in views.items():
        found = read_masks(folder, "train", NAMES[name])
        assert found is not None
        assert as_set(found) == {mask.tobytes() for mask in (*visible(masks), masks.any(axis=0))}
    assert folder.unnamed("train") == []


@pytest.mark.parametrize(
    "name", ["a_mask.png", "a-instances.png", "mask_a.png", "a.labels.png", "A_id.png", "a_seg_12.png"]
)
def test_words_around_a_name_are_passed_over(tmp_path: Path, name: str) -> None:
    write_image(tmp_path / name, np.eye(8, dtype=np.uint8))
    found = read_masks(MaskFolder(tmp_path, direct=True), "train", "A" if name[0] == "A" else "a")
    assert found is not None
    assert len(found) == 1


@pytest.mark.parametrize("name", ["a_1.png", "ab_mask.png", "a_photo.png", "amask.png", "mask.png"])
def test_other_names_are_those_of_others(tmp_path: Path, name: str) -> None:
    write_image(tmp_path / name, np.eye(8, dtype=np.uint8))
    assert read_masks(MaskFolder(tmp_path, direct=True), "train", "a") is None


def test_numbered_files_in_folders_are_no_objects(tmp_path: Path) -> None:
    for view in ("r_0", "r_1"):
        for index in range(4):
            write_image(tmp_path / view / f"{index}.png", np.eye(8, dtype=np.uint8))
    assert read_masks(MaskFolder(tmp_path, direct=True), "train", "3") is None
    found = read_masks(MaskFolder(tmp_path, direct=True), "train", "r_1")
    assert found is not None
    assert len(found) == 4


def test_what_generators_know_of_masks_is_read_too(tmp_path: Path) -> None:
    views = example()
    for form, put in FORMS.items():
        place = tmp_path / form
        place.mkdir()
        folder = MaskFolder(put(place, views), direct=True)
        found = read_with_qualities(folder, "train", NAMES["b.png"])
        assert found is not None
        masks, qualities, _ = found
        assert len(masks) == 3
        if form in ("runs", "text", "polygons", "folders_of_pictures", "lists", "images_with_lists"):
            np.testing.assert_allclose(qualities["predicted_iou"], [0.9, 0.91, 0.92])
            np.testing.assert_allclose(qualities["stability_score"], [0.95, 0.96, 0.97])
        else:
            assert qualities == {}
        if form in ("runs", "lists"):
            assert qualities["point_coords"].tolist() == [[0.5, 1.5], [1.5, 1.5], [2.5, 1.5]]


def test_qualities_stay_with_their_masks_where_others_are_empty(tmp_path: Path) -> None:
    masks = example()["b.png"].copy()
    masks[1] = False
    write_json(tmp_path / "b.json", records(masks))
    found = read_with_qualities(MaskFolder(tmp_path, direct=True), "train", "b")
    assert found is not None
    np.testing.assert_allclose(found[1]["predicted_iou"], [0.9, 0.92])


def test_pictures_are_matched_by_path_and_name(tmp_path: Path) -> None:
    masks = example()["a.png"]
    values = coco({"images/left/1.jpg": masks, "images/right/1.jpg": masks[:1], "images/left/2.jpg": masks})
    folder = MaskFolder(write_json(tmp_path / "x.json", values), direct=True)
    left = read_masks(folder, "train", ("left_1", "images/left/1"))
    right = read_masks(folder, "train", ("right_1", "images\\right\\1.jpg"))
    assert left is not None
    assert right is not None
    assert (len(left), len(right)) == (2, 1)
    assert read_masks(folder, "train", ("1", "1.jpg")) is None  # which of both?
    assert read_masks(folder, "train", ("2.png", "2")) is not None


def test_a_picture_without_masks_has_none(tmp_path: Path) -> None:
    values = coco({"a.png": example()["a.png"], "b.png": np.zeros((0, 24, 32), bool)})
    found = read_masks(MaskFolder(write_json(tmp_path / "x.json", values), direct=True), "train", "b")
    assert found is not None
    assert (len(found), found.shape) == (0, (24, 32))
