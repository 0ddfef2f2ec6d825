"""Unsupervised, adaptive segmentation: the moments where a quasi-periodic signal turns."""

from mhealth.segmentation._lead import LeadCandidates, LeadSegmenterStream, Turn
from mhealth.segmentation._segmenter import EcgSegmenter, Segmenter, SegmenterStream

__all__ = [
    "EcgSegmenter",
    "LeadCandidates",
    "LeadSegmenterStream",
    "Segmenter",
    "SegmenterStream",
    "Turn",
]
