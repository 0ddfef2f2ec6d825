"""Causal filters of one lead, with state and a known delay: resampling."""

from mhealth.dsp._resample import Resampler, ResampleStream

__all__ = ["ResampleStream", "Resampler"]
