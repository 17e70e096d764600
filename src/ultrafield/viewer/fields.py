"""Views rendered from a run's radiance field, and its features as colours; the only part of the viewer with PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from ..cameras import Cameras, RenderedView
from ..export.renderings import FeatureColors
from ..pipeline.fields import fields_of
from ..pipeline.folder import RunFolder

if TYPE_CHECKING:
    from ..surface import Surface
    from ..training import Fields

_FITTED = 20_000  # surface points that the colours of features are fitted to


@dataclass(frozen=True, eq=False)
class LoadedFields:
    """The fields of a run, ready to be rendered.

    Attributes:
        fields: Geometry and, with the engines that train them, features.
        colors: Colours of features; None where there are no features.
    """

    fields: Fields
    colors: FeatureColors | None

    @classmethod
    def of(cls, run: RunFolder, surface: Surface) -> Self:
        """Load the fields of a run folder.

        Raises:
            RunError: It holds none, or others than it was segmented with; or PyTorch is not installed.
        """
        fields = fields_of(run)
        if fields.features is None or len(surface) == 0:
            return cls(fields, None)
        from ..field import point_features

        chosen = surface.points[:: max(1, len(surface) // _FITTED)]
        return cls(fields, FeatureColors.fitted([point_features(fields.features, chosen)]))

    def render(self, camera: Cameras) -> RenderedView:
        """What a camera of the normalised frame sees."""
        from ..field import render_view

        return render_view(self.fields.geometry, camera, 0)

    def features(self, points: np.ndarray) -> np.ndarray | None:
        """Features at the points that pixels see [h, w, 3], as a picture [h, w, 3]; None where there are none."""
        from ..field import point_features

        if self.colors is None or self.fields.features is None:
            return None
        seen = np.isfinite(points).all(axis=-1)
        return self.colors.picture(point_features(self.fields.features, points[seen]), seen)
