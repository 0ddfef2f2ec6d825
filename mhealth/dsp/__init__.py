"""Causal filters of one lead, with state and a known delay: resampling, signal quality."""

from mhealth.dsp._quality import QualityStream, Reason, SignalQuality, UnusableSpans, unusable_spans
from mhealth.dsp._resample import HIGHEST_RATE, LOWEST_RATE, Resampler, ResampleStream
from mhealth.dsp._scale import RunningScale, RunningScaleStream, ScaleAndFloor

__all__ = [
    "HIGHEST_RATE",
    "LOWEST_RATE",
    "QualityStream",
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
