"""How good labels are: matching to expert marks, calibration, and comparison of methods over subjects."""

from mhealth.metrics._agreement import sample_agreement
from mhealth.metrics._bootstrap import BootstrapDifference, bootstrap_difference
from mhealth.metrics._breaths import BreathScores, score_breaths, score_second_annotator
from mhealth.metrics._calibration import (
    DetectionCurve,
    Reliability,
    RocCurve,
    WaveOutcomes,
    expected_calibration_error,
    precision_recall,
    reliability,
    roc,
    wave_outcomes,
)
from mhealth.metrics._counts import MatchCounts
from mhealth.metrics._delineation import (
    BestChannelScore,
    DelineationScore,
    score_best_channel,
    score_delineation,
)
from mhealth.metrics._matching import match
from mhealth.metrics._qrs import QrsScore, score_qrs

__all__ = [
    "BestChannelScore",
    "BootstrapDifference",
    "BreathScores",
    "DelineationScore",
    "DetectionCurve",
    "MatchCounts",
    "QrsScore",
    "Reliability",
    "RocCurve",
    "WaveOutcomes",
    "bootstrap_difference",
    "expected_calibration_error",
    "match",
    "precision_recall",
    "reliability",
    "roc",
    "sample_agreement",
    "score_best_channel",
    "score_breaths",
    "score_delineation",
    "score_qrs",
    "score_second_annotator",
    "wave_outcomes",
]
