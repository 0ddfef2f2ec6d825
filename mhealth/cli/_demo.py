"""`mhealth demo`: from a signal to a table, a plot and a report in one step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from mhealth.cli._options import Channels, Model, Rate, Units, split_channels
from mhealth.cli._selection import Job, label_blocks, load_labeler, select
from mhealth.cli._terminal import (
    Bar,
    Debug,
    Quiet,
    Terminal,
    announce_compilation,
    examples,
    print_table,
    reports_errors,
)
from mhealth.core import UNUSABLE, Spans

if TYPE_CHECKING:
    from mhealth.intervals import Intervals
    from mhealth.report import Sliceable

__all__ = ["EPILOG", "demo"]

EPILOG = examples(
    ("mhealth demo", "a synthetic ECG with noise, a dropout and an ectopic beat"),
    ("mhealth demo --record 100 --out results/", "your own recording"),
)

SHOWN = 20.0
"""Seconds in the plot: as much as can be read on one page."""

MEASURES = {
    "heart_rate_bpm": "rate\n1/min",
    "pr_ms": "PR\nms",
    "qrs_ms": "QRS\nms",
    "qt_ms": "QT\nms",
    "qtc_fridericia_ms": "QTcF\nms",
}


@reports_errors
def demo(
    record: Annotated[
        str | None,
        typer.Option(metavar="RECORD", help="Your own recording instead of a synthetic one.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for plot and report.")] = Path("demo"),
    model: Model = "ecg",
    channels: Channels = None,
    fs: Rate = None,
    units: Units = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Label a synthetic ECG, or your own, and show what is found.

    Prints a table of waves and intervals, and writes ecg.png and report.html.
    """
    from mhealth.intervals import ecg_intervals
    from mhealth.report import html_report, plot_labels, save_figure

    terminal = Terminal(quiet=quiet)
    announce_compilation(terminal)
    if record is None:
        recording, spans, seconds = _label_synthetic(model)
        title = "Synthetic ECG"
    else:
        job = Job(record=record, model=model, channels=split_channels(channels) or None, fs=fs, units=units)
        recording, spans, seconds = _label_file(job, terminal)
        title = recording.name

    intervals = ecg_intervals(spans)
    first = _first_shown(spans, seconds)
    excerpt = recording.slice(first, first + round(min(SHOWN, seconds) * recording.fs))
    save_figure(plot_labels(excerpt, spans, stop=excerpt.duration, first_sample=first), out / "ecg.png")
    html_report(recording, spans, intervals, out / "report.html", title=title, model=model, stop=seconds)
    _print_summary(title, spans, intervals, seconds)
    terminal.say(f"Plot: {out / 'ecg.png'}   Report: {out / 'report.html'} (open it in a browser)")


def _label_synthetic(model: str) -> tuple[Sliceable, Spans, float]:
    from mhealth.simulate import demo_recording

    recording, _ = demo_recording()
    return recording, load_labeler(model, None).label(recording), recording.duration


def _label_file(job: Job, terminal: Terminal) -> tuple[Sliceable, Spans, float]:
    selection = select(job)
    seconds = 0.0
    with Bar(terminal, unit="s") as bar:

        def show(done: float, total: float | None) -> None:
            nonlocal seconds
            seconds = done
            bar.update(f"labeling {selection.name}", done, total)

        spans = Spans.concat(label_blocks(selection, load_labeler(job.model, None), show))
    return selection, spans, seconds


def _first_shown(spans: Spans, seconds: float) -> int:
    """Return the first sample of the plot, chosen so that an unusable stretch lies in its second half."""
    unusable = spans.of(label=UNUSABLE)
    if not len(unusable):
        return 0
    latest = max(seconds - SHOWN, 0.0)
    return round(min(max(unusable.onset[0] / spans.fs - 0.6 * SHOWN, 0.0), latest) * spans.fs)


def _print_summary(title: str, spans: Spans, intervals: Intervals, seconds: float) -> None:
    """Print a row for each channel: waves, unusable time, typical intervals."""
    waves = [label for label in spans.classes if label != UNUSABLE]
    rows = []
    for code, channel in enumerate(spans.channels):
        of_channel = spans.select(spans.channel == code)
        lost = of_channel.of(label=UNUSABLE)
        counts = [len(of_channel.of(label=label)) for label in waves]
        measured = [getattr(intervals, name)[intervals.channel == code] for name in MEASURES]
        typical = [f"{np.nanmedian(values):.0f}" if np.isfinite(values).any() else "–" for values in measured]
        rows.append([channel, *counts, f"{(lost.offset - lost.onset).sum() / spans.fs:.1f}", *typical])
    note = "Medians over beats. Research software, no medical device."
    print_table(f"{title}, {seconds:.0f} s", ["channel", *waves, f"{UNUSABLE}\ns", *MEASURES.values()], rows, note=note)
