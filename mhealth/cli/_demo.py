"""`mhealth demo`: from a signal to a table, a plot and a report in one step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from mhealth.cli._options import As, Channels, Model, Rate, Units, split_channels
from mhealth.cli._selection import (
    Job,
    Kind,
    Labeling,
    at_rate,
    joined,
    kind_of,
    load_labeler,
    measured,
    select,
)
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
from mhealth.core import BREATH_PHASES, ECG_WAVES, UNUSABLE, Recording, Spans

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mhealth.intervals import Breaths, Intervals
    from mhealth.report import Sliceable

__all__ = ["EPILOG", "demo"]

EPILOG = examples(
    ("mhealth demo", "a synthetic ECG with noise, a dropout and an ectopic beat, and breathing with a pause"),
    ("mhealth demo --record 100 --out results/", "your own recording"),
)

SHOWN = {"ecg": 20.0, "respiration": 60.0}
"""Seconds in the plot of each kind: as much as can be read on one page."""

MEASURES: dict[str, tuple[str, str]] = {
    "heart_rate_bpm": ("rate\n1/min", ".0f"),
    "pr_ms": ("PR\nms", ".0f"),
    "qrs_ms": ("QRS\nms", ".0f"),
    "qt_ms": ("QT\nms", ".0f"),
    "qtc_fridericia_ms": ("QTcF\nms", ".0f"),
}
BREATH_MEASURES: dict[str, tuple[str, str]] = {
    "breath_rate_bpm": ("rate\n1/min", ".1f"),
    "inspiration_s": ("TI\ns", ".2f"),
    "expiration_s": ("TE\ns", ".2f"),
    "ie_ratio": ("I/E", ".2f"),
}
"""What the tables show of beats and of breaths: heading and format."""


@dataclass(frozen=True, eq=False)
class _Labelled:
    """A recording, what was found in which of its rows, and how many seconds of it there are."""

    recording: Sliceable
    spans: Spans
    rows: dict[Kind, list[int]]
    seconds: float
    title: str
    models: str


@reports_errors
def demo(
    record: Annotated[
        str | None,
        typer.Option(metavar="RECORD", help="Your own recording instead of a synthetic one.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for plots and report.")] = Path(
        "demo"
    ),
    model: Model = None,
    as_kind: As = None,
    channels: Channels = None,
    fs: Rate = None,
    units: Units = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Label a synthetic ECG and the breathing beside it, or your own recording, and show what is found.

    Prints a table of waves and intervals and one of breaths, and writes ecg.png, breaths.png and report.html.
    """
    from mhealth.report import html_report, save_figure

    terminal = Terminal(quiet=quiet)
    announce_compilation(terminal)
    wanted = split_channels(channels) or None
    job = Job(record=record or "", model=model, as_kind=as_kind, channels=wanted, fs=fs, units=units)
    found = _label_synthetic(job) if record is None else _label_file(job, terminal)
    beats, breaths = measured(found.spans, found.rows)
    plots = [out / {"ecg": "ecg.png", "respiration": "breaths.png"}[kind] for kind in found.rows]
    for kind, path in zip(found.rows, plots, strict=True):
        save_figure(_plot(found, kind, breaths), path)
    html_report(
        found.recording, found.spans, beats, out / "report.html",
        breaths=breaths, title=found.title, model=found.models, stop=found.seconds,
    )  # fmt: skip
    if beats is not None:
        _print_summary(found, "ecg", beats)
    if breaths is not None:
        _print_summary(found, "respiration", breaths)
    terminal.say(f"Plots: {', '.join(map(str, plots))}   Report: {out / 'report.html'} (open it in a browser)")


