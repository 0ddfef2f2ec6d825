"""A report that is one file, readable in any browser, without network."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from matplotlib.figure import Figure

from mhealth import __version__
from mhealth.core import UNUSABLE, Recording, Spans, channel_keys, write_file
from mhealth.errors import InvalidParameterError
from mhealth.intervals import Breaths, Intervals
from mhealth.report._breaths import BREATH_STRIP, breathing_rows, plot_breath_trends, plot_breaths
from mhealth.report._intervals import busiest_channel, plot_intervals
from mhealth.report._signals import STRIP, plot_labels
from mhealth.report._style import colour_of, png_bytes

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Sliceable", "html_report"]

N_STRIPS = 4
"""Strips of signal in a report; each is a PNG of 50 to 300 kB."""

N_STRETCHES = 30
"""Unusable stretches that are listed one by one."""

MEASURES = {
    "heart_rate_bpm": ("Heart rate", "1/min"),
    "rr_s": ("RR", "s"),
    "pr_ms": ("PR", "ms"),
    "qrs_ms": ("QRS", "ms"),
    "qt_ms": ("QT", "ms"),
    "qtc_bazett_ms": ("QTc (Bazett)", "ms"),
    "qtc_fridericia_ms": ("QTc (Fridericia)", "ms"),
    "qtc_framingham_ms": ("QTc (Framingham)", "ms"),
    "qtc_hodges_ms": ("QTc (Hodges)", "ms"),
    "breath_rate_bpm": ("Breath rate", "1/min"),
    "inspiration_s": ("Inspiration", "s"),
    "expiration_s": ("Expiration", "s"),
    "cycle_s": ("Cycle", "s"),
    "ie_ratio": ("I/E ratio", ""),
    "stretch": ("Stretch", "{unit}"),
    "inspiratory_velocity": ("Inspiratory velocity", "{unit}/s"),
    "expiratory_velocity": ("Expiratory velocity", "{unit}/s"),
    "minute_ventilation": ("Minute ventilation", "{unit}/min"),
    "rsa_ms": ("Respiratory sinus arrhythmia", "ms"),
}
"""What measures are called, and their units; ``{unit}`` is that of the signal."""

FORMATS = {"s": ".2f", "": ".2f"}
"""How figures of a unit are written; others are rounded, or have three digits if in the unit of the signal."""

CARDS = ("heart_rate_bpm", "pr_ms", "qrs_ms", "qt_ms", "qtc_fridericia_ms")
BREATH_CARDS = ("breath_rate_bpm", "ie_ratio", "inspiration_s", "expiration_s")

NOTICE = (
    "Research software, not a medical device. Nothing here has been reviewed by a physician, "
    "and nothing here may be used for diagnosis or treatment."
)

STYLE = """
:root { --ink: #2b2f36; --grey: #6b727c; --line: #e3e6ea; --paper: #fff; --wash: #f6f7f9; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--wash); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 26px; margin: 0 0 2px; } h2 { font-size: 17px; margin: 34px 0 10px; }
.facts { color: var(--grey); margin: 0; }
.notice { background: #fff6e5; border-left: 4px solid #e69f00; padding: 8px 14px; margin: 18px 0; }
.cards { display: flex; flex-wrap: wrap; gap: 12px; }
.card { background: var(--paper); border: 1px solid var(--line); border-radius: 8px; padding: 10px 16px; }
.card { min-width: 130px; }
.card b { display: block; font-size: 24px; line-height: 1.25; } .card span { color: var(--grey); font-size: 13px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; background: var(--paper); border: 1px solid var(--line); }
th, td { padding: 4px 12px; border-bottom: 1px solid var(--line); text-align: right; }
td { font-variant-numeric: tabular-nums; }
th { background: var(--wash); font-weight: 600; } th:first-child, td:first-child { text-align: left; }
img { width: 100%; height: auto; background: var(--paper); border: 1px solid var(--line); border-radius: 8px; }
figure { margin: 0 0 14px; } figcaption { color: var(--grey); font-size: 13px; margin-bottom: 4px; }
i.key { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 6px; }
"""


class Sliceable(Protocol):
    """What a report needs of a recording: `Recording` itself, or one that stays on disk."""

    @property
    def name(self) -> str:
        """Name of the record."""
        ...

    @property
    def fs(self) -> float:
        """Sampling rate in Hz."""
        ...

    @property
    def channels(self) -> tuple[str, ...]:
        """Texts of the channels."""
        ...

    @property
    def duration(self) -> float | None:
        """Length in seconds, None where it is not known."""
        ...

    def slice(self, start: int, stop: int) -> Recording:
        """Return samples `start` to `stop`."""
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class _Part:
    """What a report shows of heartbeats, or of breaths.

    Parameters
    ----------
    measured : Intervals or Breaths
        The events.
    summary : pandas.DataFrame
        Their typical measures: the columns of `Intervals.summary`, of the channels to show.
    units : mapping of str to str
        Units of the channels, where a measure has them.
    cards : tuple of str
        The measures shown on top.
    event, quantity, nothing, signal_heading : str
        What one of them and its measures are called, what is said if there is none, and the heading of the signal.
    strip : float
        Seconds of signal in a plot.
    draw : callable
        Plots an excerpt that starts at a sample.
    trend : callable
        Plots how the measures develop.
    """

    measured: Intervals | Breaths
    summary: pd.DataFrame
    units: Mapping[str, str]
    cards: tuple[str, ...]
    event: str
    quantity: str
    nothing: str
    signal_heading: str
    strip: float
    draw: Callable[[Recording, int], Figure]
    trend: Callable[[], Figure]


def html_report(
    recording: Sliceable,
    spans: Spans,
    intervals: Intervals | None,
    path: Path | str,
    *,
    breaths: Breaths | None = None,
    title: str = "",
    model: str = "",
    start: float = 0.0,
    stop: float | None = None,
) -> None:
    """Write what was found in a recording as one HTML file, with its plots inside.

    Parameters
    ----------
    recording : Sliceable
        A `Recording`, or an object that reads from disk where a strip of signal is drawn.
    spans : Spans
        What was found, in samples of the recording.
    intervals : Intervals or None
        Measured on these spans; None where no heartbeats were sought.
    path : path-like
        File to write; it appears whole or not at all.
    breaths : Breaths, optional
        Measured on these spans. The channels that breathe are then shown by the minute, apart from the others.
    title : str
        Heading of the report; by default the name of the record.
    model : str
        Name of the model that labelled.
    start, stop : float
        Seconds of the recording that were labelled; by default all.

    Raises
    ------
    InvalidParameterError
        If `start` and `stop` are no range.
    UnwritableOutputError
        If the file cannot be written.
    """
    stop = recording.duration if stop is None else stop
    if stop is None or not 0 <= start < stop:
        raise InvalidParameterError(f"start={start:g} and stop={stop} must be a range of seconds.")
    title = title or recording.name or ("Respiration" if intervals is None else "ECG")
    unusable = spans.of(label=UNUSABLE)
    breathing = [] if breaths is None else breathing_rows(recording.channels, breaths)
    parts = [] if intervals is None else [_heartbeats(recording, spans, intervals, breathing)]
    parts += [] if breaths is None else [_breathing(spans, breaths, breathing)]
    body = [
        f"<h1>{html.escape(title)}</h1>",
        f'<p class="facts">{html.escape(_facts(recording, model, start, stop))}</p>',
        f'<p class="notice">{html.escape(NOTICE)}</p>',
        *(_cards(part) for part in parts),
    ]
    for part in parts:
        body.append(f"<h2>{part.signal_heading}</h2>")
        body += [_strip(recording, part.draw, a, b) for a, b in _strips(unusable, start, stop, part.strip)]
    body += ["<h2>What was found</h2>", _count_table(spans, stop - start)]
    for part in parts:
        heading = f"{part.quantity}s".capitalize()
        body += [f"<h2>{heading}</h2>", _interval_table(part)]
        if len(part.measured) > 1:
            body.append(_image(part.trend(), f"{heading} of every {part.event}"))
    body += ["<h2>Unusable stretches</h2>", _stretch_table(unusable)]
    document = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>'
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )
    write_file(path, document.encode())


def _heartbeats(recording: Sliceable, spans: Spans, intervals: Intervals, breathing: Sequence[int]) -> _Part:
    """Return what there is to show of heartbeats, in all rows of the recording but those that breathe."""
    rows = [row for row in range(len(recording.channels)) if row not in breathing] if breathing else None

    def draw(excerpt: Recording, first: int) -> Figure:
        return plot_labels(excerpt, spans, stop=excerpt.duration, channels=rows, first_sample=first)

    summary = intervals.summary()
    left_out = [key for row, key in enumerate(channel_keys(recording.channels)) if row in breathing]
    return _Part(
        measured=intervals,
        summary=summary[~summary["channel"].isin(left_out)],
        units={},
        cards=CARDS,
        event="beat",
        quantity="interval",
        nothing="No heartbeat was found.",
        signal_heading="Signal and waves",
        strip=STRIP,
        draw=draw,
        trend=lambda: plot_intervals(intervals, spans=spans),
    )


def _breathing(spans: Spans, breaths: Breaths, breathing: Sequence[int]) -> _Part:
    """Return what there is to show of breaths."""

    def draw(excerpt: Recording, first: int) -> Figure:
        if not breathing:
            return plot_labels(excerpt, spans, stop=excerpt.duration, grid=False, first_sample=first)
        return plot_breaths(excerpt, spans, breaths, stop=excerpt.duration, first_sample=first)

    return _Part(
        measured=breaths,
        summary=breaths.summary(),
        units=dict(zip(channel_keys(breaths.channels), breaths.units, strict=True)),
        cards=BREATH_CARDS,
        event="breath",
        quantity="measure",
        nothing="No breath was found.",
        signal_heading="Signal and breaths",
        strip=BREATH_STRIP,
        draw=draw,
        trend=lambda: plot_breath_trends(breaths, spans=spans),
    )


def _facts(recording: Sliceable, model: str, start: float, stop: float) -> str:
    made = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    return (
        f"Record {recording.name or 'without a name'}, {_clock(stop - start)} from {_clock(start)} on, "
        f"{recording.fs:g} Hz, {len(recording.channels)} channels ({', '.join(recording.channels)}). "
        f"Labelled by {f'model {model} of ' if model else ''}mhealth {__version__} on {made}."
    )


def _strips(unusable: Spans, start: float, stop: float, length: float) -> list[tuple[float, float]]:
    """Return the strips to show: a short recording whole; of a long one a few, and the first unusable stretch."""
    if stop - start <= 2 * length:
        edges = np.arange(start, stop, length)
        return [(float(a), min(float(a) + length, stop)) for a in edges if stop - a > 0.5 or len(edges) == 1]
    n_spread = N_STRIPS - (len(unusable) > 0)
    begins = list(np.linspace(start, stop - length, n_spread))
    if len(unusable):
        begins.append(float(np.clip(unusable.onset[0] / unusable.fs - length / 2, start, stop - length)))
    return [(float(a), float(a) + length) for a in sorted(set(begins))]


def _strip(recording: Sliceable, draw: Callable[[Recording, int], Figure], start: float, stop: float) -> str:
    first, last = round(start * recording.fs), round(stop * recording.fs)
    return _image(draw(recording.slice(first, last), first), f"From {_clock(start)} on")


def _image(figure: Figure, caption: str) -> str:
    data = base64.b64encode(png_bytes(figure)).decode()
    text = html.escape(caption)
    return f'<figure><figcaption>{text}</figcaption><img alt="{text}" src="data:image/png;base64,{data}"></figure>'


def _cards(part: _Part) -> str:
    """Return the medians of the channel with most beats or breaths."""
    if not len(part.measured):
        return f"<p>{part.nothing}</p>"
    of_channel = part.measured.channel == busiest_channel(part.measured)
    cards = []
    for measure in part.cards:
        values = getattr(part.measured, measure)[of_channel]
        name, unit = MEASURES[measure]
        shown = f"{np.nanmedian(values):{FORMATS.get(unit, '.0f')}}" if np.isfinite(values).any() else "–"
        told = ", ".join(filter(None, (unit, "median")))
        cards.append(f'<div class="card"><span>{name}</span><b>{shown}</b><span>{told}</span></div>')
    return f'<div class="cards">{"".join(cards)}</div>'


def _count_table(spans: Spans, seconds: float) -> str:
    """Return how many waves of each label each channel has, and how much of it cannot be used."""
    waves = [label for label in spans.classes if label != UNUSABLE]
    rows = []
    for code, channel in enumerate(spans.channels):
        of_channel = spans.select(spans.channel == code)
        lost = of_channel.of(label=UNUSABLE)
        share = float((lost.offset - lost.onset).sum()) / spans.fs / seconds
        rows.append([channel, *(len(of_channel.of(label=label)) for label in waves), f"{100 * share:.1f} %"])
    keys = [f'<i class="key" style="background:{colour_of(label)}"></i>{html.escape(label)}' for label in waves]
    return _table(["channel", *keys, "unusable"], rows)


def _interval_table(part: _Part) -> str:
    """Return the median and quartiles of every measure, a row a channel and measure."""
    rows = []
    for row in part.summary.itertuples():
        name, unit = MEASURES[row.measure]
        form = FORMATS.get(unit, ".3g" if "{unit}" in unit else ".0f")
        figures = [f"{value:{form}}" if row.n else "–" for value in (row.median, row.q1, row.q3)]
        shown_unit = unit.format(unit=part.units.get(row.channel) or "unit")
        rows.append([row.channel, name, shown_unit, row.n, *figures])
    return _table(
        ["channel", part.quantity, "unit", f"{part.event}s", "median", "lower quartile", "upper quartile"], rows
    )


def _stretch_table(unusable: Spans) -> str:
    if not len(unusable):
        return "<p>None: the whole recording could be used.</p>"
    rows = [
        [unusable.channels[channel], _clock(a / unusable.fs), _clock(b / unusable.fs), f"{(b - a) / unusable.fs:.2f}"]
        for channel, a, b in zip(unusable.channel[:N_STRETCHES], unusable.onset, unusable.offset, strict=False)
    ]
    more = len(unusable) - len(rows)
    return _table(["channel", "from", "to", "seconds"], rows) + (f"<p>… and {more} more.</p>" if more else "")


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; the header is HTML, the cells are text."""
    head = "".join(f"<th>{cell}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _clock(seconds: float) -> str:
    """Return a time as ``h:mm:ss.s``, without hours where there are none."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"
