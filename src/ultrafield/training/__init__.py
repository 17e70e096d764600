"""Training of geometry, and of features on its surfaces.

Layers of the room, from the top: `fitting`; `trainers`, which chooses by device; `cuda`; `geometry` and `features`;
`contrast`; then `loop`, `log`, `schedule`, `pixels` and `checkpoint`.
"""

from __future__ import annotations

from ..devices import resolve_device
from .checkpoint import FIELD_FILE, STATE_FILE, Fields, load_fields, save_fields
from .fitting import fit, fit_features, fit_geometry, geometry_source
from .geometry.poses import posed

__all__ = [
    "FIELD_FILE",
    "STATE_FILE",
    "Fields",
    "fit",
    "fit_features",
    "fit_geometry",
    "geometry_source",
    "load_fields",
    "posed",
    "resolve_device",
    "save_fields",
]
