"""What is to be told, and from what."""

from __future__ import annotations

__all__ = [
    "ALL", "BAG", "BEATS", "INTERVALS", "LEADS", "LUDB_TARGETS", "MITDB_TARGETS", "NAMES", "NETWORK", "NGRAMS",
    "REFINED", "REPRESENTATIONS",
]  # fmt: skip

INTERVALS, BAG, NGRAMS, BEATS, REFINED, NETWORK = "intervals", "bag", "n-grams", "beats", "refined", "network"
ALL = "intervals and beats"

REPRESENTATIONS = {
    INTERVALS: (INTERVALS,),
    BAG: (BAG,),
    NGRAMS: (NGRAMS,),
    BEATS: (BEATS,),
    REFINED: (REFINED,),
    NETWORK: (NETWORK,),
    ALL: (INTERVALS, BEATS),
}
"""Which parts of the description of a lead each takes."""

NAMES = {
    INTERVALS: "intervals",
    BAG: "bag of atoms",
    NGRAMS: "n-grams of atoms",
    BEATS: "codes of beats",
    REFINED: "codes refined by wave labels",
    NETWORK: "U-Net's inner features",
    ALL: "intervals and codes of beats",
}

LEADS = ("ii", "v1", "v5")
"""Of LUDB: one of the limbs, one right and one left of the chest, whose descriptions lie side by side."""

LUDB_TARGETS = {
    "fibrillation or flutter": ("Rhythms", ("Atrial fibrillation", "Atrial flutter")),
    "bradycardia": ("Rhythms", ("Sinus bradycardia",)),
    "extrasystoles": ("Extrasystolies", ("",)),
    "conduction": ("Conduction abnormalities", ("",)),
    "left ventricular hypertrophy": ("Hypertrophies", ("Left ventricular hypertrophy",)),
    "ischemia": ("Ischemia", ("",)),
    "repolarization": ("Non-specific repolarization abnormalities", ("",)),
}
"""Column of `ludb.csv`, and what a line of it begins with; any entry counts where that is empty."""

MITDB_TARGETS = {
    "fibrillation or flutter": ("(AFIB", "(AFL"),
    "bigeminy or trigeminy": ("(B", "(T"),
    "paced": ("(P",),
}
"""Rhythms of MIT-BIH."""
