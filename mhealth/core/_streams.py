"""What streams share: the struct of their state, and checks when they are pushed on and when they end."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.core._checks import check_signals
from mhealth.errors import StreamError

__all__ = ["check_chunk", "check_flush", "new_state"]


def check_chunk(
    chunk: ArrayLike, *, n_channels: int, start: int | None, position: int, ended: bool
) -> NDArray[np.float32]:
    """Return the samples of a chunk that continues a stream.

    Parameters
    ----------
    chunk : array_like of shape (n, n_channels), or (n,) for one channel
        Samples in any unit; NaN is missing data.
    n_channels : int
        The channels that the stream was opened for.
    start : int, optional
        Where the caller believes the chunk to start.
    position : int
        Where the stream stands.
    ended : bool
        Whether the stream has been flushed.

    Returns
    -------
    samples : ndarray of float32, shape (n, n_channels)

    Raises
    ------
    StreamError
        If the stream has ended, or stands elsewhere than at `start`.
    InvalidSignalError
        If the chunk is not numeric, holds infinities or has another number of channels.
    """
    if ended:
        raise StreamError("push() after flush(): this stream has ended. Open a new one.")
    if start is not None and start != position:
        raise StreamError(
            f"Chunk starts at sample {start} but the stream is at {position}: {abs(start - position)} samples "
            f"{'missing' if start > position else 'repeated'}. Push every sample once and in order (NaN where samples "
            "are missing), or flush() and open a new stream."
        )
    return check_signals(chunk, n_channels=n_channels, name="chunk")


def check_flush(*, ended: bool) -> None:
    """Complain if a stream that is to end has ended already.

    Parameters
    ----------
    ended : bool
        Whether the stream has been flushed.

    Raises
    ------
    StreamError
        If it has.
    """
    if ended:
        raise StreamError("flush() after flush(): this stream has ended. Open a new one.")


def new_state(dtype: np.dtype, **values: float) -> np.recarray:
    """Return the state of a stream as kernels take it.

    Parameters
    ----------
    dtype : numpy.dtype
        Struct of the state.
    **values : int or float
        Fields to set; all others are zero.

    Returns
    -------
    state : recarray of shape (1,)
        Kernels work on ``state[0]``, whose fields are attributes, compiled or not.
    """
    state = np.recarray(1, dtype=dtype)
    state.fill(0)
    for name, value in values.items():
        state[name] = value
    return state
