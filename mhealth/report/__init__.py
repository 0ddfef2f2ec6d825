"""Plots of signals, labels, dictionaries and scores, and a report in one HTML file."""

from mhealth.report._breaths import plot_breath_trends, plot_breaths
from mhealth.report._dictionary import plot_dictionary, plot_weights
from mhealth.report._html import Sliceable, html_report
from mhealth.report._intervals import plot_intervals
from mhealth.report._reliability import plot_reliability
from mhealth.report._signals import plot_candidates, plot_labels
from mhealth.report._style import save_figure

__all__ = [
    "Sliceable",
    "html_report",
    "plot_breath_trends",
    "plot_breaths",
    "plot_candidates",
    "plot_dictionary",
    "plot_intervals",
    "plot_labels",
    "plot_reliability",
    "plot_weights",
    "save_figure",
]
