"""Rhythms and diagnoses of LUDB's subjects."""

from __future__ import annotations

import csv
import re
from pathlib import Path

__all__ = ["groups"]

_DIAGNOSES = {
    "atrioventricular block": ("Conduction abnormalities", r"\bav\b"),
    "bundle branch block or hemiblock": ("Conduction abnormalities", "bundle branch|hemiblock"),
    "extrasystoles": ("Extrasystolies", "."),
    "hypertrophy or overload": ("Hypertrophies", "."),
    "pacemaker": ("Cardiac pacing", "."),
    "ischaemia or scar": ("Ischemia", "."),
    "repolarisation abnormality": ("Non-specific repolarization abnormalities", "."),
}
"""Column of ``ludb.csv``, and the pattern of what it says."""

NONE = "none of these diagnoses"


def groups(folder: Path) -> dict[str, list[str]]:
    """Return the records of each rhythm and diagnosis; a record may be in several groups of diagnoses, or in none.

    Parameters
    ----------
    folder : Path
        Of LUDB.
    """
    from data_loaders import Ludb

    dataset = Ludb(folder)
    with open(folder / "ludb.csv", newline="", encoding="utf-8-sig") as file:
        rows = {row["ID"].strip(): row for row in csv.DictReader(file)}
    found: dict[str, list[str]] = {}
    for name in dataset.records:
        row = rows[name]
        own = [label for label, (column, said) in _DIAGNOSES.items() if re.search(said, row[column].lower())]
        for label in (f"rhythm: {dataset.stratum(name)}", *(own or [NONE])):
            found.setdefault(label, []).append(name)
    order = [*sorted(label for label in found if label.startswith("rhythm")), *_DIAGNOSES, NONE]
    return {label: found[label] for label in order if label in found}
