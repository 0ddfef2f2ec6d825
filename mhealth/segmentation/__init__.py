"""Unsupervised, adaptive segmentation: the moments where a quasi-periodic signal turns."""

from mhealth.segmentation._lead import LeadCandidates, LeadSegmenterStream, Turn
from mhealth.segmentation._segmenter import BendRule, EcgSegmenter, ExtremumRule, Segmenter, SegmenterStream

__all__ = [
    "BendRule",
    "EcgSegmenter",
    "ExtremumRule",
    "LeadCandidates",
    "LeadSegmenterStream",
    "Segmenter",
    "SegmenterStream",
    "Turn",
]
