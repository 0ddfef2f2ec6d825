"""`mhealth models`: what ships."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from mhealth.cli._terminal import Debug, Quiet, examples, print_table, reports_errors

__all__ = ["EPILOG", "models"]

EPILOG = examples(
    ("mhealth models", "name, training data, scores and licence of each"),
    ("mhealth label night.edf --model respiration", "use one: only what breathes is labelled"),
)

LISTED = 8
"""Entries of a list that are shown; a model may be trained on hundreds of records."""


@reports_errors
def models(quiet: Quiet = False, debug: Debug = False) -> None:
    """List the models that ship with mhealth: what they were trained on, how good they are, and their licence."""
    from mhealth.labeling import pretrained_models

    for manifest in pretrained_models():
        print_table("", ["", ""], [[key, value] for key, value in flattened(dataclasses.asdict(manifest))])


def flattened(manifest: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the entries of a manifest as pairs of text.

    Nested names are joined by dots, figures that belong together are one entry, long lists are cut, records are counted
    by data set.
    """
    for key, value in manifest.items():
        if isinstance(value, Mapping) and value and all(isinstance(figure, int | float) for figure in value.values()):
            yield f"{prefix}{key}", ", ".join(f"{name} {figure:g}" for name, figure in value.items())
        elif isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{key}.")
        elif (
            isinstance(value, list | tuple) and value and all(isinstance(e, Mapping) and "dataset" in e for e in value)
        ):
            counts = Counter(entry["dataset"] for entry in value)
            yield f"{prefix}{key}", ", ".join(f"{count} records of {name}" for name, count in counts.items())
        elif isinstance(value, list | tuple):
            shown = ", ".join(str(entry) for entry in value[:LISTED])
            yield f"{prefix}{key}", f"{shown}, ... ({len(value)} in all)" if len(value) > LISTED else shown
        else:
            yield f"{prefix}{key}", f"{value:g}" if isinstance(value, float) else str(value)
