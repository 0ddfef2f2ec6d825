"""`mhealth label`: recordings in, labelled waves and breaths out."""

from __future__ import annotations

import glob
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mhealth.cli._options import As, Channels, Format, Leads, Model, Polarity, Rate, Units, split_channels
from mhealth.cli._selection import Job, Labeling, Selection, measured, select, sought_kind
from mhealth.cli._terminal import (
    Bar,
    Debug,
    Quiet,
    Terminal,
    announce_compilation,
    describe,
    examples,
    print_table,
    reports_errors,
)
from mhealth.core import Spans, make_folder
from mhealth.errors import InvalidParameterError

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

    from mhealth.io import SpanWriter

__all__ = ["EPILOG", "Outcome", "label", "perform", "plan"]

SUFFIXES = {"csv": ".csv", "parquet": ".parquet", "wfdb": ".waves"}
"""Of files that are named after their record."""

RECORDINGS = (".csv.gz", ".hea", ".dat", ".edf", ".csv", ".parquet")
"""Suffixes of recordings, which the name of a record lacks."""

ROWS_SHOWN = 40
"""Of the table on a terminal; files and pipes get all."""

EPILOG = examples(
    ("mhealth label 100", "a WFDB record; a table on the terminal"),
    ("mhealth label 100.edf --out 100.csv", "EDF+, to a file"),
    ("mhealth label ecg.csv --fs 250 --units mV", "a CSV without time column"),
    ("mhealth label 100 --channels MLII | head", "CSV when piped"),
    ("mhealth label belt.csv --as respiration", "breaths, where names and units do not say so"),
    ("mhealth label night.edf --as respiration --polarity down", "only what breathes; inspiration makes it fall"),
    ("mhealth label data/*.hea --out labels/ --jobs 4 --resume", "many records, a file each"),
    ("mhealth label 100 --start 60 --stop 90 --out x.parquet --report x.html", "half a minute, with plots"),
)


