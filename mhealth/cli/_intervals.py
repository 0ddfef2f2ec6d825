"""`mhealth intervals`: RR, PR, QRS, QT and QTc from labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mhealth.cli._options import Rate
from mhealth.cli._terminal import Debug, Quiet, Terminal, examples, print_table, reports_errors, write_table
from mhealth.errors import InvalidParameterError

__all__ = ["EPILOG", "intervals"]

EPILOG = examples(
    ("mhealth label 100 --out 100.csv && mhealth intervals 100.csv", "a summary of each channel"),
    ("mhealth intervals 100.csv --beats | head", "every beat, as CSV"),
    ("mhealth intervals 100.csv --out beats.csv --plot trend.png", "every beat into a file, and a plot"),
)


@reports_errors
def intervals(
    labels: Annotated[Path, typer.Argument(metavar="LABELS.csv", help="What `mhealth label` wrote.")],
    beats: Annotated[bool, typer.Option("--beats", help="Print every beat as CSV instead of the summary.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE.csv", help="Write every beat.", show_default=False)
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw how the intervals develop.", show_default=False)
    ] = None,
    fs: Rate = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure heart rate, PR, QRS, QT and QTc of every beat from labelled waves.

    QTc is given by Bazett, Fridericia, Framingham and Hodges, with the RR interval before the beat. What cannot be
    measured is missing, never zero: a beat without a P wave has no PR interval.
    """
    from mhealth.intervals import ecg_intervals
    from mhealth.io import read_spans

    terminal = Terminal(quiet=quiet)
    spans = read_spans(labels, fs=fs)
    measured = ecg_intervals(spans)
    if out is not None:
        if out.resolve() == labels.resolve():
            raise InvalidParameterError(f"{out} holds the labels; choose another --out.")
        write_table(measured.to_frame(), out, float_format="%.6g")
        terminal.say(f"{len(measured)} beats -> {out}")
    if plot is not None:
        from mhealth.report import plot_intervals, save_figure

        save_figure(plot_intervals(measured, spans=spans), plot)
        terminal.say(f"plot -> {plot}")
    if beats:
        typer.echo(measured.to_frame().to_csv(index=False, float_format="%.6g"), nl=False)
    elif out is None or not quiet:
        summary = measured.summary()
        note = "q1, q3: quartiles. rr_s in s, heart_rate_bpm in beats a minute, the others in ms."
        print_table(f"{labels.name}: {len(measured)} beats", list(summary.columns), summary.values.tolist(), note=note)
