"""Agreement of two labelings of one recording, sample by sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mhealth.core import Spans
from mhealth.errors import AnnotationError, InvalidParameterError
from mhealth.metrics._channels import folded_keys

__all__ = ["sample_agreement"]


def sample_agreement(first: Spans, second: Spans, n_samples: int) -> float:
    """Return the share of samples, over all channels, at which two labelings agree.

    Parameters
    ----------
    first, second : Spans
        Labelings of one recording, with the same channels. Where spans overlap, the one that starts later counts.
    n_samples : int
        Length of the recording; samples in no span agree with samples in no span.

    Returns
    -------
    agreement : float
        In [0, 1]; NaN for a recording without samples or channels.

    Raises
    ------
    AnnotationError
        If rates or channels differ, or a span has no onset or no offset.
    InvalidParameterError
        If a span reaches beyond `n_samples`.
    """
    keys, other_keys = folded_keys(first), folded_keys(second)
    if first.fs != second.fs or sorted(keys) != sorted(other_keys):
        raise AnnotationError(
            f"The labelings have the channels {first.channels} at {first.fs:g} Hz and {second.channels} at "
            f"{second.fs:g} Hz; expected two labelings of one recording."
        )
    codes = {text: code for code, text in enumerate(dict.fromkeys(first.classes + second.classes), start=1)}
    same = 0
    for key in keys:
        labels = (
            _painted(first, keys.index(key), codes, n_samples),
            _painted(second, other_keys.index(key), codes, n_samples),
        )
        same += int(np.count_nonzero(labels[0] == labels[1]))
    total = n_samples * len(keys)
    return same / total if total else float("nan")


def _painted(spans: Spans, channel: int, codes: dict[str, int], n_samples: int) -> NDArray[np.int16]:
    """Return the label code of every sample of one channel, 0 where there is none."""
    spans = spans.select(spans.channel == channel)
    if len(spans) and min(spans.onset.min(), spans.offset.min()) < 0:
        raise AnnotationError("A span without onset or offset cannot be compared by samples; leave such spans out.")
    if len(spans) and spans.offset.max() > n_samples:
        raise InvalidParameterError(f"n_samples={n_samples}, but a span ends at sample {spans.offset.max()}.")
    code = np.array([codes[text] for text in spans.classes], dtype=np.int16)[spans.label]
    painted = np.zeros(n_samples, dtype=np.int16)
    for start, stop, label in zip(spans.onset.tolist(), spans.offset.tolist(), code.tolist(), strict=True):
        painted[start:stop] = label
    return painted
