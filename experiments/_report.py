"""A run as one HTML file, readable in any browser, without network."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from experiments._experiment import Experiment, Outcome
from mhealth.report._html import STYLE
from mhealth.report._style import png_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["report"]

_MOST_ROWS = 60
"""Rows of a table that are shown; its CSV has all."""


def report(experiment: Experiment, manifest: dict[str, Any], outcome: Outcome) -> str:
    """Return a run as an HTML document; every text is escaped."""
    begun = manifest["sittings"][0]
    code = f"commit {begun['commit']}{'' if begun['clean'] else ', with changes'}"
    kind = "Quick run: its figures say little." if manifest["quick"] else "Full run."
    took = f"{manifest['cpu_s']:.0f} s of CPU time, {manifest['wall_s']:.0f} s on the clock"
    facts = f"{kind} {manifest['finished']}, {code}; {took}."
    body = [
        f"<h1>{html.escape(experiment.name)}</h1>",
        f'<p class="facts">{html.escape(experiment.question)}</p>',
        f'<p class="facts">{html.escape(facts)}</p>',
        *(f'<p class="notice">Left out: {html.escape(text)}</p>' for text in outcome.left_out),
        "<h2>Expected</h2>",
        f"<p>{html.escape(experiment.expectation)}</p>",
        "<h2>Figures</h2>",
        *(_image(figure, name) for name, figure in outcome.figures.items()),
    ]
    for name, table in outcome.tables.items():
        body += [f"<h2>{html.escape(name)}</h2>", _table(list(table.columns), table.itertuples(index=False))]
    settings = [*manifest["settings"].items(), ("seed", manifest["seed"]), ("command", begun["command"])]
    made = [(name, begun[name]) for name in ("python", "platform", "processor")] + [*begun["packages"].items()]
    body += [
        "<h2>Metrics</h2>",
        _table(["metric", "value"], outcome.metrics.items()),
        "<h2>Settings</h2>",
        _table(["setting", "value"], settings),
        "<h2>Made with</h2>",
        _table(["what", "which"], made),
        f"<p>{len(manifest['inputs'])} files of recordings were read; manifest.json has their hashes.</p>",
    ]
    title = html.escape(f"mhealth experiment: {experiment.name}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>'
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def _image(figure: Figure, name: str) -> str:
    data, text = base64.b64encode(png_bytes(figure)).decode(), html.escape(name)
    return f'<figure><figcaption>{text}</figcaption><img alt="{text}" src="data:image/png;base64,{data}"></figure>'


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    rows = list(rows)
    head = "".join(f"<th>{html.escape(str(cell))}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_shown(cell))}</td>" for cell in row) + "</tr>" for row in rows[:_MOST_ROWS]
    )
    more = f"<p>… and {len(rows) - _MOST_ROWS} more rows, in the CSV.</p>" if len(rows) > _MOST_ROWS else ""
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>{more}'


def _shown(cell: object) -> str:
    if isinstance(cell, float):
        return "–" if cell != cell else f"{cell:.4g}"
    return str(cell)
