"""Who has what, by the publishers' tables: diagnoses of LUDB, rhythms of MIT-BIH."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.outcome_codes._design import LUDB_TARGETS, MITDB_TARGETS

__all__ = ["ludb_targets", "mitdb_targets", "rhythms", "windows_of_one_rhythm"]


def ludb_targets(folder: Path, names: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Return for each target which records of LUDB have it.

    Parameters
    ----------
    folder : Path
        Of the data set.
    names : sequence of str
        Records.
    """
    with open(folder / "ludb.csv", newline="", encoding="utf-8-sig") as file:
        rows = {row["ID"].strip(): row for row in csv.DictReader(file)}
    found = {}
    for target, (column, beginnings) in LUDB_TARGETS.items():
        lines = [[line.strip() for line in rows[name][column].splitlines() if line.strip()] for name in names]
        found[target] = np.array([any(line.startswith(beginnings) for line in of_one) for of_one in lines], dtype=bool)
    return found


def mitdb_targets(notes: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Return for each target which rhythms are it."""
    return {target: np.isin(notes, rhythms) for target, rhythms in MITDB_TARGETS.items()}


def rhythms(record: Path) -> tuple[NDArray[np.int64], list[str]]:
    """Return where rhythms of a MIT-BIH record begin, and which."""
    with warnings.catch_warnings():  # it calls pandas in a way that pandas 3 deprecates
        warnings.simplefilter("ignore", DeprecationWarning)
        import wfdb

        marks = wfdb.rdann(str(record), "atr")
    rows = [
        (sample, note.strip("\0"))
        for sample, symbol, note in zip(marks.sample, marks.symbol, marks.aux_note, strict=True)
        if symbol == "+"
    ]
    return np.array([sample for sample, _ in rows], dtype=np.int64), [note for _, note in rows]


def windows_of_one_rhythm(
    starts: NDArray[np.int64], notes: Sequence[str], n_samples: int, length: int, count: int
) -> tuple[list[int], list[str]]:
    """Return windows that lie within one rhythm each, so many of each rhythm as its share of the record says.

    Parameters
    ----------
    starts, notes
        As `rhythms` gives them.
    n_samples, length : int
        Of the record, and of a window.
    count : int
        Windows asked for; evenly spread over those that there are.
    """
    places, names = [], []
    for start, stop, note in zip(starts, [*starts[1:], n_samples], notes, strict=True):
        first = range(int(start), int(stop) - length + 1, length)
        places += first
        names += [note] * len(first)
    chosen = [k * len(places) // count for k in range(count)] if len(places) > count else range(len(places))
    return [places[k] for k in chosen], [names[k] for k in chosen]
