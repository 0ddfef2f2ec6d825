"""Labelled spans to CSV, Parquet and WFDB annotation files, at once or as they come."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from mhealth.core import Spans, check_fs, replacing, unwritable
from mhealth.errors import InvalidParameterError, MissingExtraError, RecordingFileError, UnwritableOutputError
from mhealth.io._brackets import encode_brackets

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "SpanFormat", "SpanWriter", "read_spans", "write_spans"]

COLUMNS = ("channel", "label", "onset", "peak", "offset", "onset_s", "offset_s", "probability")
"""Columns of the CSV and Parquet formats."""

SpanFormat = Literal["csv", "parquet", "wfdb"]

_FORMAT_OF_SUFFIX: dict[str, SpanFormat] = {".csv": "csv", ".parquet": "parquet", ".atr": "wfdb"}


def write_spans(spans: Spans, path: Path | str, *, format: SpanFormat | None = None) -> list[Path]:
    """Write labelled spans.

    Parameters
    ----------
    spans : Spans
        Spans of one recording.
    path : path-like
        CSV has the columns ``channel,label,onset,peak,offset,onset_s,offset_s,probability`` (points in samples, −1
        where unknown; seconds with six decimals; an unknown probability is empty), and Parquet the same.
        A WFDB annotation has the marks that `read_bracket_annotation` reads, and ``~`` of subtype −1 where the signal
        becomes unusable, of subtype 0 where that ends. Probabilities are lost. A single channel goes to `path` itself,
        or ``<path>.waves`` if it has no suffix; several channels go to one file each, as in LUDB:
        ``<path without suffix>.<channel>``.
    format : {'csv', 'parquet', 'wfdb'}, optional
        Default: by the suffix of `path`, of which ``.atr`` stands for WFDB.

    Returns
    -------
    paths : list of Path
        The files written.

    Raises
    ------
    UnwritableOutputError
        If a file cannot be written, or a WFDB annotation would replace one that lies beside its recording.
    InvalidParameterError
        If the format is unknown.
    AnnotationError
        If WFDB brackets cannot tell what the spans say.
    MissingExtraError
        If Parquet is asked for and `pyarrow` is not installed.
    """
    with SpanWriter(path, format=format) as writer:
        writer.write(spans)
    return writer.paths


class SpanWriter:
    """Write the spans of a recording as they come; a context manager.

    The file appears, complete, when the block ends well. After an error, KeyboardInterrupt included, none appears.
    CSV and Parquet need no memory; WFDB annotations are kept until the end.

    Parameters
    ----------
    path, format
        As for `write_spans`.

    Attributes
    ----------
    paths : list of Path
        The files written, once the block has ended.

    Raises
    ------
    UnwritableOutputError, InvalidParameterError, AnnotationError, MissingExtraError
        As `write_spans`.

    Examples
    --------
    >>> with SpanWriter("night.csv") as writer:
    ...     for block in blocks("night.edf"):
    ...         writer.write(stream.push(block.signals))
    ...     writer.write(stream.flush())
    """

    def __init__(self, path: Path | str, *, format: SpanFormat | None = None) -> None:
        self._path = Path(path)
        self._format = _format_of(self._path, format)
        self.paths: list[Path] = []

    def __enter__(self) -> Self:
        """Open the temporary file."""
        self._sink = _SINKS[self._format](self._path)
        return self

    def write(self, spans: Spans) -> None:
        """Append spans."""
        self._sink.write(spans)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the file its name, or remove it if the block failed."""
        self.paths = self._sink.close(kind, error, trace)


