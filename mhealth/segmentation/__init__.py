"""Unsupervised, adaptive segmentation: the moments where a quasi-periodic signal turns."""

from mhealth.segmentation._lead import LeadCandidates, LeadSegmenterStream, Turn
from mhealth.segmentation._segmenter import (
    BreathSegmenter,
    EcgSegmenter,
    Segmenter,
    SegmenterStream,
    quasi_periodic_segmenter,
)

__all__ = [
    "BreathSegmenter",
    "EcgSegmenter",
    "LeadCandidates",
    "LeadSegmenterStream",
    "Segmenter",
    "SegmenterStream",
    "Turn",
    "quasi_periodic_segmenter",
]
