"""Causal filters with state and a known delay: resampling, signal quality, running scale, convolutions."""

from mhealth.dsp._convolutions import (
    Convolution,
    Convolutions,
    ConvolutionStream,
    Quantization,
    QuantizedAddition,
    QuantizedConvolution,
    quantized_multiplier,
)
from mhealth.dsp._quality import (
    BreathQuality,
    Judgement,
    QualityStream,
    Reason,
    SignalQuality,
    UnusableSpans,
    unusable_spans,
)
from mhealth.dsp._rates import BREATH_RATES, ECG_RATES, HIGHEST_RATE, LOWEST_RATE, RateRange
from mhealth.dsp._resample import Resampler, ResampleStream
from mhealth.dsp._scale import RunningScale, RunningScaleStream, ScaleAndFloor

__all__ = [
    "BREATH_RATES",
    "ECG_RATES",
    "HIGHEST_RATE",
    "LOWEST_RATE",
    "BreathQuality",
    "Convolution",
    "ConvolutionStream",
    "Convolutions",
    "Judgement",
    "QualityStream",
    "Quantization",
    "QuantizedAddition",
    "QuantizedConvolution",
    "RateRange",
    "Reason",
    "ResampleStream",
    "Resampler",
    "RunningScale",
    "RunningScaleStream",
    "ScaleAndFloor",
    "SignalQuality",
    "UnusableSpans",
    "quantized_multiplier",
    "unusable_spans",
]
