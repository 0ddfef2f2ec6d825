"""Two runs side by side, metric by metric."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from experiments._experiment import find
from experiments._manifest import changed_inputs, reasons
from experiments._runner import finished
from mhealth.errors import InvalidParameterError, RecordingFileError

__all__ = ["DIFFERENT", "IDENTICAL", "WITHIN", "Comparison", "Row", "check_inputs", "compare"]

IDENTICAL, WITHIN, DIFFERENT = "identical", "within tolerance", "different"


class Row(NamedTuple):
    """A metric of two runs, None where it is undefined or missing."""

    metric: str
    first: float | None
    second: float | None
    tolerance: float
    verdict: str


class Comparison(NamedTuple):
    """What two runs of an experiment have in common.

    Attributes
    ----------
    rows : list of Row
    reasons : list of str
        Why metrics may differ: what else differs between the runs.
    """

    rows: list[Row]
    reasons: list[str]

    def count(self, verdict: str) -> int:
        """Return how many metrics have a verdict."""
        return sum(row.verdict == verdict for row in self.rows)


def compare(first: Path, second: Path) -> Comparison:
    """Compare two finished runs of one experiment.

    Raises
    ------
    InvalidParameterError
        If a folder holds no finished run, or they are of different experiments.
    """
    (manifest, results), (other, others) = finished(first), finished(second)
    if manifest["experiment"] != other["experiment"]:
        raise InvalidParameterError(
            f"{first} is a run of {manifest['experiment']}, {second} of {other['experiment']}; expected one experiment."
        )
    tolerances = find(manifest["experiment"]).tolerance
    a, b = results["metrics"], others["metrics"]
    rows = [_row(name, a, b, tolerances) for name in dict.fromkeys([*a, *b])]
    return Comparison(
        rows, [*_other_configuration(manifest, other), *reasons(manifest["sittings"][0], other["sittings"][0])]
    )


def _row(name: str, a: Mapping[str, float | None], b: Mapping[str, float | None], tolerances: dict[str, float]) -> Row:
    tolerance = next((size for pattern, size in tolerances.items() if fnmatchcase(name, pattern)), 0.0)
    first, second = a.get(name), b.get(name)
    if first == second and (name in a) == (name in b):
        verdict = IDENTICAL
    elif first is not None and second is not None and abs(first - second) <= tolerance:
        verdict = WITHIN
    else:
        verdict = DIFFERENT
    return Row(name, first, second, tolerance, verdict)


def _other_configuration(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """Say what else was asked for, or read."""
    found = []
    settings = [(name, first["settings"].get(name), second["settings"].get(name)) for name in first["settings"]]
    for name, before, after in [*settings, ("seed", first["seed"], second["seed"])]:
        if before != after:
            found.append(f"other {name} ({before}, then {after})")
    files = first["inputs"].keys() | second["inputs"].keys()
    n_other = sum(first["inputs"].get(name) != second["inputs"].get(name) for name in files)
    return found + ([f"{n_other} of {len(files)} files of recordings are others"] if n_other else [])


def check_inputs(folder: Path, data: Path) -> dict[str, Any]:
    """Return the manifest of a finished run, if the recordings are still those that it read.

    Raises
    ------
    RecordingFileError
        If some are missing or have changed.
    """
    manifest, _ = finished(folder)
    changed = changed_inputs(data, manifest["inputs"])
    if changed:
        raise RecordingFileError(
            f"{len(changed)} of the {len(manifest['inputs'])} files that {folder} was made from are not as they were: "
            f"{'; '.join(changed[:5])}{'; ...' if len(changed) > 5 else ''}. Put the publisher's files back."
        )
    return manifest
