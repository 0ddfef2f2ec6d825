"""`mhealth intervals`: what heartbeats and breaths are like, from labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from mhealth.cli._options import Rate
from mhealth.cli._selection import at_rate
from mhealth.cli._terminal import Debug, Quiet, Terminal, examples, print_table, reports_errors, write_table
from mhealth.core import BREATH_PHASES, ECG_WAVES, channel_keys
from mhealth.errors import InvalidParameterError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mhealth.core import Recording, Spans
    from mhealth.intervals import Breaths, Intervals

__all__ = ["EPILOG", "intervals"]

EPILOG = examples(
    ("mhealth label 100 --out 100.csv && mhealth intervals 100.csv", "a summary of each channel"),
    ("mhealth intervals 100.csv --beats | head", "every beat, as CSV"),
    ("mhealth intervals 100.csv --out beats.csv --plot trend.png", "every beat into a file, and a plot"),
    ("mhealth intervals night.csv --signal night.edf --breaths --out breaths.csv", "every breath, with its size"),
    ("mhealth intervals night.csv --minutes", "breathing by the minute, as CSV"),
)


@reports_errors
def intervals(
    labels: Annotated[Path, typer.Argument(metavar="LABELS.csv", help="What `mhealth label` wrote.")],
    beats: Annotated[bool, typer.Option("--beats", help="Print every beat as CSV instead of the summary.")] = False,
    breaths: Annotated[
        bool, typer.Option("--breaths", help="Print every breath as CSV instead of the summary.")
    ] = False,
    minutes: Annotated[
        bool, typer.Option("--minutes", help="Print every minute of breathing as CSV instead of the summary.")
    ] = False,
    signal: Annotated[
        Path | None,
        typer.Option(
            metavar="RECORD",
            help="The recording that was labelled, for what depends on the size of a breath: stretch, velocities and "
            "minute ventilation.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE.csv",
            help="Write the beats, breaths or minutes. Where the labels hold both beats and breaths, say which.",
            show_default=False,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw how beats or breaths develop over time.", show_default=False),
    ] = None,
    fs: Rate = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure every heartbeat and every breath from labels.

    Of waves: heart rate, PR, QRS, QT and QTc by Bazett, Fridericia, Framingham and Hodges, with the RR interval before
    the beat. Of breaths: rate, inspiration, expiration, cycle and I/E ratio, each also beside its neighbours; with
    --signal how deep and fast they are; and with QRS complexes among the labels respiratory sinus arrhythmia. What
    cannot be measured is missing, never zero: a beat without a P wave has no PR interval.
    """
    from mhealth.io import read_spans

    asked = [name for name, flag in (("beats", beats), ("breaths", breaths), ("minutes", minutes)) if flag]
    if len(asked) > 1:
        raise InvalidParameterError(f"--{' --'.join(asked)}: ask for one of these tables at a time.")
    terminal = Terminal(quiet=quiet)
    spans = read_spans(labels, fs=fs)
    parts = _measure(spans, signal, fs)
    tables = {name: part for part in parts for name in part.tables}
    if asked and asked[0] not in tables:
        raise InvalidParameterError(
            f"{labels} holds {', '.join(spans.classes) or 'no labels'}, which give no --{asked[0]} but --"
            f"{', --'.join(tables)}."
        )
    if (out or plot) and not asked and len(parts) > 1:
        raise InvalidParameterError(f"{labels} holds waves and breaths; add one of --{', --'.join(tables)}.")

    kind = asked[0] if asked else next(iter(tables))
    part = tables[kind]
    if out is not None:
        if out.resolve() in {path.resolve() for path in (labels, signal) if path is not None}:
            raise InvalidParameterError(f"{out} is what the {kind} are measured on; choose another --out.")
        table = part.tables[kind]()
        write_table(table, out, float_format="%.6g")
        terminal.say(f"{len(table)} {kind} -> {out}")
    if plot is not None:
        from mhealth.report import save_figure

        save_figure(part.plot(), plot)
        terminal.say(f"plot -> {plot}")
    if asked:
        typer.echo(part.tables[kind]().to_csv(index=False, float_format="%.6g"), nl=False)
    elif out is None or not quiet:
        for part in parts:
            title = f"{labels.name}: {part.count}"
            print_table(title, list(part.summary.columns), part.summary.values.tolist(), note=part.note)


@dataclass(frozen=True, kw_only=True)
class _Part:
    """What can be told of heartbeats, or of breaths."""

    count: str
    summary: pd.DataFrame
    note: str
    tables: dict[str, Callable[[], pd.DataFrame]]
    plot: Callable[[], Figure]


def _measure(spans: Spans, signal: Path | None, fs: float | None) -> list[_Part]:
    """Measure heartbeats where there are waves, breaths where there are phases of breathing."""
    from mhealth.intervals import breath_intervals, ecg_intervals

    phases = np.isin(spans.label, [code for code, text in enumerate(spans.classes) if text in BREATH_PHASES])
    keys = channel_keys(spans.channels)
    breathing = tuple(keys[code] for code in np.unique(spans.channel[phases]))
    if signal is not None and not breathing:
        raise InvalidParameterError(f"--signal {signal} is of use for breaths only, and the labels hold none.")
    parts = []
    if not breathing or not set(ECG_WAVES).isdisjoint(spans.classes):
        parts.append(_of_beats(spans, ecg_intervals(spans), breathing))
    if breathing:
        recording = None if signal is None else _read(signal, breathing, fs, spans.fs)
        parts.append(_of_breaths(spans, breath_intervals(spans, recording)))
    return parts


def _of_beats(spans: Spans, measured: Intervals, breathing: tuple[str, ...]) -> _Part:
    def plot() -> Figure:
        from mhealth.report import plot_intervals

        return plot_intervals(measured, spans=spans)

    summary = measured.summary()
    return _Part(
        count=f"{len(measured)} beats",
        summary=summary[~summary["channel"].isin(breathing)],
        note="q1, q3: quartiles. rr_s in s, heart_rate_bpm in beats a minute, the others in ms.",
        tables={"beats": measured.to_frame},
        plot=plot,
    )


def _of_breaths(spans: Spans, measured: Breaths) -> _Part:
    def plot() -> Figure:
        from mhealth.report import plot_breath_trends

        return plot_breath_trends(measured, spans=spans)

    units = " or ".join(sorted({unit for unit in measured.units if unit})) or "the unit of the signal"
    note = (
        "q1, q3: quartiles. Durations in s, breath_rate_bpm in breaths a minute, rsa_ms in ms; "
        f"stretch in {units}, velocities in that a second, minute_ventilation in that a minute."
    )
    return _Part(
        count=f"{len(measured)} breaths, {len(measured.pauses)} pauses",
        summary=measured.summary(),
        note=note,
        tables={"breaths": measured.to_frame, "minutes": measured.per_minute},
        plot=plot,
    )


def _read(path: Path, channels: tuple[str, ...], fs: float | None, rate: float) -> Recording:
    """Read the channels that breathe, under the names and at the rate that the labels give them."""
    from mhealth.io import open_recording, read_recording

    recording = replace(read_recording(path, channels=channels, fs=fs), channels=channels)
    if recording.fs < rate and rate in open_recording(path, fs=fs).rates:  # they were labelled beside a faster channel
        return at_rate(recording, rate)
    return recording