class _FileSink(ABC):
    """Spans on their way to one temporary file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with ExitStack() as stack, unwritable(path):
            self._open(stack.enter_context(replacing(path)), stack)
            self._stack = stack.pop_all()

    def write(self, spans: Spans) -> None:
        with unwritable(self._path):
            self._append(spans.to_frame())

    def close(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> list[Path]:
        with unwritable(self._path):
            self._stack.__exit__(kind, error, trace)
        return [self._path]

    @abstractmethod
    def _open(self, temporary: Path, stack: ExitStack) -> None: ...

    @abstractmethod
    def _append(self, frame: pd.DataFrame) -> None: ...


class _CsvSink(_FileSink):
    def _open(self, temporary: Path, stack: ExitStack) -> None:
        self._file = stack.enter_context(temporary.open("w", encoding="utf-8", newline=""))
        self._file.write(",".join(COLUMNS) + "\n")

    def _append(self, frame: pd.DataFrame) -> None:
        for name, form in (("onset_s", "%.6f"), ("offset_s", "%.6f"), ("probability", "%.4f")):
            frame[name] = ["" if value != value else form % value for value in frame[name]]
        frame.to_csv(self._file, columns=list(COLUMNS), header=False, index=False, lineterminator="\n")


class _ParquetSink(_FileSink):
    def _open(self, temporary: Path, stack: ExitStack) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError as error:
            raise MissingExtraError(f"Writing {self._path} needs pyarrow: pip install 'mhealth[parquet]'.") from error
        kinds = [pa.string(), pa.string(), pa.int64(), pa.int64(), pa.int64(), *[pa.float64()] * 3]
        self._schema = pa.schema(list(zip(COLUMNS, kinds, strict=True)))
        self._to_table = pa.Table.from_pandas
        self._writer = stack.enter_context(pq.ParquetWriter(temporary, self._schema))

    def _append(self, frame: pd.DataFrame) -> None:
        self._writer.write_table(self._to_table(frame, self._schema, preserve_index=False))


class _WfdbSink:
    """Spans kept until the end, because each channel has a file and the marks must be in order."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parts: list[Spans] = []

    def write(self, spans: Spans) -> None:
        self._parts.append(spans)

    def close(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> list[Path]:
        if error is not None:
            return []
        if not self._parts:
            raise InvalidParameterError(f"{self._path}: no spans were written, so the channels are not known.")
        spans = Spans.concat(self._parts)
        paths = _annotation_paths(self._path, spans.channels)
        with ExitStack() as stack, unwritable(self._path):  # all files or none
            for k, path in enumerate(paths):
                content = encode_brackets(spans.select(spans.channel == k))
                stack.enter_context(replacing(path)).write_bytes(content)
        return paths


_SINKS: dict[SpanFormat, type[_FileSink] | type[_WfdbSink]] = {
    "csv": _CsvSink,
    "parquet": _ParquetSink,
    "wfdb": _WfdbSink,
}


def _format_of(path: Path, stated: SpanFormat | None) -> SpanFormat:
    found = stated or _FORMAT_OF_SUFFIX.get(path.suffix.lower())
    if found not in _SINKS:
        raise InvalidParameterError(
            f"{path} has no known format: use the suffix .csv, .parquet or .atr (WFDB annotation), "
            f"or state format={' or '.join(map(repr, _SINKS))} (--format on the command line)."
        )
    return found


def _annotation_paths(path: Path, channels: Sequence[str]) -> list[Path]:
    """Return one annotation file a channel; refuse to replace one that lies beside its recording."""
    if len(channels) == 1:
        paths = [path if path.suffix else path.with_suffix(".waves")]
    else:
        suffixes = [re.sub(r"\W", "_", channel.lower()) for channel in channels]
        unique = len(set(suffixes)) == len(suffixes) and all(suffixes)
        paths = [path.with_suffix(f".{suffix if unique else k}") for k, suffix in enumerate(suffixes)]
    taken = [p for p in paths if p.exists()]
    if taken and path.with_suffix(".hea").exists():
        raise UnwritableOutputError(
            f"{taken[0]} exists beside its recording and may be an expert's annotation. "
            "Choose another folder, or remove it."
        )
    return paths


def read_spans(path: Path | str, *, fs: float | None = None) -> Spans:
    """Read spans that `write_spans` wrote as CSV or Parquet, or a table with its first five columns.

    Parameters
    ----------
    path : path-like
        File with the suffix ``.csv`` or ``.parquet``.
    fs : float, optional
        Sampling rate in Hz; default: what samples and seconds of the points tell.

    Returns
    -------
    spans : Spans
        Channels and classes in the order in which they appear.

    Raises
    ------
    RecordingFileError
        If the file is missing or malformed, lacks columns, or does not tell the sampling rate.
    MissingExtraError
        If Parquet is read and `pyarrow` is not installed.
    """
    path = Path(path)
    frame = _read_frame(path)
    absent = [name for name in COLUMNS[:5] if name not in frame]
    if absent:
        raise RecordingFileError(f"{path} lacks the columns {absent}; expected {', '.join(COLUMNS)}.")
    points = {name: _points(path, frame[name]) for name in ("onset", "peak", "offset")}
    channels, labels = (frame[name].astype(str).str.strip() for name in ("channel", "label"))
    channel_names, classes = (tuple(dict.fromkeys(texts)) for texts in (channels, labels))
    probability = frame["probability"].to_numpy(np.float64) if "probability" in frame else np.full(len(frame), np.nan)
    return Spans(
        **points,
        label=labels.map(classes.index).to_numpy(np.int64),
        channel=channels.map(channel_names.index).to_numpy(np.int64),
        probability=probability,
        fs=check_fs(_rate_of(path, frame) if fs is None else fs),
        channels=channel_names,
        classes=classes,
    )


def _read_frame(path: Path) -> pd.DataFrame:
    import pandas as pd

    if not path.is_file():
        raise RecordingFileError(f"{path} does not exist. Check the path of the labels.")
    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, skipinitialspace=True, dtype={"channel": str, "label": str}, keep_default_na=True)
    except ImportError as error:
        raise MissingExtraError(f"Reading {path} needs pyarrow: pip install 'mhealth[parquet]'.") from error
    except (OSError, ValueError) as error:  # pandas' and pyarrow's errors derive from these
        raise RecordingFileError(f"{path} is no readable table of labels ({error}).") from error


def _points(path: Path, cells: pd.Series) -> np.ndarray:
    """Return sample indices; empty cells are −1."""
    import pandas as pd

    numbers = pd.to_numeric(cells, errors="coerce")
    wrong = (numbers.isna() & cells.notna()) | (numbers.notna() & (numbers != np.floor(numbers)))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise RecordingFileError(
            f"{path}: column {cells.name!r} has {cells.iloc[row]!r} in row {row + 1} (after the header), expected a "
            "sample index or −1."
        )
    return numbers.fillna(-1).to_numpy(np.int64)


def _rate_of(path: Path, frame: pd.DataFrame) -> float:
    """Return the rate that samples and seconds tell; seconds have six decimals, so the latest point tells it best."""
    rates = []
    for samples, seconds in (("onset", "onset_s"), ("offset", "offset_s")):
        if seconds in frame and len(frame):
            latest = frame[seconds].idxmax() if frame[seconds].notna().any() else None
            if latest is not None and frame[seconds][latest] > 0:
                rates.append((float(frame[seconds][latest]), float(frame[samples][latest])))
    if not rates:
        raise RecordingFileError(f"{path} does not tell its sampling rate (onset_s, offset_s): state it with fs=...")
    latest_s, sample = max(rates)
    rate = sample / latest_s
    # rounded to the decimals that survive the rounding of the seconds
    return round(rate, max(0, int(-np.log10(rate * 1e-6 / latest_s))))
