"""Intervals of the heartbeat (RR, heart rate, PR, QRS, QT, corrected QT) and of breathing."""

from mhealth.intervals._beats import LONGEST_PR, LONGEST_QT, Beats, associate_waves
from mhealth.intervals._breaths import SHORTEST_PAUSE, Breaths, breath_intervals
from mhealth.intervals._intervals import Intervals, ecg_intervals
from mhealth.intervals._qtc import qtc_bazett, qtc_framingham, qtc_fridericia, qtc_hodges
from mhealth.intervals._trend import IntervalTrend, interval_trend

__all__ = [
    "LONGEST_PR",
    "LONGEST_QT",
    "SHORTEST_PAUSE",
    "Beats",
    "Breaths",
    "IntervalTrend",
    "Intervals",
    "associate_waves",
    "breath_intervals",
    "ecg_intervals",
    "interval_trend",
    "qtc_bazett",
    "qtc_framingham",
    "qtc_fridericia",
    "qtc_hodges",
]
