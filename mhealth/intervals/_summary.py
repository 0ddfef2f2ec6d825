"""What is typical of each channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["summarise"]


def summarise(
    measures: Mapping[str, NDArray[np.float64]], channel: NDArray[np.int64], keys: Mapping[int, str]
) -> pd.DataFrame:
    """Return median and quartiles of every measure in every channel.

    Parameters
    ----------
    measures : mapping of str to ndarray, each of shape (n,)
        Values by name, NaN where missing.
    channel : ndarray of int64, shape (n,)
        The channel that each value is of.
    keys : mapping of int to str
        The channels to tell of, and what they are called.

    Returns
    -------
    frame : pandas.DataFrame
        A row for each channel and measure: channel, measure, n (values that are not missing), median, q1, q3, iqr
        (interquartile range), NaN where n is 0.
    """
    import pandas as pd

    rows = []
    for code, key in keys.items():
        for name, all_values in measures.items():
            values = all_values[channel == code]
            values = values[np.isfinite(values)]
            q1, median, q3 = np.quantile(values, [0.25, 0.5, 0.75]) if len(values) else (np.nan,) * 3
            rows.append((key, name, len(values), median, q1, q3, q3 - q1))
    return pd.DataFrame(rows, columns=["channel", "measure", "n", "median", "q1", "q3", "iqr"])
