"""Colours, figures and files that all plots share. No pyplot: plots must not touch a caller's global state."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from mhealth.core import UNUSABLE, write_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "COLOURS",
    "GREY",
    "HATCHED",
    "INK",
    "axes_column",
    "colour_of",
    "despine",
    "png_bytes",
    "robust_limits",
    "save_figure",
    "shade",
]

COLOURS = {
    "P": "#0072B2",
    "QRS": "#D55E00",
    "T": "#009E73",
    "inspiration": "#56B4E9",
    "expiration": "#E69F00",
    "pause": "#CC79A7",
}
"""Okabe & Ito's palette, which people with colour vision deficiency tell apart (https://jfly.uni-koeln.de/color/)."""

INK = "#2b2f36"
GREY = "#8a9099"

HATCHED: dict[str, Any] = {"facecolor": "#e6e6e6", "edgecolor": GREY, "hatch": "///"}
"""How unusable stretches look."""

DPI = 110
"""Enough for a wave of 100 ms to span ten pixels in a ten-second strip as wide as a page."""


def colour_of(label: str) -> str:
    """Return the colour of a label text, grey for one that has none of its own."""
    return COLOURS.get(label, GREY)


def axes_column(
    n_rows: int, *, width: float = 11.0, row_height: float = 1.5, extra: float = 0.9
) -> tuple[Figure, list[Axes]]:
    """Return a figure (inches) of rows that share their time axis."""
    figure = Figure(figsize=(width, row_height * n_rows + extra), layout="constrained")
    axes = figure.subplots(n_rows, 1, sharex=True, squeeze=False)[:, 0]
    for ax in axes:
        despine(ax)
    return figure, list(axes)


def despine(ax: Axes) -> None:
    """Keep only the left and bottom frame of a plot, in grey."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GREY)
    ax.tick_params(colors=INK, labelsize=8)


def shade(
    ax: Axes, begin: Sequence[float] | np.ndarray, end: Sequence[float] | np.ndarray, label: str, *, zorder: int = 1
) -> None:
    """Mark ranges of a time axis from top to bottom: unusable ones hatched, others in the colour of their label."""
    low, high = ax.get_ylim()
    look: dict[str, Any] = (
        {**HATCHED, "alpha": 0.8} if label == UNUSABLE else {"facecolor": colour_of(label), "alpha": 0.14}
    )
    ranges = [(float(a), float(b) - float(a)) for a, b in zip(begin, end, strict=True)]
    ax.broken_barh(ranges, (low, high - low), linewidth=0, zorder=zorder, **look)
    ax.set_ylim(low, high)


def png_bytes(figure: Figure, *, dpi: int = DPI) -> bytes:
    """Return a figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def save_figure(figure: Figure, path: Path | str, *, dpi: int = DPI) -> None:
    """Write a figure as PNG; a reader sees the old file or the whole new one.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What the plot functions return.
    path : path-like
        File to write; missing folders are made.
    dpi : int, default=110
        Pixels per inch.

    Raises
    ------
    UnwritableOutputError
        If the file cannot be written.
    """
    write_file(path, png_bytes(figure, dpi=dpi))


def robust_limits(values: np.ndarray, *, margin: float = 0.12) -> tuple[float, float]:
    """Return y limits that hold all but the outermost thousandth of the finite values."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return -1.0, 1.0
    low, high = (float(v) for v in np.percentile(finite, [0.05, 99.95]))
    pad = margin * (high - low) or 0.5
    return low - pad, high + pad
