"""Labelled spans: waves, breaths, unusable stretches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.core._channels import channel_keys
from mhealth.core._checks import check_fs
from mhealth.errors import AnnotationError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BREATH_PHASES", "ECG_WAVES", "UNUSABLE", "Spans"]

ECG_WAVES = ("P", "QRS", "T")
"""Labels of the waves of an ECG."""

BREATH_PHASES = ("inspiration", "expiration", "pause")
"""Labels of the phases of breathing; an inspiration ends at the peak of its breath."""

UNUSABLE = "unusable"
"""Label of stretches in which nothing can be labelled."""

_COLUMNS = ("onset", "peak", "offset", "label", "channel", "probability")


@dataclass(frozen=True, eq=False, kw_only=True)
class Spans:
    """Parallel arrays, one entry a span, sorted by onset (ties: channel, then label).

    Parameters
    ----------
    onset, peak, offset : array_like of int, shape (n_spans,)
        The recording's own sample indices. `offset` is the first sample after the span;
        −1 where a point is undefined or unknown.
    label : array_like of int, shape (n_spans,)
        Index into `classes`.
    channel : array_like of int, shape (n_spans,)
        Index into `channels`.
    probability : array_like of float, shape (n_spans,)
        Calibrated probability that an expert marks a wave of this label here; NaN where none is given.
    fs : float
        Sampling rate of the recording in Hz.
    channels, classes : tuple of str
        Texts of the channels and labels.
    """

    onset: NDArray[np.int64]
    peak: NDArray[np.int64]
    offset: NDArray[np.int64]
    label: NDArray[np.int64]
    channel: NDArray[np.int64]
    probability: NDArray[np.float64]
    fs: float
    channels: tuple[str, ...]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check shapes, and sort by the first known point."""
        columns: dict[str, NDArray] = {
            name: np.atleast_1d(np.asarray(getattr(self, name))).astype(np.int64) for name in _COLUMNS[:-1]
        }
        columns["probability"] = np.atleast_1d(np.asarray(self.probability, dtype=np.float64))
        lengths = {name: column.shape for name, column in columns.items()}
        if len(set(lengths.values())) != 1 or columns["onset"].ndim != 1:
            raise AnnotationError(f"Spans need parallel 1-D arrays of one length; got {lengths}.")
        for name, texts in (("label", self.classes), ("channel", self.channels)):
            codes = columns[name]
            if len(codes) and not 0 <= codes.min() <= codes.max() < len(texts):
                raise AnnotationError(
                    f"{name} holds codes {codes.min()} to {codes.max()}, but there are {len(texts)}: {texts}."
                )
        points = np.stack([columns[name] for name in ("onset", "peak", "offset")])
        first = np.where(points >= 0, points, np.iinfo(np.int64).max).min(axis=0)
        order = np.lexsort((columns["label"], columns["channel"], first))
        for name, column in columns.items():
            object.__setattr__(self, name, column[order])
        object.__setattr__(self, "fs", check_fs(self.fs))
        object.__setattr__(self, "channels", tuple(self.channels))
        object.__setattr__(self, "classes", tuple(self.classes))

    def __len__(self) -> int:
        """Return the number of spans."""
        return len(self.onset)

    @classmethod
    def empty(cls, *, fs: float, channels: tuple[str, ...], classes: tuple[str, ...]) -> Spans:
        """Return no spans of a recording with these channels and labels."""
        none = np.empty(0, dtype=np.int64)
        return cls(
            onset=none, peak=none, offset=none, label=none, channel=none,
            probability=np.empty(0), fs=fs, channels=channels, classes=classes,
        )  # fmt: skip

    @classmethod
    def from_rows(
        cls,
        rows: Iterable[tuple[int, int, int, int, int, float]],
        *,
        fs: float,
        channels: tuple[str, ...],
        classes: tuple[str, ...],
    ) -> Spans:
        """Build spans from rows (onset, peak, offset, label, channel, probability)."""
        table = list(rows)
        if not table:
            return cls.empty(fs=fs, channels=channels, classes=classes)
        onset, peak, offset, label, channel, probability = (np.asarray(column) for column in zip(*table, strict=True))
        return cls(
            onset=onset, peak=peak, offset=offset, label=label, channel=channel,
            probability=probability, fs=fs, channels=channels, classes=classes,
        )  # fmt: skip

    @classmethod
    def concat(cls, parts: Iterable[Spans]) -> Spans:
        """Join spans of one recording; rate, channels and classes must agree.

        Raises
        ------
        AnnotationError
            If there is no part, or the parts belong to different recordings.
        """
        parts = list(parts)
        if not parts:
            raise AnnotationError("Spans.concat needs at least one part; use Spans.empty for none.")
        head = parts[0]
        if any((p.fs, p.channels, p.classes) != (head.fs, head.channels, head.classes) for p in parts):
            raise AnnotationError(
                "Spans.concat: parts differ in fs, channels or classes; join parts of one recording only."
            )
        return head._with({name: np.concatenate([getattr(p, name) for p in parts]) for name in _COLUMNS})

    def select(self, mask: ArrayLike) -> Spans:
        """Return the spans that a boolean mask or an index array picks."""
        return self._with({name: getattr(self, name)[mask] for name in _COLUMNS})

    def of(self, *, label: str | None = None, channel: str | None = None) -> Spans:
        """Return the spans of one label text and/or one channel name."""
        mask = np.ones(len(self), dtype=bool)
        for texts, codes, wanted in ((self.classes, self.label, label), (self.channels, self.channel, channel)):
            if wanted is not None:
                mask &= codes == (texts.index(wanted) if wanted in texts else -1)
        return self.select(mask)

    def _with(self, columns: dict[str, NDArray]) -> Spans:
        """Return these columns for the same recording."""
        return Spans(**columns, fs=self.fs, channels=self.channels, classes=self.classes)

    def to_frame(self) -> pd.DataFrame:
        """Return a table with the columns of the CSV format.

        Returns
        -------
        frame : pandas.DataFrame
            Columns channel, label, onset, peak, offset (samples), onset_s, offset_s (seconds; NaN where
            the point is unknown), probability. Channels that share a name are given by position.
        """
        import pandas as pd

        channels, labels = (np.array(texts, dtype=object) for texts in (channel_keys(self.channels), self.classes))
        seconds = {
            f"{n}_s": np.where(c >= 0, c / self.fs, np.nan) for n, c in (("onset", self.onset), ("offset", self.offset))
        }
        return pd.DataFrame(
            {
                "channel": channels[self.channel],
                "label": labels[self.label],
                "onset": self.onset,
                "peak": self.peak,
                "offset": self.offset,
                **seconds,
                "probability": self.probability,
            }
        )
