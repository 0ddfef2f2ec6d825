"""Candidates a second, and their distance to expert marks: prints the tables of the README.

Run from the repository root: python experiments/candidates/measure.py ../shared/data [ludb qtdb bidmc]
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from data_loaders import Bidmc, Dataset, Ludb, Qtdb
from mhealth.core import Recording, Spans
from mhealth.segmentation import BreathSegmenter, EcgSegmenter

MARGIN = 10.0  # seconds around the annotated beats of a QTDB record that are segmented with them


def tuning_half(names: list[str]) -> set[str]:
    """Return the records on which the settings were tuned: a random half."""
    names = sorted(names)
    return set(np.random.default_rng(0).permutation(names)[: len(names) // 2].tolist())


def around_marks(recording: Recording, spans: Spans) -> tuple[Recording, int]:
    """Return the part of a recording that has marks, with a margin, and its first sample."""
    points = np.concatenate([spans.onset, spans.peak, spans.offset])
    margin = int(MARGIN * recording.fs)
    start = max(0, int(points[points >= 0].min()) - margin)
    return recording.slice(start, int(points.max()) + margin), start


def distances(position: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Return how far each mark is from its nearest candidate, in samples."""
    after = np.clip(np.searchsorted(position, marks), 1, len(position) - 1)
    return np.minimum(np.abs(marks - position[after - 1]), np.abs(position[after] - marks))


def measure_beats(dataset: Dataset, names: Sequence[str], *, shared: bool) -> list[str]:
    """Return the cells of one row; `shared` marks belong to all channels and count for the nearest of them too."""
    segmenter = EcgSegmenter()
    count, seconds = 0, 0.0
    peaks: list[np.ndarray] = []
    boundaries: list[np.ndarray] = []
    for name in names:
        recording, annotation, _ = dataset.load(name)
        spans = annotation.spans
        part, start = around_marks(recording, spans) if shared else (recording, 0)
        found = segmenter.segment(part.signals, fs=part.fs)
        count += len(found)
        seconds += part.duration * len(part.channels)
        for points, into in ((spans.peak, peaks), (spans.onset, boundaries), (spans.offset, boundaries)):
            known = points >= 0
            if shared:
                marks = np.unique(points[known]) - start
                rows = [distances(found.position[found.channel == c], marks) for c in range(len(part.channels))]
                into.append(np.stack(rows) * 1000 / part.fs)
            else:
                for c in range(len(part.channels)):
                    marks = points[known & (spans.channel == c)]
                    into.append(distances(found.position[found.channel == c], marks)[None] * 1000 / part.fs)
    cells = [f"{count / seconds:.1f}"]
    for parts in (peaks, boundaries):
        joined = np.concatenate(parts, axis=1)
        cells += [f"{joined.mean():.2f}", f"{np.percentile(joined, 95):.0f}"]
        cells.append(f"{joined.min(axis=0).mean():.2f}" if shared else "–")
    return cells


def measure_breaths(dataset: Dataset, names: Sequence[str]) -> list[str]:
    """Return the cells of one row."""
    segmenter = BreathSegmenter()
    count, seconds = 0, 0.0
    ends: list[np.ndarray] = []
    for name in names:
        recording, annotation, _ = dataset.load(name)
        channel = recording.channels.index("RESP")
        found = segmenter.segment(recording.signals[:, channel], fs=recording.fs)
        count += len(found)
        seconds += recording.duration
        ends.append(distances(found.position, annotation.spans.offset) / recording.fs)
    joined = np.concatenate(ends)
    worst = max(float(part.mean()) for part in ends)
    return [
        f"{count / seconds:.2f}",
        *(f"{value:.3f}" for value in (joined.mean(), np.percentile(joined, 95), np.percentile(joined, 99), worst)),
    ]


def print_table(
    title: str, head: Sequence[str], dataset: Dataset, measure: Callable[[Dataset, Sequence[str]], list[str]]
) -> None:
    """Print what `measure` finds in all records, in the half that served for tuning, and in the other."""
    print(f"\n| records | {' | '.join(head)} |\n|{'---|' * (len(head) + 1)}")
    half = tuning_half(dataset.records)
    others = [name for name in dataset.records if name not in half]
    for which, names in (("all", dataset.records), ("tuning half", sorted(half)), ("other half", others)):
        print(f"| {title}, {which} | {' | '.join(measure(dataset, names))} |", flush=True)


def main(data: Path, which: Sequence[str]) -> None:
    beats = ("candidates/s", "peaks: mean ms", "95 %", "nearer", "boundaries: mean ms", "95 %", "nearer")
    breaths = ("candidates/s", "end of inspiration: mean s", "95 %", "99 %", "worst recording's mean")
    for name in which:
        match name:
            case "ludb":
                print_table("LUDB", beats, Ludb(data / name), lambda *args: measure_beats(*args, shared=False))
            case "qtdb":
                print_table("QTDB", beats, Qtdb(data / name), lambda *args: measure_beats(*args, shared=True))
            case "bidmc":
                print_table("BIDMC", breaths, Bidmc(data / name), measure_breaths)
            case _:
                raise SystemExit(f"{name!r} must be ludb, qtdb or bidmc.")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or ("ludb", "qtdb", "bidmc"))
