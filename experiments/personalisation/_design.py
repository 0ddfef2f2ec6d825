"""What is compared, and which settings of each are tried."""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "COUNTS", "GENERAL", "NAMES", "OTHERS", "OWN", "OWN_WEIGHTS", "REFIT", "SHRUNK", "SHRUNK_TWICE", "STRENGTHS",
    "TRAINED_ON", "UNLABELLED", "WEIGHTED", "Trial", "trials",
]  # fmt: skip

GENERAL = "population"
REFIT, WEIGHTED = "refit", "weighted"
"""The population's last layer learned once more: from LUDB as it is, from LUDB where it looks like QTDB."""

UNLABELLED = ("scale", "atoms", "activations")
"""What is moved without labels."""

OTHERS = "others"
"""The population adapted to other persons of QTDB."""

SHRUNK, SHRUNK_TWICE, OWN_WEIGHTS, OWN = "shrunk", "others, shrunk", "own weights", "own"

NAMES = {
    GENERAL: "population (LUDB)",
    REFIT: "LUDB once more",
    WEIGHTED: "LUDB weighted by likeness to QTDB",
    "scale": "scale, unlabelled",
    "atoms": "atoms, unlabelled",
    "activations": "activations, unlabelled",
    OTHERS: "other persons of QTDB",
    SHRUNK: "shrunk towards the population",
    SHRUNK_TWICE: "shrunk towards others of QTDB",
    OWN_WEIGHTS: "own labels, population's codes",
    OWN: "own labels, own codes",
}

STRENGTHS = {SHRUNK: (3.0, 30.0, 300.0), SHRUNK_TWICE: (30.0, 300.0), OWN_WEIGHTS: (0.1, 1.0, 10.0), OWN: (0.1, 1.0)}
"""Of the price for moving weights, away from the population's or from zero."""

SHARES = (0.25, 0.5, 1.0)
"""Of the way that is gone without labels."""

COUNTS = (1, 2, 4, 8, 15)
"""Labelled beats; QTDB has 30 a person, the second half of which is tested on."""

TRAINED_ON = ("ii", "iii", "v1", "v2", "v4", "v5")
"""Leads of LUDB like those of QTDB."""


class Trial(NamedTuple):
    """Something that is tried on every person.

    Attributes
    ----------
    arm : str
    count : int
        Labelled beats.
    setting : float
        Strength or share; 0 where there is none.
    """

    arm: str
    count: int
    setting: float

    @property
    def key(self) -> str:
        """How results call it."""
        return f"{self.arm}|{self.count}|{self.setting:g}"


def trials(counts: tuple[int, ...] = COUNTS) -> list[Trial]:
    """Return all trials; the first is the population's model as it is."""
    of_all = [Trial(arm, 0, 0.0) for arm in (GENERAL, REFIT, WEIGHTED, OTHERS)]
    unlabelled = [Trial(arm, 0, share) for arm in UNLABELLED for share in SHARES]
    labelled = [Trial(arm, count, s) for arm, strengths in STRENGTHS.items() for count in counts for s in strengths]
    return of_all + unlabelled + labelled
