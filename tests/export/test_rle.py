"""COCO's run-length encoding against its own library."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ultrafield.export.rle import encode_labels

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of pycocotools, about NumPy
coco = pytest.importorskip("pycocotools.mask", reason="needs pycocotools")


@settings(max_examples=150, deadline=None)
@given(labels=arrays(np.int32, st.tuples(st.integers(1, 23), st.integers(1, 23)), elements=st.integers(-1, 3)))
def test_every_mask_is_what_the_library_makes(labels: np.ndarray) -> None:
    masks = encode_labels(labels)
    assert [mask.label for mask in masks] == np.unique(labels[labels >= 0]).tolist()
    for mask in masks:
        expected = coco.encode(np.asfortranarray(labels == mask.label).astype(np.uint8))
        assert mask.counts == expected["counts"].decode()
        assert mask.area == coco.area(expected)
        assert mask.box == tuple(coco.toBbox(expected).astype(int))


def test_long_runs_take_several_characters() -> None:
    labels = np.full((3000, 2001), -1)
    labels[2999, 2000] = labels[0, 0] = 256_000
    (mask,) = encode_labels(labels)
    decoded = coco.decode({"size": [3000, 2001], "counts": mask.counts.encode()})
    assert np.array_equal(decoded, labels >= 0)


def test_nothing_and_other_shapes() -> None:
    assert encode_labels(np.full((3, 2), -1)) == []
    assert encode_labels(np.zeros((0, 4), int)) == []
    with pytest.raises(ValueError, match="labels: expected shape"):
        encode_labels(np.zeros(3, int))
