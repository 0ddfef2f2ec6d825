"""The types that flow along the signal path, and the checks on what users hand in."""

from mhealth.core._annotation import Annotation
from mhealth.core._candidates import Candidates
from mhealth.core._checks import check_channels, check_fs, check_signals
from mhealth.core._recording import Gap, Recording
from mhealth.core._spans import UNUSABLE, Spans

__all__ = [
    "UNUSABLE",
    "Annotation",
    "Candidates",
    "Gap",
    "Recording",
    "Spans",
    "check_channels",
    "check_fs",
    "check_signals",
]
