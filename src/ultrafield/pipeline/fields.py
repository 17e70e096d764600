"""The fields that a run was segmented with, read from its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import RunError, in_shell
from .folder import RunFolder

if TYPE_CHECKING:
    from ..training import Fields


def fields_of(run: RunFolder, *, device: str = "auto") -> Fields:
    """The fields that the segmentation in a run folder is from.

    Args:
        run: The folder.
        device: Where to compute: "auto", "cpu" or "cuda".

    Raises:
        RunError: It holds none, a damaged one, or another one than it was segmented with; or PyTorch is not installed.
    """
    try:
        from ..training import FIELD_FILE, load_fields, resolve_device
        from ..training.checkpoint import stored_settings
    except ImportError as failure:
        raise RunError(f"{run.root}: fields need PyTorch ({failure})") from None

    damage = run.records.damage("train")
    if damage is not None:
        raise RunError(f"{damage}; next: ultrafield train SCENE --out {in_shell(run.root)}")
    fields = load_fields(run.root, device=resolve_device(device))
    held = stored_settings(run.root / FIELD_FILE).digests
    seen = [run.records.made_from(stage) for stage in ("render", "segment")]
    if any(made_from.get(part, digest) != digest for part, digest in held.items() for made_from in seen):
        raise RunError(f"{run.root}: was segmented with another field; next: ultrafield segment {in_shell(run.root)}")
    return fields
