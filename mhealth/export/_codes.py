"""Sparse codes in whole numbers: quantised dictionaries, for the twin and for C."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mhealth.errors import InvalidParameterError
from mhealth.export._c_tables import c_array
from mhealth.export._windows import MOST_POINTS, WindowTable, packed
from mhealth.sparse import Dictionary

if TYPE_CHECKING:
    from mhealth.labeling._model import Model

__all__ = ["Codes", "CodesTable", "CodesTwin", "DictionaryTable"]

_MULTIPLIER_BITS, _GRAM_BITS, _KNEE_BITS = 22, 13, 12


@dataclass(frozen=True, eq=False, kw_only=True)
class DictionaryTable:
    """A dictionary as ``mh_dictionary_t`` has it.

    Parameters
    ----------
    atoms : ndarray of int8, shape (n_points, n_atoms)
        Each atom times a number of its own, so that its largest value is 127.
    multipliers : ndarray of uint16, shape (n_atoms,)
        2^22 times the number that gives the rounded atom norm 1.
    gram : ndarray of int16, shape (n_atoms, n_atoms)
        Inner products, Q2.13: of the rounded atoms, to which the codes belong. With those of the exact atoms 8 % of the
        codes of LUDB's leads take other atoms than the model's do, with these 6 %.
    """

    atoms: NDArray[np.int8]
    multipliers: NDArray[np.uint16]
    gram: NDArray[np.int16]

    @classmethod
    def of(cls, dictionary: Dictionary) -> DictionaryTable:
        """Return the table of a dictionary.

        Raises
        ------
        InvalidParameterError
            If its atoms have too many points.
        """
        if dictionary.atom_length > MOST_POINTS:
            raise InvalidParameterError(
                f"A dictionary with atoms of {dictionary.atom_length} points cannot be exported; expected at most "
                f"{MOST_POINTS}. Train with shorter or coarser windows."
            )
        exact = dictionary.atoms.astype(np.float64)
        rounded = np.rint(exact * (127 / np.abs(exact).max(axis=1, keepdims=True)))
        norms = np.linalg.norm(rounded, axis=1)
        atoms = rounded / norms[:, None]
        return cls(
            atoms=np.ascontiguousarray(rounded.T.astype(np.int8)),
            multipliers=np.rint(2**_MULTIPLIER_BITS / norms).astype(np.uint16),
            gram=np.rint(atoms @ atoms.T * 2**_GRAM_BITS).astype(np.int16),
        )

    @property
    def n_points(self) -> int:
        """Points of an atom."""
        return self.atoms.shape[0]

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return self.atoms.shape[1]

    @property
    def restored(self) -> NDArray[np.float64]:
        """The atoms that the table stands for, shape (n_atoms, n_points)."""
        return (self.atoms * (self.multipliers / 2.0**_MULTIPLIER_BITS)).T

    def error(self, dictionary: Dictionary) -> float:
        """Return the root mean square of the rounding errors of atoms, each the norm of the difference."""
        return float(np.sqrt(np.mean(np.sum((self.restored - dictionary.atoms) ** 2, axis=1))))


class Codes(NamedTuple):
    """Coded candidates.

    Attributes
    ----------
    columns : ndarray of int32, shape (n, n_dictionaries · n_nonzero)
        Columns of the sign-split codes of all windows side by side; −1 where unused.
    values : ndarray of int16, of the same shape
        Magnitudes, Q3.12.
    """

    columns: NDArray[np.int32]
    values: NDArray[np.int16]


@dataclass(frozen=True, eq=False, kw_only=True)
class CodesTable:
    """Windows and dictionaries of a model as ``mh_codes_table_t`` has them.

    Parameters
    ----------
    windows : tuple of WindowTable
        Cut from the signal.
    dictionaries : tuple of DictionaryTable
        Of the windows, then of those of the context.
    n_nonzero : int
        Atoms a window may take.
    knee : int
        Share of the running scale at which compression comes half way, Q4.12.
    """

    windows: tuple[WindowTable, ...]
    dictionaries: tuple[DictionaryTable, ...]
    n_nonzero: int
    knee: int

    @classmethod
    def of(cls, model: Model) -> CodesTable:
        """Return the table of a model.

        Parameters
        ----------
        model : Model

        Raises
        ------
        InvalidParameterError
            If the model needs several leads, or is larger than whole numbers of 32 bits allow.
        """
        from mhealth._kernels._fixed_codes import MOST_NONZERO

        features = model.task.front_end.features
        if model.leads:
            raise InvalidParameterError(
                f"The model needs the leads {', '.join(model.leads)} together; an exported model labels one lead. "
                "Train without early fusion."
            )
        if model.n_nonzero > MOST_NONZERO:
            raise InvalidParameterError(
                f"n_nonzero={model.n_nonzero} cannot be exported; expected at most {MOST_NONZERO}."
            )
        knee = round(features.knee * 2**_KNEE_BITS)
        if not 0 < knee < 2**16:
            raise InvalidParameterError(f"knee={features.knee!r} cannot be exported; expected less than 16.")
        return cls(
            windows=tuple(WindowTable.of(window, rate=features.rate) for window in features.windows),
            dictionaries=tuple(DictionaryTable.of(dictionary) for dictionary in model.dictionaries),
            n_nonzero=model.n_nonzero,
            knee=knee,
        )

    @property
    def n_codes(self) -> int:
        """Codes that a candidate has at most."""
        return len(self.dictionaries) * self.n_nonzero

    @property
    def longest(self) -> int:
        """Points of the longest window, 1 if there is none."""
        return max((dictionary.n_points for dictionary in self.dictionaries), default=1)

    @property
    def most_atoms(self) -> int:
        """Atoms of the largest dictionary, 1 if there is none."""
        return max((dictionary.n_atoms for dictionary in self.dictionaries), default=1)

    @property
    def history_samples(self) -> int:
        """Samples before a candidate that its windows look back on."""
        return max((-window.start for window in self.windows), default=0)

    @property
    def lookahead_samples(self) -> int:
        """Samples after a candidate that its windows look ahead to."""
        return max((window.stop - 1 for window in self.windows), default=0)

    def errors(self, model: Model) -> dict[str, float]:
        """Return the rounding error of each dictionary, by its name: see `DictionaryTable.error`."""
        pairs = enumerate(zip(self.dictionaries, model.dictionaries, strict=True))
        return {exact.name or f"dictionary {k}": table.error(exact) for k, (table, exact) in pairs}

    def open(self) -> CodesTwin:
        """Return the twin of the C."""
        return CodesTwin(self)

    def to_c(self, name: str) -> str:
        """Return the C definition of ``static const mh_codes_table_t NAME`` and of what it points to."""
        parts, windows, dictionaries = [], [], []
        for k, window in enumerate(self.windows):
            parts.append(c_array("uint8_t", f"{name}_widths_{k}", window.widths))
            windows.append(
                f"    {{.widths = {name}_widths_{k}, .inverse_moment = {window.inverse_moment}, "
                f".start = {window.start}, .stop = {window.stop}, .n_points = {window.n_points}}}"
            )
        for k, table in enumerate(self.dictionaries):
            parts.append(c_array("uint32_t", f"{name}_atoms_{k}", packed(table.atoms)))
            parts.append(c_array("uint16_t", f"{name}_multipliers_{k}", table.multipliers))
            parts.append(c_array("int16_t", f"{name}_gram_{k}", table.gram))
            dictionaries.append(
                f"    {{.atoms = {name}_atoms_{k}, .multipliers = {name}_multipliers_{k}, .gram = {name}_gram_{k}, "
                f".n_atoms = {table.n_atoms}, .n_points = {table.n_points}}}"
            )
        for kind, label, members in (
            ("mh_window_t", "windows", windows),
            ("mh_dictionary_t", "dictionaries", dictionaries),
        ):
            if members:
                rows = ",\n".join(members)
                parts.append(f"static const {kind} {name}_{label}[{len(members)}] = {{\n{rows}\n}};\n")
        parts.append(
            f"static const mh_codes_table_t {name} = {{\n"
            f"    .windows = {f'{name}_windows' if windows else 'NULL'},\n"
            f"    .dictionaries = {f'{name}_dictionaries' if dictionaries else 'NULL'},\n"
            f"    .knee = {self.knee},\n    .n_windows = {len(windows)},\n"
            f"    .n_context = {len(dictionaries) - len(windows)},\n    .n_nonzero = {self.n_nonzero}\n}};\n"
        )
        return "\n".join(parts)


class CodesTwin:
    """What the C computes of candidates, from one to the last.

    Parameters
    ----------
    table : CodesTable

    Attributes
    ----------
    saturated : int
        Coefficients so far that did not fit 16 bits.
    """

    def __init__(self, table: CodesTable) -> None:
        self._table = table
        self._arrays = [
            (d.atoms.astype(np.int64), d.multipliers.astype(np.int64), d.gram.astype(np.int64))
            for d in table.dictionaries
        ]
        self.saturated = 0

    def windows(
        self,
        signal: NDArray[np.int16],
        positions: NDArray[np.int64],
        scales: NDArray[np.int64],
        context: Sequence[NDArray[np.int32]] = (),
        *,
        first: int = 0,
    ) -> list[NDArray[np.int64]]:
        """Return the compressed windows, each (n, n_points) in Q1.14; parameters as in `push`."""
        from mhealth._kernels._fixed_codes import context_windows, signal_windows

        table, samples = self._table, signal.astype(np.int64)
        where, scale = positions.astype(np.int64), scales.astype(np.int64)
        windows = [np.empty((len(where), dictionary.n_points), np.int64) for dictionary in table.dictionaries]
        for window, out in zip(table.windows, windows, strict=False):
            signal_windows(
                samples, first, where, scale, window.start, window.widths.astype(np.int64), window.inverse_moment,
                table.knee, out,
            )  # fmt: skip
        for values, out in zip(context, windows[len(table.windows) :], strict=True):
            context_windows(values.astype(np.int64), scale, table.knee, out)
        return windows

    def push(
        self,
        signal: NDArray[np.int16],
        positions: NDArray[np.int64],
        scales: NDArray[np.int64],
        context: Sequence[NDArray[np.int32]] = (),
        *,
        first: int = 0,
    ) -> Codes:
        """Code candidates.

        Parameters
        ----------
        signal : ndarray of int16, shape (n_samples,)
            The stretch up to the newest sample that the candidates may know of.
        positions : ndarray of int64, shape (n,)
        scales : ndarray of int64, shape (n,)
            Running scale at each, in 1/256 ADC units.
        context : sequence of ndarray of int32, each (n, n_points)
            Windows of the context, in 1/256 ADC units.
        first : int, default=0
            Sample before which the signal is unknown: the oldest one in the ring.

        Returns
        -------
        codes : Codes
        """
        from mhealth._kernels._fixed_codes import code_windows

        table = self._table
        columns = np.empty((len(positions), table.n_codes), np.int32)
        values = np.empty((len(positions), table.n_codes), np.int16)
        first_column = 0
        for k, windows in enumerate(self.windows(signal, positions, scales, context, first=first)):
            slots = slice(k * table.n_nonzero, (k + 1) * table.n_nonzero)
            self.saturated += code_windows(
                windows, *self._arrays[k], table.n_nonzero, first_column, columns[:, slots], values[:, slots]
            )
            first_column += 2 * table.dictionaries[k].n_atoms
        return Codes(columns, values)
