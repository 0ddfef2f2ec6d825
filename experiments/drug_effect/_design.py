"""What is done to which minute of a recording, and what detects it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = [
    "ALL", "CALIBRATION", "CHECKED", "DETECTORS", "DRUG", "EXERCISE", "N_CALIBRATION", "REST", "STEPS", "STRETCHED",
    "Change", "episodes", "minutes", "single_steps",
]  # fmt: skip

CALIBRATION, REST, EXERCISE, DRUG = "calibration", "rest", "exercise", "drug"
ALL, STRETCHED = "intervals and codes", "stretched beats"
DETECTORS = ("heart rate", "intervals", "codes", ALL, STRETCHED)


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is done to the beats of a stretch of time.

    Parameters
    ----------
    rate : float
        Heart rate rises by this share.
    qt, qrs : float
        Seconds by which QT is longer than the person's QT-RR line has it at the new rate, and QRS than it was.
    """

    rate: float = 0.0
    qt: float = 0.0
    qrs: float = 0.0


N_CALIBRATION = 2
"""Minutes at rest at the start of a recording: what the subject is like without drug."""

TAKEN = Change(rate=0.2, qt=0.03, qrs=0.008)
EXERCISES = ((0.1, 0.35), (0.35, 0.6))
"""Ranges of the rise of the heart rate in the two minutes of exercise of each half of a recording."""

STEPS = {"qt": (0.0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04), "qrs": (0.0, 0.002, 0.004, 0.006, 0.008, 0.012, 0.016)}
"""Changes in s whose measurement is tested; a recording has one minute of each, and `N_UNCHANGED` of none."""

N_UNCHANGED = 6

CHECKED = (
    Change(), Change(qt=0.01), Change(qt=0.02), Change(qt=0.03), Change(qrs=0.004), Change(qrs=0.008), TAKEN,
    Change(rate=0.4),
)  # fmt: skip
"""Changes of whole LUDB recordings, in which experts marked every beat in every lead."""


def episodes(rng: np.random.Generator) -> list[tuple[str, Change]]:
    """Return the minutes of a recording: calibration, and two halves of rest, exercise, drug in any order."""
    plan = [(CALIBRATION, Change())] * N_CALIBRATION
    for _ in range(2):
        exercise = [(EXERCISE, Change(rate=rng.uniform(*limits))) for limits in EXERCISES]
        half = [(REST, Change()), *exercise, (DRUG, TAKEN), (DRUG, TAKEN)]
        plan += [half[k] for k in rng.permutation(len(half))]
    return plan


def single_steps(name: str, rng: np.random.Generator) -> list[tuple[str, Change]]:
    """Return calibration, then minutes of one change each in any order."""
    plan = [(name, Change(**{name: size})) for size in (0.0,) * (N_UNCHANGED - 1) + STEPS[name]]
    return [(name, Change())] * N_CALIBRATION + [plan[k] for k in rng.permutation(len(plan))]


def minutes(changes: Sequence[Change], *, length: float = 60.0) -> Callable[[float], Change]:
    """Return the change at a second where there is one for each minute; the last one lasts."""
    return lambda second: changes[min(max(int(second // length), 0), len(changes) - 1)]
