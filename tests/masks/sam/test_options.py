"""Settings of the generator."""

from __future__ import annotations

import pytest

from ultrafield.errors import ConfigError
from ultrafield.masks.sam.options import LIMITS, GeneratorOptions


def test_zero_switches_off_what_is_optional() -> None:
    options = GeneratorOptions(points_per_batch=0, mask_nms_thresh=0.0)
    assert (options.points_per_batch, options.mask_nms_thresh) == (None, None)


@pytest.mark.parametrize("name", LIMITS)
def test_numbers_out_of_range_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        GeneratorOptions(**{name: -1})
    with pytest.raises(ConfigError, match=name):
        GeneratorOptions(**{name: "many"})  # type: ignore[arg-type]
