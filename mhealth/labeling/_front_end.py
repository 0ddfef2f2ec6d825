"""What happens to a lead before anything learned comes in."""

from __future__ import annotations

from dataclasses import dataclass

from mhealth.dsp import SignalQuality
from mhealth.labeling._features import FeatureSettings
from mhealth.segmentation import Segmenter

__all__ = ["FrontEnd"]


@dataclass(frozen=True, kw_only=True)
class FrontEnd:
    """Settings of segmentation, signal quality and features.

    Parameters
    ----------
    segmenter : Segmenter
        Its internal rate must be that of the features.
    quality : SignalQuality
    features : FeatureSettings
    """

    segmenter: Segmenter
    quality: SignalQuality
    features: FeatureSettings

    @property
    def rate(self) -> float:
        """Internal rate in Hz."""
        return self.features.rate