@dataclass
class Outcome:
    """What became of a job; `error` says why it failed.

    Parameters
    ----------
    job : Job
        What was asked for.
    counts : Counter
        Number of spans of each label.
    seconds : float
        Length of what was labelled.
    choice : str
        Which channels were labelled as what.
    polarity : dict
        Sign and certainty found for each breathing channel.
    notes : tuple of str
        Warnings.
    error, traceback : str
        Empty if all went well.
    """

    job: Job
    counts: Counter[str]
    seconds: float = 0.0
    choice: str = ""
    polarity: dict[str, tuple[int, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    error: str = ""
    traceback: str = ""


@reports_errors
def label(
    records: Annotated[
        list[str], typer.Argument(metavar="RECORD...", help="WFDB (with or without suffix), EDF+, CSV.")
    ],
    model: Model = None,
    as_kind: As = None,
    channels: Channels = None,
    leads: Leads = None,
    polarity: Polarity = None,
    start: Annotated[float, typer.Option(metavar="S", help="Second to start at.", min=0.0)] = 0.0,
    stop: Annotated[
        float | None, typer.Option(metavar="S", help="Second to stop at (default: the end).", show_default=False)
    ] = None,
    fs: Rate = None,
    units: Units = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE|DIR",
            help="File to write, or a folder that gets a file for each record, named after it.",
            show_default=False,
        ),
    ] = None,
    format: Format = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE|DIR", help="Also write a report with plots, as HTML.", show_default=False),
    ] = None,
    jobs: Annotated[int, typer.Option(metavar="N", help="Records to label at the same time.", min=1)] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Skip records whose file is there already.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Find the waves of an ECG, the phases of breathing, and the stretches that cannot be used.

    Each channel is labelled as what it is by name and unit: ECG leads get P, QRS and T; belts, impedance, airflow and
    CO2 get inspiration, expiration and pause (no breath for 10 s or longer); other channels are left alone. What was
    chosen is said. --as and --channels choose otherwise, and so does --model: it labels the kind of signal that it was
    trained on.

    Every span is given by onset, peak and offset (sample numbers; the offset is the first sample after it; channels of
    several rates are counted at the highest) and the probability that an expert marks it there. An inspiration ends at
    the peak of its breath. Without --out a table is printed, or CSV if the output is piped.

    A record that cannot be read does not stop the others: the exit status is then 1, and a summary says why.
    """
    terminal = Terminal(quiet=quiet)
    common = Job(
        record="",
        format=format,
        model=model,
        as_kind=as_kind,
        leads=leads,
        polarity=polarity,
        channels=split_channels(channels) or None,
        fs=fs,
        units=units,
        start=start,
        stop=stop,
    )
    planned = plan(records, common, out=out, report=report)
    if resume and out is None:
        raise InvalidParameterError("--resume skips files that are there already; say where with --out.")
    todo = [job for job in planned if not (resume and _is_done(job))]
    if len(todo) < len(planned):
        terminal.say(f"{len(planned) - len(todo)} of {len(planned)} records are there already.")
    if not todo:
        return
    _make_folders(todo)
    sought_kind(common)  # a model that cannot be loaded is one error, not one for each record
    announce_compilation(terminal)

    begin = time.monotonic()
    outcomes = list(_run(todo, min(jobs, len(todo)), terminal))
    _summarise(outcomes, terminal, seconds=time.monotonic() - begin, debug=debug)
    if any(outcome.error for outcome in outcomes):
        raise typer.Exit(1)


def plan(records: Sequence[str], common: Job, *, out: Path | None, report: Path | None) -> list[Job]:
    """Give every record its files.

    Parameters
    ----------
    records : sequence of str
        Paths as the user gave them.
    common : Job
        What all jobs share.
    out, report : Path, optional
        File or folder for labels and reports.

    Returns
    -------
    jobs : list of Job

    Raises
    ------
    InvalidParameterError
        If there is no place for several results, or one would overwrite another or its recording.
    """
    several = len(records) > 1
    if out is None and several:
        raise InvalidParameterError(f"{len(records)} records need a folder for their results: add --out FOLDER.")
    if out is None and common.format not in (None, "csv"):
        raise InvalidParameterError(f"--format {common.format} cannot be printed; add --out FILE.")
    by_name: dict[str, str] = {}
    jobs = []
    for record in records:
        name = record_name(record)
        if name in by_name:
            raise InvalidParameterError(
                f"{by_name[name]} and {record} are both named {name!r}: one result would overwrite the other. "
                "Label them into different folders."
            )
        by_name[name] = record
        job = replace(
            common,
            record=record,
            out=_file(out, name + SUFFIXES[common.format or "csv"], several=several),
            report=_file(report, name + ".html", several=several),
        )
        if any(path is not None and path.resolve() == Path(record).resolve() for path in (job.out, job.report)):
            raise InvalidParameterError(f"{record} would be overwritten by its own result; choose another --out.")
        jobs.append(job)
    return jobs


def record_name(record: str) -> str:
    """Return the name of a record, by which its result files are named."""
    name = Path(record).name
    for suffix in RECORDINGS:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def _file(target: Path | None, name: str, *, several: bool) -> Path | None:
    """Return `target` if it is a file, else the file of that name in it; a path without suffix is a folder."""
    if target is None:
        return None
    if several and target.is_file():
        raise InvalidParameterError(f"{target} is a file, but several records need a folder.")
    return target / name if several or target.is_dir() or not target.suffix else target


def _is_done(job: Job) -> bool:
    """Return whether a job has its result; files appear only when they are complete."""
    if job.out is None:
        return False
    if job.format != "wfdb":
        return job.out.exists()
    beside = job.out.parent.glob(f"{glob.escape(job.out.stem)}.*")  # an annotation file for each channel
    return any(path.suffix.lower() not in RECORDINGS for path in beside)


def _make_folders(jobs: Sequence[Job]) -> None:
    """Make the folders that results go to, so that one that cannot be made is one error."""
    for folder in {path.parent for job in jobs for path in (job.out, job.report) if path is not None}:
        make_folder(folder)


def perform(
    job: Job,
    on_block: Callable[[float, float | None], None] = lambda done, total: None,
    on_choice: Callable[[Job, str], None] = lambda job, choice: None,
) -> Outcome:
    """Label one record into its file, or onto stdout, and never raise for what is wrong with it.

    Parameters
    ----------
    job : Job
        What to label.
    on_block : callable
        Called before each block with the seconds done and those in all (None: unknown).
    on_choice : callable
        Called with the job and which channels are labelled as what.

    Returns
    -------
    outcome : Outcome
    """
    outcome = Outcome(job, Counter())
    kept: list[Spans] = []

    def note_time(done: float, total: float | None) -> None:
        outcome.seconds = done
        on_block(done, total)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            selection = select(job)
            outcome.choice = selection.choice
            on_choice(job, outcome.choice)
            labeling = Labeling(selection)
            with _sink(job) as sink:
                for spans in labeling.spans(note_time):
                    sink.write(spans)
                    outcome.counts.update(spans.classes[code] for code in spans.label)
                    if job.report is not None:
                        kept.append(spans)
            outcome.polarity = labeling.polarity
            _write_report(job, selection, kept, outcome.seconds)
        except BrokenPipeError:  # nobody reads on; no fault of the record
            raise
        except Exception as error:
            outcome.error, outcome.traceback = describe(error), traceback.format_exc()
    outcome.notes = tuple(dict.fromkeys(str(warning.message) for warning in caught))
    return outcome


class _Table:
    """Spans as a table on the terminal, once all are there."""

    def __init__(self) -> None:
        self._parts: list[Spans] = []

    def write(self, spans: Spans) -> None:
        self._parts.append(spans)

    def print(self) -> None:
        frame = Spans.concat(self._parts).to_frame()
        hidden = len(frame) - ROWS_SHOWN
        note = f"... and {hidden} more; --out FILE or a pipe gets all" if hidden > 0 else ""
        print_table("", list(frame.columns), frame.head(ROWS_SHOWN).values.tolist(), note=note)


@contextmanager
def _sink(job: Job) -> Iterator[_Table | SpanWriter]:
    """Give what takes the spans of a job: its file, or stdout, as CSV if that is piped or asked for."""
    from mhealth.io import SpanWriter

    if job.out is not None:
        with SpanWriter(job.out, format=job.format) as writer:
            yield writer
    elif job.format == "csv" or not sys.stdout.isatty():
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder) / "labels.csv"  # so that an error leaves no half table on stdout either
            with SpanWriter(whole) as writer:
                yield writer
            with whole.open(encoding="utf-8") as file:
                shutil.copyfileobj(file, sys.stdout)
            sys.stdout.flush()
    else:
        table = _Table()
        yield table
        table.print()


def _write_report(job: Job, selection: Selection, parts: list[Spans], seconds: float) -> None:
    if job.report is None:
        return
    from mhealth.report import html_report

    spans = Spans.concat(parts)
    beats, breaths = measured(spans, selection.rows)
    stop = job.start + seconds
    html_report(
        selection, spans, beats, job.report, breaths=breaths, model=selection.models, start=job.start, stop=stop
    )


def _run(jobs: Sequence[Job], n_workers: int, terminal: Terminal) -> Iterator[Outcome]:
    """Yield the outcome of every job, in any order; say which channels are labelled as what, once each."""
    said: set[str] = set()

    def tell(job: Job, choice: str) -> None:
        if choice and choice not in said:
            said.add(choice)
            terminal.say(f"{record_name(job.record)}{' and others like it' if len(jobs) > 1 else ''}: {choice}.")

    with Bar(terminal, unit="records" if len(jobs) > 1 else "s") as bar:
        if n_workers > 1:
            for outcome in _run_in_processes(jobs, n_workers, bar):
                tell(outcome.job, outcome.choice)
                yield outcome
            return
        for k, job in enumerate(jobs):

            def show(done: float, total: float | None, k: int = k, name: str = record_name(job.record)) -> None:
                if len(jobs) > 1:
                    bar.update(f"labeling {name}", k + (done / total if total else 0), len(jobs))
                else:
                    bar.update(f"labeling {name}", done, total)

            yield perform(job, show, tell)


_stop: Event | None = None
"""Set by the parent when the user presses Ctrl-C; workers look at it before every block."""


def _run_in_processes(jobs: Sequence[Job], n_workers: int, bar: Bar) -> Iterator[Outcome]:
    import multiprocessing

    context = multiprocessing.get_context("spawn")  # forking a process that runs threads can deadlock
    stop = context.Event()
    pool = ProcessPoolExecutor(n_workers, mp_context=context, initializer=_begin_worker, initargs=(stop,))
    try:
        job_of = {pool.submit(_perform_in_worker, job): job for job in jobs}
        pending = set(job_of)
        while pending:
            bar.update("labeling", len(jobs) - len(pending), len(jobs))
            done, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in done:
                try:
                    yield future.result()
                except BrokenProcessPool:
                    reason = "a worker process died, perhaps for want of memory. Use --resume, with fewer --jobs."
                    yield Outcome(job_of[future], Counter(), error=reason)
    except BaseException:
        stop.set()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin_worker(stop: Event) -> None:
    """Leave Ctrl-C to the parent, and one core to each worker."""
    import signal

    import threadpoolctl

    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threadpoolctl.threadpool_limits(1)


def _perform_in_worker(job: Job) -> Outcome:
    def stop_if_asked(done: float, total: float | None) -> None:
        if _stop is not None and _stop.is_set():
            raise KeyboardInterrupt

    return perform(job, stop_if_asked)


def _summarise(outcomes: Sequence[Outcome], terminal: Terminal, *, seconds: float, debug: bool) -> None:
    """Say what was found, and which records failed and why."""
    for line in _polarities(outcomes):
        terminal.say(line)
    for outcome in outcomes:
        for note in outcome.notes:
            terminal.say(f"note: {outcome.job.record}: {note}")
    failed = [outcome for outcome in outcomes if outcome.error]
    for outcome in failed:
        terminal.complain(f"{outcome.job.record}: {outcome.error}" if len(outcomes) > 1 else outcome.error)
        if debug:
            terminal.console.print(outcome.traceback, markup=False)
    done = [outcome for outcome in outcomes if not outcome.error]
    if len(outcomes) > 1 or (done and done[0].job.out is not None):
        found = sum((outcome.counts for outcome in done), Counter())
        told = ", ".join(f"{count} {label}" for label, count in found.items()) or "nothing"
        where = ""
        if done and done[0].job.out is not None:
            where = f" -> {done[0].job.out if len(outcomes) == 1 else done[0].job.out.parent}"
        hours = sum(outcome.seconds for outcome in done) / 3600
        speed = f"{hours:.2f} h of signal in {seconds:.1f} s"
        terminal.say(f"{len(done)} of {len(outcomes)} records labelled ({speed}): {told}{where}")
    if failed and len(outcomes) > 1:
        terminal.complain(f"{len(failed)} of {len(outcomes)} records failed, see above.")


def _polarities(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Say which way breathing signals point, in a line for each name of a channel and each way."""
    found: dict[tuple[str, int], list[tuple[float, str]]] = {}
    for outcome in outcomes:
        if outcome.job.polarity in (None, "auto"):
            for channel, (sign, certainty) in outcome.polarity.items():
                found.setdefault((channel, sign), []).append((certainty, record_name(outcome.job.record)))
    for (channel, sign), records in sorted(found.items()):
        way = "rises" if sign > 0 else "falls"
        certainty, least = min(records)
        several = len(records) > 1
        where = f" in {len(records)} records" if several else ""
        range_ = f"{certainty:.2f} or more, least in {least}" if several else f"{certainty:.2f}"
        yield f"{channel} {way} with inspiration{where} (certainty {range_}); --polarity overrides that."
