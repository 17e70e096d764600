"""Constants that geometry training has in common on every device."""

from __future__ import annotations

FEWEST_RAYS = 256  # of a step whose number of rays follows the samples they need
MOST_RAYS = 1 << 16
REFERENCE_STEP = 3**0.5 / 1024  # length over which `occupancy_opacity` is meant, normalised units
PLANAR_REACH = 16  # pixels, largest distance of neighbours in a triple whose depth is made planar
SAMPLES_PER_TRIPLE = 128  # of a step, for each triple
PROBES = 4096  # random positions whose density is pressed down
PROBED_NEAR = 0.25  # half the edge of a cube around a camera where density is pressed down too, normalised units
