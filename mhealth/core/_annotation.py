"""What an expert marked, and where the marks are complete."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mhealth.core._spans import Spans
from mhealth.errors import AnnotationError

__all__ = ["Annotation"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Annotation:
    """Expert marks of one recording.

    Parameters
    ----------
    spans : Spans
        The marks; any of onset, peak, offset may be −1 (not marked). An expert's bracket samples are
        taken unchanged as onset and offset.
    annotated : array_like of int, shape (n_stretches, 3)
        Rows (channel, start, stop), half-open, inside which every wave is marked. Elsewhere nothing is known.

    Raises
    ------
    AnnotationError
        If a row names a channel that `spans` lacks, or is no range.
    """

    spans: Spans
    annotated: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Check the stretches."""
        rows = np.asarray(self.annotated, dtype=np.int64).reshape(-1, 3)
        bad = (rows[:, 0] < 0) | (rows[:, 0] >= len(self.spans.channels)) | (rows[:, 1] < 0) | (rows[:, 2] < rows[:, 1])
        if bad.any():
            raise AnnotationError(
                f"annotated row {rows[bad][0].tolist()} must be (channel, start, stop) with start <= stop and one of "
                f"the {len(self.spans.channels)} channels {self.spans.channels}."
            )
        object.__setattr__(self, "annotated", rows)
