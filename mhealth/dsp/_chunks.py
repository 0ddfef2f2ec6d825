"""What every stream of one lead checks on the chunks that it gets."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.core import check_signals
from mhealth.errors import InvalidSignalError, StreamError

__all__ = ["check_chunk"]


def check_chunk(chunk: ArrayLike, *, start: int | None, position: int, ended: bool) -> NDArray[np.float32]:
    """Return the samples of a chunk that continues the stream of one lead.

    Parameters
    ----------
    chunk : array_like of shape (n,) or (n, 1)
        Samples in any unit; NaN is missing data.
    start : int, optional
        Where the caller believes the chunk to start.
    position : int
        Where the stream stands.
    ended : bool
        Whether the stream has been flushed.

    Returns
    -------
    samples : ndarray of float32, shape (n,)

    Raises
    ------
    StreamError
        If the stream has ended, or stands elsewhere than at `start`.
    InvalidSignalError
        If the chunk is not numeric, holds infinities or has several channels.
    """
    if ended:
        raise StreamError("push() after flush(): this stream has ended. Open a new one.")
    if start is not None and start != position:
        raise StreamError(
            f"Chunk starts at sample {start} but the stream is at {position}. "
            "Push every sample once and in order (NaN where samples are missing), or flush() and open a new stream."
        )
    samples = check_signals(chunk, name="chunk")
    if samples.shape[1] != 1:
        raise InvalidSignalError(
            f"chunk has shape {samples.shape}; expected one lead, (n,). Open one stream for each channel."
        )
    return samples[:, 0]
