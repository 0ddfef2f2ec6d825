"""Learned shapes, and what each label makes of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from mhealth.errors import InvalidParameterError
from mhealth.report._style import GREY, INK
from mhealth.sparse import Dictionary

__all__ = ["plot_dictionary", "plot_weights"]

POSITIVE, NEGATIVE = "#0072B2", "#D55E00"


def plot_dictionary(dictionary: Dictionary, *, usage: ArrayLike | None = None, n_columns: int = 16) -> Figure:
    """Draw every atom of a dictionary.

    Parameters
    ----------
    dictionary : Dictionary
        Learned shapes.
    usage : array_like of float, shape (n_atoms,), optional
        How often each atom is used; atoms are then drawn by decreasing usage, rare ones paler.
    n_columns : int, default=16
        Atoms in a row of the plot.

    Returns
    -------
    figure : matplotlib.figure.Figure

    Raises
    ------
    InvalidParameterError
        If `usage` does not hold one number an atom.
    """
    atoms = dictionary.atoms
    weights = np.ones(len(atoms)) if usage is None else np.asarray(usage, dtype=np.float64)
    if weights.shape != (len(atoms),):
        raise InvalidParameterError(f"usage has shape {weights.shape}; expected ({len(atoms)},), one number an atom.")
    order = np.argsort(-weights, kind="stable")
    columns = min(n_columns, len(atoms))
    rows = -(-len(atoms) // columns)
    figure = Figure(figsize=(0.75 * columns + 0.4, 0.62 * rows + 0.6), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    seconds = _seconds(dictionary)
    limit = np.abs(atoms).max() * 1.1
    top = max(float(weights.max()), np.finfo(float).tiny)
    for ax, k in zip(grid.flat, order, strict=False):
        ax.plot(seconds, atoms[k], color=POSITIVE, linewidth=1.2, alpha=float(0.3 + 0.7 * max(weights[k], 0) / top))
        ax.axhline(0, color=GREY, linewidth=0.3)
        ax.set_ylim(-limit, limit)
    for ax in grid.flat:
        ax.set_axis_off()
    span = (
        f", {dictionary.before:g} s before to {dictionary.after:g} s after"
        if dictionary.before + dictionary.after
        else ""
    )
    figure.suptitle(f"{dictionary.name or 'dictionary'}: {len(atoms)} atoms{span}", fontsize=10, color=INK)
    return figure


def plot_weights(
    dictionary: Dictionary, weights: ArrayLike, labels: Sequence[str], *, n_atoms: int = 8, title: str = ""
) -> Figure:
    """Draw, for each label, the atoms that speak most for it and against it.

    Parameters
    ----------
    dictionary : Dictionary
        The shapes that the codes count.
    weights : array_like of float, shape (n_labels, n_atoms)
        Weight of each atom's code in the log potential of each label.
    labels : sequence of str
        One text a row of `weights`.
    n_atoms : int, default=8
        Atoms to draw for each label, those of largest absolute weight.
    title : str
        What the weights belong to, for example ``"onset potentials"``.

    Returns
    -------
    figure : matplotlib.figure.Figure
        A row a label. Blue atoms raise its potential, orange ones lower it; the number is the weight.

    Raises
    ------
    InvalidParameterError
        If the shapes of atoms, weights and labels contradict each other.
    """
    table = np.asarray(weights, dtype=np.float64)
    if table.shape != (len(labels), dictionary.n_atoms):
        raise InvalidParameterError(
            f"weights has shape {table.shape}; expected ({len(labels)}, {dictionary.n_atoms}): "
            "a row for each of the labels, a column for each atom."
        )
    columns = min(n_atoms, dictionary.n_atoms)
    figure = Figure(figsize=(1.15 * columns + 1.0, 0.95 * len(labels) + 0.7), layout="constrained")
    grid = figure.subplots(len(labels), columns, squeeze=False)
    seconds = _seconds(dictionary)
    limit = np.abs(dictionary.atoms).max() * 1.1
    for axes, label, row in zip(grid, labels, table, strict=True):
        for ax, k in zip(axes, np.argsort(-np.abs(row), kind="stable"), strict=False):
            ax.plot(seconds, dictionary.atoms[k], color=POSITIVE if row[k] >= 0 else NEGATIVE, linewidth=1.5)
            ax.axvline(0, color=GREY, linewidth=0.4)
            ax.set_ylim(-limit, limit)
            ax.set_title(f"{row[k]:+.2f}", fontsize=8, color=INK, pad=1)
            ax.set_xticks([])
            ax.set_yticks([])
            ax.spines[:].set_visible(False)
        axes[0].set_ylabel(label, rotation=0, ha="right", va="center", color=INK)
    figure.suptitle(": ".join(filter(None, (dictionary.name, title))), fontsize=10, color=INK)
    return figure


def _seconds(dictionary: Dictionary) -> NDArray[np.float64]:
    """Return the time of each point of an atom relative to the moment it is centred on, or its index."""
    if dictionary.before + dictionary.after > 0:
        return np.linspace(-dictionary.before, dictionary.after, dictionary.atom_length)
    return np.arange(dictionary.atom_length, dtype=np.float64) - (dictionary.atom_length - 1) / 2
