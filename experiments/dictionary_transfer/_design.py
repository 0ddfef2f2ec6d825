"""Which dictionaries are used on which recordings."""

from __future__ import annotations

__all__ = ["CONTROLS", "KINDS", "LABELLED", "LEADS", "LEARNS", "NAMES", "SIZE", "SOURCES", "SPARSITY", "TESTED"]

SOURCES = ("ludb", "qtdb", "mitdb", "noisy")
"""The last one is MIT-BIH with NSTDB's noise."""

CONTROLS = ("dct", "patches")
"""Cosines, and windows of the very recordings, which nothing was learned from."""

KINDS = {"edge": 0, "wave": 1}
"""Of the windows that describe a candidate of the labeler: a tenth of a second to either side, and four."""

LEADS = ("ii", "v5")
"""Of LUDB's twelve."""

LABELLED = ("ludb", "qtdb")
"""Data sets in which experts marked waves."""

LEARNS, TESTED = 0, 1
"""Halves of the subjects of each data set."""

SIZE, SPARSITY = 64, 5
"""Of the labeler's dictionaries; the other sizes and sparsities are axes of the errors."""

NAMES = {
    "ludb": "LUDB",
    "qtdb": "QTDB",
    "mitdb": "MIT-BIH",
    "noisy": "MIT-BIH + noise",
    "dct": "DCT",
    "patches": "patches",
}
