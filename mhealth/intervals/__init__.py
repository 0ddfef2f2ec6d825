"""Intervals of the heartbeat: RR and heart rate, PR, QRS, QT and QT corrected for heart rate."""

from mhealth.intervals._beats import LONGEST_PR, LONGEST_QT, Beats, associate_waves
from mhealth.intervals._intervals import Intervals, ecg_intervals
from mhealth.intervals._qtc import qtc_bazett, qtc_framingham, qtc_fridericia, qtc_hodges

__all__ = [
    "LONGEST_PR",
    "LONGEST_QT",
    "Beats",
    "Intervals",
    "associate_waves",
    "ecg_intervals",
    "qtc_bazett",
    "qtc_framingham",
    "qtc_fridericia",
    "qtc_hodges",
]
