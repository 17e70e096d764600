"""The training-free evidence: what the 2D masks of all views say about neighbouring surface points."""

from __future__ import annotations

import numpy as np

from ..devices import device_name
from ..errors import RunError
from ..scene import Scene
from ..sharing import Team
from ..surface import Surface
from .vote_sums import add_up, add_up_shared


def mask_votes(
    surface: Surface, edges: np.ndarray, scene: Scene, *, device: str = "cpu", team: Team | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Weigh, for every edge, the masks that hold both of its ends and those that hold at least one.

    Summed over the training views that see both ends, each mask with its weight (`mask_weights`); what no mask of a
    view holds counts as one more mask. A view in which the two ends share all masks speaks for their unity, one in
    which masks hold one end only for a border between them. Works view by view, in memory O(N + E).

    Args:
        surface: N points with their visibility from every training view.
        edges: [E, 2], int64.
        scene: Where masks and cameras come from; training views without masks are passed over.
        device: Where votes are added up: "cpu", in float64, or "cuda", in float32.
        team: Processes that count some of the views each; None counts all of them in this one.

    Returns:
        Summed weights of the masks holding both ends, and of those holding either [E], float64.

    Raises:
        RunError: The surface belongs to another number of views, or no training view has masks that hold a point.
        ValueError: An unknown device.
        BackendError: CUDA was asked for by name and cannot run here.
    """
    device = device_name(device)
    if team is not None:
        both, either, holding = add_up_shared(surface, edges, scene, device, team)
    elif device == "cpu":
        both, either, holding = add_up(surface, edges, scene)
    else:
        from .votes_device import add_up_on_device

        both, either, holding = add_up_on_device(surface, edges, scene, device)
    if not holding and len(surface) > 0:
        raise RunError(f"{scene.source}: no mask of any training view holds a point of the surface")
    return both, either
