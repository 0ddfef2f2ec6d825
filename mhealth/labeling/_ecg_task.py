"""The waves of the heartbeat as a labeling task."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mhealth.crf import ECG_GRAMMAR
from mhealth.dsp import ECG_RATES, SignalQuality
from mhealth.labeling._augment import augmented
from mhealth.labeling._beat_context import BeatContext
from mhealth.labeling._examples import LeadCase
from mhealth.labeling._features import FeatureSettings
from mhealth.labeling._front_end import FrontEnd
from mhealth.labeling._task import Task
from mhealth.segmentation import EcgSegmenter
from mhealth.sparse import Window

__all__ = ["ECG", "ECG_MCU"]

_LONGEST_PQ = 0.36
"""Seconds from a P wave to the QRS complex that it conducts to; no expert marked a longer pause, which is TP."""

_LONGEST_ST = 0.39
"""Seconds; just under the longest ST of the grammar, so that snapping cannot make a sequence impossible."""


def _between(before: str, after: str, seconds: float) -> tuple[str, ...]:
    """Return PQ after a P wave that conducts, ST between QRS and T, else TP."""
    if (before, after) == ("P", "QRS") and seconds < _LONGEST_PQ:
        return ("PQ",)
    if (before, after) == ("QRS", "T"):
        return ("ST",) if seconds < _LONGEST_ST else ("TP", "PQ", "ST")
    return ("TP",)


def _as_marked(case: LeadCase) -> LeadCase:
    """Return the case: experts mark edges, and the signal adds nothing to that."""
    return case


def _as_found(
    raw: NDArray[np.float32], raw_start: int, fs: float, states: NDArray[np.int64], waves: NDArray[np.int64]
) -> None:
    """Leave edges where the model puts them."""


ECG = Task(
    kind="ecg",
    grammar=ECG_GRAMMAR,
    rates=ECG_RATES,
    front_end=FrontEnd(
        segmenter=EcgSegmenter(),
        quality=SignalQuality(),
        features=FeatureSettings(
            rate=250.0,
            # The wave's edge, the wave with its neighbours, the last two beats.
            windows=(
                Window(before=0.1, after=0.1, n_points=25),
                Window(before=0.4, after=0.4, n_points=40, detrend="linear"),
                Window(before=1.6, after=0.4, n_points=40, detrend="linear"),
            ),
            knee=0.25,
            # With filter delays, the lag and the decoding, labels come out 2 s after a wave.
            lookahead=0.4,
            warm_up=1.936,
            context=BeatContext(),
        ),
    ),
    # Edges of one wave differ so much between leads.
    farthest_edge=0.06,
    shift_unit=0.02,
    gaps=("TP", "PQ", "ST"),
    between=_between,
    # A QRS complex that noise or haste hides is there all the same. A P wave may be missing: a bonus that finds those
    # which noise hides finds them in atrial fibrillation too (LUDB: 0.13 false P waves a beat became 0.45).
    eager=("QRS",),
    # In fibrillation one lead with large waves outvotes those that show none.
    doubtful=("P",),
    cut={"start": (), "end": ()},
    refined=_as_found,
    point="peak",
    tolerance=0.15,
    completed=_as_marked,
    augmented=augmented,
)
"""P waves, QRS complexes and T waves."""

ECG_MCU = replace(
    ECG,
    front_end=replace(
        ECG.front_end,
        features=replace(ECG.front_end.features, context=BeatContext(horizon=3.0)),
    ),
    budget="cortex-m3",
)
"""The same for a microcontroller, which keeps 4.1 s of signal, 1024 samples: beats are averaged that are up to 3 s back
from a candidate, which waits 0.4 s for what follows it."""
