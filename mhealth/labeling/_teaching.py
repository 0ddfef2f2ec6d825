"""What one labeler is sure of, as marks for another to learn from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mhealth.core import Annotation, Spans
from mhealth.errors import InvalidParameterError

__all__ = ["as_annotation"]

_LEAST = 4.0
"""Seconds that a stretch must last: shorter ones are mostly the inside of one beat."""


def as_annotation(spans: Spans, *, certainty: float = 0.9) -> Annotation:
    """Return what a labeler is sure of in a recording without marks, for another to learn from (distillation [1]_).

    A channel counts as annotated where every wave is as probable as `certainty` or more and nothing is unusable, from
    the first wave to the last, or halfway to a doubtful one, for 4 s at least. Elsewhere nothing is assumed: neither
    that doubtful waves exist, nor that they do not.

    Parameters
    ----------
    spans : Spans
        From `label`, with probabilities.
    certainty : float, default=0.9
        Least probability.

    Returns
    -------
    annotation : Annotation
        Of waves in annotated stretches.

    Raises
    ------
    InvalidParameterError
        If `certainty` is no probability.

    References
    ----------
    .. [1] Hinton, Vinyals, Dean (2015). Distilling the knowledge in a neural network. https://arxiv.org/abs/1503.02531
    """
    if not 0 <= certainty <= 1:
        raise InvalidParameterError(f"certainty={certainty!r} must be a probability, from 0 to 1.")
    rows, kept = [], np.zeros(len(spans), bool)
    for channel in range(len(spans.channels)):
        of_channel = np.flatnonzero(spans.channel == channel)
        for first, last, start, stop in _sure(spans.select(of_channel), certainty):
            if stop - start >= _LEAST * spans.fs:
                rows.append((channel, start, stop))
                kept[of_channel[first:last]] = True
    return Annotation(spans=spans.select(kept), annotated=np.array(rows, np.int64).reshape(-1, 3))


def _sure(spans: Spans, certainty: float) -> NDArray[np.int64]:
    """Return runs of sure waves of one channel: first one, one after the last, start and stop sample."""
    sure = spans.probability >= certainty  # never of an unusable span, which has none
    edges = np.flatnonzero(np.diff(np.concatenate([[0], sure.astype(np.int8), [0]]))).reshape(-1, 2)
    middles = np.concatenate([spans.onset[:1], (spans.offset[:-1] + spans.onset[1:] + 1) // 2, spans.offset[-1:]])
    return np.column_stack([edges, middles[edges]])
