"""Packing, containment and chains of masks."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ultrafield.masks import MaskSet, build_mask_set, mask_chains
from ultrafield.masks import hierarchy as module
from ultrafield.masks.distinct import distinct_rows, row_counts
from ultrafield.masks.packing import pack_masks


def random_masks(seed: int, count: int, size: tuple[int, int] = (13, 17)) -> np.ndarray:
    """Overlapping boxes, none empty: many nested, some equal."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, *size), bool)
    for mask in masks:
        top, left = rng.integers(0, size[0]), rng.integers(0, size[1])
        mask[top : top + rng.integers(1, size[0]), left : left + rng.integers(1, size[1])] = True
    return masks


def relations(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Containment and sameness by their definition, pair by pair."""
    count = len(masks)
    inside, same = np.zeros((count, count), bool), np.zeros((count, count), bool)
    for i in range(count):
        for j in range(count):
            shared = (masks[i] & masks[j]).sum()
            iou = shared / (masks[i] | masks[j]).sum()
            inside[i, j] = shared / masks[i].sum() > 0.95 and iou < 0.9
            same[i, j] = iou > 0.9
    return inside, same


@given(seed=st.integers(0, 10_000), count=st.integers(0, 12))
def test_set_agrees_with_its_definition(seed: int, count: int) -> None:
    masks = random_masks(seed, count)
    mask_set = build_mask_set(masks)
    inside, same = relations(masks)
    np.testing.assert_array_equal(mask_set.masks(), masks)
    np.testing.assert_array_equal(mask_set.areas, masks.sum(axis=(1, 2)))
    np.testing.assert_array_equal(mask_set.inside, inside)
    np.testing.assert_array_equal(mask_set.same, same)


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 130])
def test_packing_across_words(count: int) -> None:
    masks = random_masks(3, count)
    mask_set = build_mask_set(masks)
    assert mask_set.bits.shape == (13, 17, -(-count // 64))
    assert mask_set.bits.dtype == np.uint64
    np.testing.assert_array_equal(mask_set.masks(), masks)


@pytest.mark.parametrize("count", [1, 5, 70])
@pytest.mark.parametrize("few", [0, 256], ids=["pairs", "product"])
@pytest.mark.parametrize("filled", [0.0, 0.1, 0.5, 1.0])
def test_intersections_do_not_depend_on_how_they_are_counted(
    monkeypatch: pytest.MonkeyPatch, count: int, few: int, filled: float
) -> None:
    masks = np.random.default_rng(0).random((count, 20, 20)) < filled
    flat = masks.reshape(count, -1).astype(np.int64)
    monkeypatch.setattr(module, "_BLOCK_BYTES", 8 * 7 * count)
    monkeypatch.setattr(module, "_FEW", few)
    monkeypatch.setattr(module, "_PAIR_COST", 0 if few == 0 else 16)
    rows, numbers = distinct_rows(pack_masks(masks))
    shared = module._intersections(rows, row_counts(numbers, len(rows)), count)
    np.testing.assert_array_equal(shared, flat @ flat.T)


def test_many_masks_are_counted_pair_by_pair_only_if_that_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    ways: list[str] = []
    real = module._product
    monkeypatch.setattr(module, "_product", lambda *arguments: ways.append("product") or real(*arguments))
    for filled in (0.01, 0.9):
        build_mask_set((np.random.default_rng(0).random((300, 20, 20)) < filled) | np.eye(20, dtype=bool))
        ways.append("next")
    assert ways == ["next", "product", "next"]


def test_thresholds_are_strict() -> None:
    masks = np.zeros((4, 1, 200), bool)
    masks[0, 0, :100] = True
    masks[1, 0, 5:200] = True  # holds exactly 0.95 of mask 0
    masks[2, 0, :90] = True  # IoU with mask 0 exactly 0.9
    masks[3, 0, :91] = True
    mask_set = build_mask_set(masks)
    assert not mask_set.inside[0, 1]
    assert not mask_set.inside[2, 0]
    assert not mask_set.same[2, 0]
    assert mask_set.same[3, 0]


def test_empty_mask_is_refused() -> None:
    masks = random_masks(0, 3)
    masks[1] = False
    with pytest.raises(ValueError, match="masks: mask 1 of 3 holds no pixel"):
        build_mask_set(masks)


def test_shape_is_checked() -> None:
    with pytest.raises(ValueError, match=r"masks: expected shape \[\*, \*, \*\], got \[4, 4\]"):
        build_mask_set(np.ones((4, 4), bool))


def test_chain_climbs_from_leaf_to_root() -> None:
    masks = np.zeros((5, 1, 100), bool)
    masks[0, 0, :100] = True
    masks[1, 0, :50] = True
    masks[2, 0, :10] = True
    masks[3, 0, 60:70] = True
    masks[4, 0, 10:20] = True
    assert mask_chains(build_mask_set(masks)) == [[2, 1, 0], [3, 0], [4, 1, 0]]


def test_chain_takes_the_smaller_of_two_near_duplicates() -> None:
    masks = np.zeros((3, 1, 100), bool)
    masks[0, 0, :52] = True
    masks[1, 0, :50] = True
    masks[2, 0, :10] = True
    assert mask_chains(build_mask_set(masks)) == [[2, 1]]


def test_chains_of_a_cyclic_hierarchy_end() -> None:
    mask_set = build_mask_set(random_masks(1, 6))
    everything = ~np.eye(6, dtype=bool)
    chains = mask_chains(MaskSet(mask_set.bits, mask_set.areas, everything, mask_set.same))
    assert chains
    assert all(len(set(chain)) == len(chain) for chain in chains)


@given(seed=st.integers(0, 10_000), count=st.integers(0, 15))
def test_chains_nest_without_skipping(seed: int, count: int) -> None:
    mask_set = build_mask_set(random_masks(seed, count))
    chains = mask_chains(mask_set)
    assert [chain[0] for chain in chains] == np.flatnonzero(~mask_set.inside.any(axis=0)).tolist()
    for chain in chains:
        for child, parent in itertools.pairwise(chain):
            assert mask_set.inside[child, parent]
            between = mask_set.inside[child] & mask_set.inside[:, parent]
            assert not between.any()
        assert not mask_set.inside[chain[-1]].any()


def test_import_stays_light() -> None:
    code = (
        "import sys, ultrafield.masks, ultrafield.scene; print({'torch', 'higra', 'cv2', 'trimesh'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
