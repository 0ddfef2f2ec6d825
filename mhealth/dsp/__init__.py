"""Causal filters of one lead, with state and a known delay: resampling, signal quality."""

from mhealth.dsp._quality import BreathQuality, QualityStream, Reason, SignalQuality, UnusableSpans, unusable_spans
from mhealth.dsp._rates import BREATH_RATES, ECG_RATES, HIGHEST_RATE, LOWEST_RATE, RateRange
from mhealth.dsp._resample import Resampler, ResampleStream
from mhealth.dsp._scale import RunningScale, RunningScaleStream, ScaleAndFloor

__all__ = [
    "BREATH_RATES",
    "ECG_RATES",
    "HIGHEST_RATE",
    "LOWEST_RATE",
    "BreathQuality",
    "QualityStream",
    "RateRange",
    "Reason",
    "ResampleStream",
    "Resampler",
    "RunningScale",
    "RunningScaleStream",
    "ScaleAndFloor",
    "SignalQuality",
    "UnusableSpans",
    "unusable_spans",
]
