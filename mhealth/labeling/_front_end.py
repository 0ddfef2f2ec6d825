"""What happens to a lead before anything learned comes in."""

from __future__ import annotations

from dataclasses import dataclass, field

from mhealth.dsp import SignalQuality
from mhealth.labeling._features import FeatureSettings
from mhealth.segmentation import EcgSegmenter

__all__ = ["FrontEnd"]


@dataclass(frozen=True, kw_only=True)
class FrontEnd:
    """Settings of segmentation, signal quality and features.

    Parameters
    ----------
    segmenter : EcgSegmenter
    quality : SignalQuality
    features : FeatureSettings
    """

    segmenter: EcgSegmenter = field(default_factory=EcgSegmenter)
    quality: SignalQuality = field(default_factory=SignalQuality)
    features: FeatureSettings = field(default_factory=FeatureSettings)