def _label_synthetic(job: Job) -> _Labelled:
    """Label an ECG and a minute of breathing that were recorded together, each by a model of its kind."""
    from mhealth.simulate import demo_recording, demo_respiration

    models: dict[Kind, str] = {"ecg": "ecg", "respiration": "respiration"}
    if job.model is not None:
        models[kind_of(load_labeler(job.model))] = job.model
    ecg, belt = demo_recording()[0], demo_respiration()[0]
    belt = belt.slice(0, round(SHOWN["respiration"] * belt.fs))
    belt = at_rate(belt, ecg.fs)  # so that one report can show both
    n_samples = max(ecg.n_samples, belt.n_samples)
    both = Recording(
        signals=np.concatenate([_padded(part.signals, n_samples) for part in (ecg, belt)], axis=1),
        fs=ecg.fs,
        channels=ecg.channels + belt.channels,
        units=ecg.units + belt.units,
        name="demo",
    )
    parts = [load_labeler(models["ecg"]).label(ecg), load_labeler(models["respiration"]).label(belt)]
    n_leads = len(ecg.channels)
    return _Labelled(
        recording=both,
        spans=joined(parts, both.channels),
        rows={"ecg": list(range(n_leads)), "respiration": list(range(n_leads, len(both.channels)))},
        seconds=both.duration,
        title="Synthetic ECG and breathing",
        models=", ".join(models.values()),
    )


def _padded(signals: NDArray[np.float32], n_samples: int) -> NDArray[np.float32]:
    """Return signals with missing samples at the end."""
    return np.pad(signals, ((0, n_samples - len(signals)), (0, 0)), constant_values=np.nan)


def _label_file(job: Job, terminal: Terminal) -> _Labelled:
    selection = select(job)
    terminal.say(f"{selection.name}: {selection.choice}.")
    seconds = 0.0
    with Bar(terminal, unit="s") as bar:

        def show(done: float, total: float | None) -> None:
            nonlocal seconds
            seconds = done
            bar.update(f"labeling {selection.name}", done, total)

        spans = Spans.concat(Labeling(selection).spans(show))
    return _Labelled(selection, spans, selection.rows, seconds, selection.name, selection.models)


def _plot(found: _Labelled, kind: Kind, breaths: Breaths | None) -> Figure:
    """Draw one page of a kind of signal with its labels."""
    from mhealth.report import plot_breaths, plot_labels

    rows, seconds = found.rows[kind], min(SHOWN[kind], found.seconds)
    of_kind = found.spans.select(np.isin(found.spans.channel, rows))
    first = _first_shown(of_kind, found.seconds, seconds)
    excerpt = found.recording.slice(first, first + round(seconds * found.recording.fs))
    if kind == "respiration" and breaths is not None and breaths.breathing_channels:
        return plot_breaths(excerpt, found.spans, breaths, stop=excerpt.duration, first_sample=first)
    return plot_labels(
        excerpt, found.spans, stop=excerpt.duration, channels=rows, grid=kind == "ecg", first_sample=first
    )


def _first_shown(spans: Spans, seconds: float, shown: float) -> int:
    """Return the first sample of a plot, chosen so that an unusable stretch lies in its second half."""
    unusable = spans.of(label=UNUSABLE)
    if not len(unusable):
        return 0
    latest = max(seconds - shown, 0.0)
    return round(min(max(unusable.onset[0] / spans.fs - 0.6 * shown, 0.0), latest) * spans.fs)


def _print_summary(found: _Labelled, kind: Kind, events: Intervals | Breaths) -> None:
    """Print a row for each channel of a kind: what was found, unusable time, typical measures."""
    spans = found.spans
    labels, measures = (ECG_WAVES, MEASURES) if kind == "ecg" else (BREATH_PHASES, BREATH_MEASURES)
    rows = []
    for code in found.rows[kind]:
        of_channel = spans.select(spans.channel == code)
        lost = of_channel.of(label=UNUSABLE)
        counts = [len(of_channel.of(label=label)) for label in labels]
        values = [(getattr(events, name)[events.channel == code], form) for name, (_, form) in measures.items()]
        typical = [f"{np.nanmedian(v):{form}}" if np.isfinite(v).any() else "–" for v, form in values]
        rows.append([spans.channels[code], *counts, f"{(lost.offset - lost.onset).sum() / spans.fs:.1f}", *typical])
    event = "beats" if kind == "ecg" else "breaths; TI, TE: duration of inspiration and expiration"
    columns = ["channel", *labels, f"{UNUSABLE}\ns", *(heading for heading, _ in measures.values())]
    note = f"Medians over {event}. Research software, no medical device."
    print_table(f"{found.title}, {found.seconds:.0f} s", columns, rows, note=note)
