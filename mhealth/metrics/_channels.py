"""Which predicted channel belongs to which annotated one."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from mhealth.core import Annotation, Spans, channel_keys
from mhealth.errors import AnnotationError
from mhealth.metrics._matching import covered

__all__ = ["POINTS", "EndToEnd", "channel_position", "check_same_rate", "folded_keys", "select_channels"]

POINTS = ("onset", "peak", "offset")


class EndToEnd:
    """One record's marks and predictions with its channels laid end to end, so that one match serves them all.

    Parameters
    ----------
    annotation : Annotation
        The reference.
    spans : Spans
        What was found in the same recording; channels are assigned by name (by position where names repeat).
    channels : collection of str or int, optional
        Names or positions of the annotated channels to use; by default all.

    Attributes
    ----------
    reference, found : Spans
        The spans of those channels, `channel` being the position among the chosen channels.
    """

    def __init__(self, annotation: Annotation, spans: Spans, channels: Collection[str | int] | None = None) -> None:
        marks = annotation.spans
        check_same_rate(annotation, spans)
        place = np.full(len(marks.channels), -1)
        chosen = select_channels(marks, channels)
        place[chosen] = np.arange(len(chosen))
        keys = folded_keys(marks)
        found_place = np.array([place[keys.index(k)] if k in keys else -1 for k in folded_keys(spans)], dtype=np.int64)

        self.fs = marks.fs
        self.n_channels = len(chosen)
        self.reference = marks.select(place[marks.channel] >= 0)
        self.found = spans.select(found_place[spans.channel] >= 0)
        rows = annotation.annotated[place[annotation.annotated[:, 0]] >= 0]
        self._reference_place = place[self.reference.channel]
        self._found_place = found_place[self.found.channel]
        last = max(int(a.max(initial=0)) for s in (self.reference, self.found) for a in (getattr(s, p) for p in POINTS))
        # A second between channels, more than any tolerance here, keeps their points apart.
        self._stride = max(last, int(rows[:, 2].max(initial=0))) + int(np.ceil(self.fs)) + 1
        self._starts = rows[:, 1] + place[rows[:, 0]] * self._stride
        self._stops = rows[:, 2] + place[rows[:, 0]] * self._stride

    def marks(self, label: str, point: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the positions of an annotated point, and where the waves are of which the expert left it out.

        A wave without that point is placed at its peak, or at its first known point if it has no peak.
        """
        of_label = self.reference.label == _code(self.reference, label)
        position = getattr(self.reference, point)
        onset, peak, offset = (getattr(self.reference, name) for name in POINTS)
        anchor = np.where(peak >= 0, peak, np.where(onset >= 0, onset, offset))
        shift = self._reference_place * self._stride
        known, unknown = of_label & (position >= 0), of_label & (position < 0)
        return (position + shift)[known], (anchor + shift)[unknown]

    def predictions(self, label: str, point: str) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
        """Return the positions of a predicted point, and the indices of its waves in `found`."""
        position = getattr(self.found, point)
        index = np.flatnonzero((self.found.label == _code(self.found, label)) & (position >= 0))
        return (position + self._found_place * self._stride)[index], index

    def annotated(self, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which positions lie in an annotated stretch of their channel."""
        return covered(positions, self._starts, self._stops)

    def channel_of(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the channel of positions, counted among the chosen channels."""
        return positions // self._stride

    def waves_per_channel(self, label: str) -> NDArray[np.int64]:
        """Return how many waves of a label are marked in each of the chosen channels."""
        of_label = self.reference.label == _code(self.reference, label)
        return np.bincount(self._reference_place[of_label], minlength=self.n_channels)


def check_same_rate(annotation: Annotation, spans: Spans) -> None:
    """Raise AnnotationError unless marks and predictions count samples at one rate."""
    if spans.fs != annotation.spans.fs:
        raise AnnotationError(
            f"Spans are at {spans.fs:g} Hz and their annotation at {annotation.spans.fs:g} Hz; "
            "score spans at the rate of the annotated recording."
        )


def folded_keys(spans: Spans) -> tuple[str, ...]:
    """Return the keys of the channels in one case."""
    return tuple(key.casefold() for key in channel_keys(spans.channels))


def channel_position(spans: Spans, channel: str | int) -> int:
    """Return the position of a channel given by name (in any case) or position, −1 where there is none."""
    if isinstance(channel, str):
        keys = folded_keys(spans)
        return keys.index(channel.casefold()) if channel.casefold() in keys else -1
    return channel if 0 <= channel < len(spans.channels) else -1


def select_channels(spans: Spans, channels: Collection[str | int] | None) -> list[int]:
    """Return the positions of the wanted channels, in the order of the recording.

    Raises
    ------
    AnnotationError
        If the recording has none of them.
    """
    if channels is None:
        return list(range(len(spans.channels)))
    if isinstance(channels, str):
        raise AnnotationError(
            f"channels={channels!r} is one string; expected a list of names or positions, for example [{channels!r}]."
        )
    chosen = sorted({channel_position(spans, channel) for channel in channels} - {-1})
    if not chosen:
        raise AnnotationError(
            f"None of the channels {list(channels)} is annotated; the recording has {spans.channels}."
        )
    return chosen


def _code(spans: Spans, label: str) -> int:
    return spans.classes.index(label) if label in spans.classes else -1
