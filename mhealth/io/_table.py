"""Tables of samples: CSV and Parquet, one row a sample, one column a channel, the rate from a time column."""

from __future__ import annotations

import csv
import gzip
import itertools
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mhealth.errors import MissingExtraError, RecordingFileError
from mhealth.io._info import Block, RecordingInfo
from mhealth.io._pieces import LONGEST_GAP, missing, regroup

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CsvTable", "ParquetTable", "TableSource"]

_ROWS = 50_000
"""Rows parsed at a time."""

_LARGEST_JITTER = 1.0
"""Samples by which times may lie off a regular grid. Times printed with five digits reach a half at 125 Hz."""

_ANCHOR_ROWS = 1000
"""Rows over which the grid is moved along with a clock that drifts."""

_SECONDS_PER = {"": 1.0, "s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}

_TIME_NAME = re.compile(r"(?:t|time|timestamp|datetime|seconds)(?:_(s|sec|seconds|ms|us|µs|ns))?", re.IGNORECASE)

_NAME_AND_UNIT = re.compile(r"(.*?)\s*[\[(]([^\[\]()]*)[\])]\s*")


class Table(Protocol):
    """A file of rows."""

    path: Path
    names: list[str]
    """Column names as in the file."""
    n_rows: int | None
    """None where only reading the whole file would tell."""

    def frames(self, columns: Sequence[int]) -> Iterator[pd.DataFrame]:
        """Yield the rows of these columns piece by piece, in the order of `columns`."""
        ...


class CsvTable:
    """A CSV file, compressed with gzip where its name ends in ``.gz``; separated by comma, semicolon or tab.

    A first line that holds only numbers is no header: the columns are then called by position.
    """

    n_rows: int | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        opener = gzip.open if path.suffix.lower() == ".gz" else open
        try:
            with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
                line = file.readline(1 << 20)
        except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
            raise RecordingFileError(f"{path} is no CSV text ({error}). Fetch it again.") from error
        if not line.strip():
            raise RecordingFileError(f"{path} is an empty recording: its first line should name the columns.")
        self._separator = max(",;\t", key=line.count)
        cells = [cell.strip() for cell in next(csv.reader([line], delimiter=self._separator))]
        self._has_header = not all(_is_number(cell) for cell in cells)
        self.names = cells if self._has_header else [str(k) for k in range(len(cells))]

    def frames(self, columns: Sequence[int]) -> Iterator[pd.DataFrame]:
        """Yield the rows of these columns piece by piece."""
        import pandas as pd

        try:
            # all columns are parsed, so that rows of another length are noticed
            with pd.read_csv(
                self.path,
                sep=self._separator,
                header=None,
                names=range(len(self.names)),
                skiprows=int(self._has_header),
                chunksize=_ROWS,
                encoding="utf-8-sig",
                skipinitialspace=True,
                low_memory=False,
            ) as reader:
                for frame in reader:
                    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes a surplus first cell for an index
                        raise ValueError(f"rows have more cells than the {len(self.names)} columns named")
                    yield frame[list(columns)]
        except pd.errors.EmptyDataError:
            return
        except (pd.errors.ParserError, UnicodeDecodeError, EOFError, OSError, ValueError) as error:
            raise RecordingFileError(f"{self.path} is no readable CSV table ({error}). Correct or fetch it.") from error


class ParquetTable:
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow.parquet as pq
        except ImportError as error:
            raise MissingExtraError(f"Reading {path} needs pyarrow: pip install 'mhealth[parquet]'.") from error
        self.path = path
        try:
            self._file = pq.ParquetFile(path, pre_buffer=False)  # which would hold all of it
        except (OSError, ValueError) as error:  # pyarrow's errors derive from these
            raise RecordingFileError(f"{path} is truncated or no Parquet file ({error}). Fetch it again.") from error
        self.names = [str(name) for name in self._file.schema_arrow.names]
        self.n_rows = self._file.metadata.num_rows

    def frames(self, columns: Sequence[int]) -> Iterator[pd.DataFrame]:
        """Yield the rows of these columns piece by piece."""
        import pandas as pd

        wanted = {self.names[k] for k in columns}
        try:
            for batch in self._file.iter_batches(batch_size=_ROWS, columns=sorted(wanted)):
                yield pd.DataFrame({k: batch.column(self._place(k, batch.schema.names)).to_pandas() for k in columns})
        except (OSError, ValueError) as error:
            raise RecordingFileError(f"{self.path} is no readable Parquet table ({error}). Fetch it again.") from error

    def _place(self, column: int, names: list[str]) -> int:
        """Return where among the columns `names` that were read the file's `column` is; names may repeat."""
        name = self.names[column]
        return [k for k, other in enumerate(names) if other == name][self.names[:column].count(name)]


class TableSource:
    """An opened table of samples.

    The column called ``time``, ``t``, ``seconds``, ``timestamp`` or ``datetime`` (a unit may follow: ``time_ms``,
    ``Time [ms]``) tells the rate: numbers are seconds unless the unit says otherwise, texts are ISO 8601 dates. Rows
    that are missing, as its steps show, are filled with NaN. All other columns are channels,
    ``ECG [mV]`` with its unit.

    Parameters
    ----------
    table : Table
        The file.
    fs : float, optional
        Sampling rate in Hz. If given, rows are taken as consecutive samples and the time column is not read.

    Raises
    ------
    RecordingFileError
        If the table has no rows, no usable time column and no `fs`, or no channel.
    """

    def __init__(self, table: Table, *, fs: float | None) -> None:
        self._table = table
        parsed = [_name_and_unit(name) for name in table.names]
        times = [k for k, (name, unit) in enumerate(parsed) if _time_scale(name, unit) is not None]
        self._columns = [k for k in range(len(parsed)) if k not in times[:1]]
        if not self._columns:
            raise RecordingFileError(f"{table.path} has no channel; its only column is {table.names}.")
        self._clock = None
        if fs is None:
            if not times:
                raise RecordingFileError(
                    f"{table.path} has no time column (time, t, seconds, timestamp) among {table.names}, so its "
                    "sampling rate is unknown. State it with fs=... (--fs on the command line)."
                )
            scale = _time_scale(*parsed[times[0]])
            self._clock = _Clock.of(table, times[0], 1.0 if scale is None else scale)
        rate = self._clock.fs if self._clock else fs
        assert rate is not None  # one of the two branches above set it
        self.info = RecordingInfo(
            path=table.path,
            name=re.sub(r"\.(csv|parquet)(\.gz)?$", "", table.path.name, flags=re.IGNORECASE),
            channels=tuple(parsed[k][0] for k in self._columns),
            units=tuple(parsed[k][1] for k in self._columns),
            rates=(rate,) * len(self._columns),
            n_samples=None if self._clock else table.n_rows,
            start=self._clock.start if self._clock else None,
        )

    def blocks(self, columns: Sequence[int], start: int, stop: int | None, size: int) -> Iterator[Block]:
        """Yield samples of these columns; see `Source`."""
        yield from regroup(self._pieces([self._columns[k] for k in columns]), start, stop, size)

    def _pieces(self, columns: list[int]) -> Iterator[Block]:
        """Yield rows as they are parsed, and the gaps between them."""
        clock = self._clock
        wanted = columns if clock is None else [clock.column, *columns]
        row, ticks = 0, None
        for frame in self._table.frames(wanted):
            names = [self._table.names[k] for k in columns]
            values = np.stack(
                [_numbers(frame[k], self._table.path, name, row) for k, name in zip(columns, names, strict=True)],
                axis=1,
            )
            if clock is None:
                yield Block(values)
            else:
                ticks = clock.place(clock.seconds(frame[clock.column], row), ticks, row)
                bounds = [0, *(np.flatnonzero(ticks.steps[1:] > 1) + 1).tolist(), len(values)]
                for begin, end in itertools.pairwise(bounds):
                    yield from missing(int(ticks.steps[begin]) - 1, len(columns))
                    yield Block(values[begin:end])
            row += len(values)


@dataclass(frozen=True)
class _Ticks:
    """Where some rows lie: samples since the row before, and time and grid position of the last row."""

    steps: NDArray[np.int64]
    last: float
    position: float


@dataclass(frozen=True)
class _Clock:
    """The time column of a table.

    `jitter` is how far times lie off a regular grid, in samples; `origin` the time of the first row in nanoseconds
    since 1970 where the column holds dates.
    """

    path: Path
    column: int
    scale: float
    fs: float
    jitter: float
    origin: int | None
    start: datetime | None

    @classmethod
    def of(cls, table: Table, column: int, scale: float) -> _Clock:
        """Find rate and jitter from the first rows."""
        head = next(table.frames([column]), None)
        if head is None or not len(head):
            raise RecordingFileError(f"{table.path} is an empty recording: it has no rows.")
        start = _first_date(head[column])
        origin = None if start is None else int(np.datetime64(start.replace(tzinfo=None), "ns").astype(np.int64))
        clock = cls(table.path, column, scale, fs=np.nan, jitter=0.0, origin=origin, start=start)
        times = clock.seconds(head[column], 0)
        _check_order(table.path, times, None, 0)
        fs, jitter = _rate(times)
        if not jitter <= _LARGEST_JITTER:
            raise RecordingFileError(
                f"{table.path}: the time column gives no sampling rate: its {len(times)} first times lie off a regular "
                f"grid (by {jitter:.2g} samples, allowed is {_LARGEST_JITTER:g}). State the rate with fs=... (--fs "
                "on the command line) if the rows are regular and only their times are coarse."
            )
        return cls(table.path, column, scale, fs, jitter, origin, start)

    def seconds(self, cells: pd.Series, row: int) -> NDArray[np.float64]:
        """Return times in seconds; `row` is the number of rows before these."""
        if self.origin is None:
            times = _numbers(cells, self.path, "time", row, dtype=np.float64) * self.scale
        else:
            dates = _dates(cells)
            times = np.where(dates.isna(), np.nan, (_nanoseconds(dates) - self.origin) / 1e9)
        if np.isnan(times).any():
            bad = int(np.flatnonzero(np.isnan(times))[0])
            raise RecordingFileError(
                f"{self.path}: row {row + bad + 1} (after the header) has the time {cells.iloc[bad]!r}, which is no "
                "number or ISO 8601 date. Correct it, or state the rate with fs=... (--fs on the command line)."
            )
        return times

    def place(self, times: NDArray[np.float64], before: _Ticks | None, row: int) -> _Ticks:
        """Place rows on the grid of samples; `row` is the number of rows before these."""
        last = times[0] - 1 / self.fs if before is None else before.last
        _check_order(self.path, times, last, row)
        steps = np.diff(times, prepend=last) * self.fs
        # times that lie off the grid by `jitter` make steps of up to 1 + 2 jitter where no row is missing
        counts = np.where(steps > 1.5 + 2 * self.jitter, np.rint(steps), 1)
        origin = last * self.fs if before is None else before.position
        off = times * self.fs - origin - np.cumsum(counts)
        wrong = (np.abs(off) > 1 + 2 * self.jitter) | (counts > LONGEST_GAP * self.fs)
        if wrong.any():
            k = int(np.flatnonzero(wrong)[0])
            raise RecordingFileError(
                f"{self.path}: the time in row {row + k + 1} (after the header), {steps[k] / self.fs:g} s after the "
                f"row before, does not fit the sampling rate of {self.fs:g} Hz. Correct the time column, or state the "
                "rate with fs=... (--fs on the command line) to ignore it."
            )
        drift = float(np.median(off[-_ANCHOR_ROWS:]))
        return _Ticks(counts.astype(np.int64), float(times[-1]), float(origin + counts.sum() + drift))


def _rate(times: NDArray[np.float64]) -> tuple[float, float]:
    """Return sampling rate in Hz and jitter in samples of times that may have gaps.

    Coarse times (2.78 ms written as 2 and 3) and missing rows look alike in a single step, so the steps are first
    taken as one sample each, and only if that leaves jitter, as the nearest number of samples.
    """
    steps = np.diff(times)
    usual = np.median(steps) if len(steps) else 0.0
    if not usual > 0:
        return np.nan, np.inf
    steps = steps[steps <= 2.5 * usual]  # larger ones are gaps
    elapsed = np.cumsum(steps)
    best = np.nan, np.inf
    for counts in (np.ones(len(steps)), np.maximum(1, np.rint(steps / usual))):
        position = np.cumsum(counts)
        fs = position[-1] / elapsed[-1]
        jitter = _jitter(elapsed * fs - position)
        # the nearest whole rate, unless the times tell it apart
        if round(fs) and abs(fs / round(fs) - 1) <= max(1e-6, 2 * jitter / position[-1]):
            fs = float(round(fs))
            jitter = _jitter(elapsed * fs - position)
        if jitter < best[1] - 0.25:
            best = float(fs), jitter
    return best


def _jitter(off: NDArray[np.float64]) -> float:
    return float(max(off.max(), 0.0) - min(off.min(), 0.0)) / 2


def _check_order(path: Path, times: NDArray[np.float64], last: float | None, row: int) -> None:
    steps = np.diff(times, prepend=times[0] if last is None else last)
    if (steps < 0).any():
        k = int(np.flatnonzero(steps < 0)[0])
        raise RecordingFileError(
            f"{path}: time runs backwards by {-steps[k]:g} s at row {row + k + 1} (after the header). Sort the rows, "
            "or state the rate with fs=... (--fs on the command line) to take them as they come."
        )


def _numbers(cells: pd.Series, path: Path, name: str, row: int, dtype: Any = np.float32) -> NDArray[Any]:
    """Return a column as floats, empty cells as NaN; text and infinities are refused."""
    import pandas as pd

    numbers = pd.to_numeric(cells, errors="coerce") if cells.dtype.kind not in "fiu" else cells
    with np.errstate(over="ignore"):
        values = numbers.to_numpy(dtype=dtype, na_value=np.nan)
    wrong = (np.isnan(values) & cells.notna().to_numpy()) | np.isinf(values)
    if wrong.any():
        k = int(np.flatnonzero(wrong)[0])
        raise RecordingFileError(
            f"{path}: column {name!r} has {str(cells.iloc[k])!r} in row {row + k + 1} (after the header), expected a "
            "number or an empty cell. Correct it, or choose other channels with channels=[...] (--channels on the "
            "command line)."
        )
    return values


def _first_date(cells: pd.Series) -> datetime | None:
    """Return the date in the first cell, None if it is a number."""
    if cells.dtype.kind in "fiu":
        return None
    first = _dates(cells.iloc[:1]).iloc[0]
    return None if first is None or first != first else first.to_pydatetime()


def _dates(cells: pd.Series) -> pd.Series:
    """Return cells as dates, those that are none as NaT."""
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of mixed formats, which end as NaT
        return cells if cells.dtype.kind == "M" else pd.to_datetime(cells, format="ISO8601", errors="coerce")


def _nanoseconds(dates: pd.Series) -> NDArray[np.int64]:
    zone = getattr(dates.dtype, "tz", None)
    local = dates if zone is None else dates.dt.tz_localize(None)
    return local.to_numpy(dtype="datetime64[ns]").astype(np.int64)


def _name_and_unit(text: str) -> tuple[str, str]:
    """Split ``"ECG [mV]"`` into name and unit."""
    found = _NAME_AND_UNIT.fullmatch(text)
    return (found[1], found[2].strip()) if found and found[1] else (text.strip(), "")


def _time_scale(name: str, unit: str) -> float | None:
    """Return the seconds in a unit of a time column, None if the name is not one of a time column."""
    found = _TIME_NAME.fullmatch(name)
    return None if found is None else _SECONDS_PER.get((unit or found[1] or "").lower())


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
