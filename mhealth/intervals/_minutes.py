"""What breathing was like in each minute."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MINUTE", "minutes_of"]

MINUTE = 60.0

_Range = tuple[NDArray[np.float64], NDArray[np.float64]]
_QUARTILES = {"q1": 0.25, "median": 0.5, "q3": 0.75}


def minutes_of(cycles: _Range, pauses: _Range, peak: NDArray[np.float64], measures: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each minute of one channel, from time 0 to the last of its points.

    Parameters
    ----------
    cycles : pair of ndarray of float64
        Onset and offset of every breath in s, NaN where unknown.
    pauses : pair of ndarray of float64
        Onset and offset of every pause in s.
    peak : ndarray of float64, shape (n_breaths,)
        Peak of every breath in s, NaN where unknown.
    measures : pandas.DataFrame
        Measures of every breath, breath_rate_bpm among them.

    Returns
    -------
    frame : pandas.DataFrame
        The columns of `Breaths.per_minute`, but for the channel.
    """
    import pandas as pd

    last = max(np.nanmax(times, initial=0.0) for times in (*cycles, *pauses, peak))
    minutes = np.arange(int(np.ceil(last / MINUTE)))
    edges = MINUTE * np.arange(len(minutes) + 1)

    whole = np.isfinite(cycles[0] + cycles[1])
    start, stop = cycles[0][whole], cycles[1][whole]
    breaths = np.diff(_spread(start, stop, np.ones(len(start)), edges))
    pause_s = np.diff(_spread(*pauses, pauses[1] - pauses[0], edges))
    covered_s = np.diff(_spread(start, stop, stop - start, edges)) + pause_s

    grouped = measures.groupby(np.floor(peak / MINUTE))  # leaves out breaths without a peak
    head = pd.DataFrame(
        {
            "minute": minutes,
            "n_breaths": grouped.size().reindex(minutes, fill_value=0).to_numpy(),
            "pause_s": pause_s,
            "covered_s": covered_s,
            "rate_bpm": MINUTE * breaths / np.where(covered_s > 0, covered_s, np.nan),
            "rate_sd_bpm": grouped["breath_rate_bpm"].std().reindex(minutes).to_numpy(),
        }
    )
    quartiles = [grouped.quantile(q).reindex(minutes).add_suffix(f"_{name}") for name, q in _QUARTILES.items()]
    names = [f"{measure}_{name}" for measure in measures for name in _QUARTILES]
    return pd.concat([head, *quartiles], axis=1).reindex(columns=[*head, *names])


def _spread(
    start: NDArray[np.floating], stop: NDArray[np.floating], amount: NDArray[np.floating], at: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return how much lies before each time, where each amount is spread evenly over its range, in order of time."""
    if not len(start):
        return np.zeros(len(at))
    times = np.maximum.accumulate(np.stack([start, stop], axis=1).ravel())  # someone's table may hold overlaps
    total = np.cumsum(amount)
    return np.interp(at, times, np.stack([total - amount, total], axis=1).ravel())
