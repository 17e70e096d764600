"""The user's own files that labels go onto."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ultrafield.export.carry import read_gaussians

NAMES = ("x", "y", "z", "opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3")
COLORS = ("f_dc_0", "f_dc_1", "f_dc_2")
SIGNALLING = np.array(0x7FA00000, np.uint32).view(np.float32)  # a NaN of which the processor complains


def test_gaussians_of_sizes_that_are_no_numbers_have_none(tmp_path: Path) -> None:
    rows = np.full((2, len(NAMES) + len(COLORS)), 0.5, np.float32)
    rows.view(np.uint32)[1, 4] = SIGNALLING.view(np.uint32)
    header = "".join(f"property float {name}\n" for name in (*NAMES, *COLORS))
    file = tmp_path / "splats.ply"
    file.write_bytes(
        f"ply\nformat binary_little_endian 1.0\nelement vertex 2\n{header}end_header\n".encode() + rows.tobytes()
    )
    sizes = read_gaussians(file).sizes
    assert sizes is not None
    np.testing.assert_allclose(sizes, [np.exp(0.5), 0.0])
