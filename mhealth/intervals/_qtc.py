"""The QT interval at a heart rate of 60 beats per minute, by the four formulas in clinical use."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["qtc_bazett", "qtc_framingham", "qtc_fridericia", "qtc_hodges"]


def qtc_bazett(qt_ms: ArrayLike, rr_s: ArrayLike) -> NDArray[np.float64]:
    """Correct QT by the square root of RR: QT / √RR [1]_.

    Parameters
    ----------
    qt_ms : array_like
        QT intervals in ms.
    rr_s : array_like
        The RR intervals that precede them, in s; of a shape that broadcasts with `qt_ms`.

    Returns
    -------
    qtc_ms : ndarray of float64
        In ms; NaN where an interval is missing (NaN) or RR is not positive.

    References
    ----------
    .. [1] Bazett (1920). An analysis of the time-relations of electrocardiograms. Heart 7, 353-370.
    """
    return np.asarray(qt_ms, dtype=np.float64) / np.sqrt(_positive(rr_s))


def qtc_fridericia(qt_ms: ArrayLike, rr_s: ArrayLike) -> NDArray[np.float64]:
    """Correct QT by the cube root of RR: QT / ∛RR [1]_.

    Parameters
    ----------
    qt_ms : array_like
        QT intervals in ms.
    rr_s : array_like
        The RR intervals that precede them, in s; of a shape that broadcasts with `qt_ms`.

    Returns
    -------
    qtc_ms : ndarray of float64
        In ms; NaN where an interval is missing (NaN) or RR is not positive.

    References
    ----------
    .. [1] Fridericia (1920). Die Systolendauer im Elektrokardiogramm bei normalen Menschen und bei Herzkranken.
       Acta Medica Scandinavica 53, 469-486.
    """
    return np.asarray(qt_ms, dtype=np.float64) / np.cbrt(_positive(rr_s))


def qtc_framingham(qt_ms: ArrayLike, rr_s: ArrayLike) -> NDArray[np.float64]:
    """Correct QT linearly in RR: QT + 154 ms · (1 − RR / 1 s) [1]_.

    Parameters
    ----------
    qt_ms : array_like
        QT intervals in ms.
    rr_s : array_like
        The RR intervals that precede them, in s; of a shape that broadcasts with `qt_ms`.

    Returns
    -------
    qtc_ms : ndarray of float64
        In ms; NaN where an interval is missing (NaN) or RR is not positive.

    References
    ----------
    .. [1] Sagie, Larson, Goldberg, Bengtson, Levy (1992). An improved method for adjusting the QT interval for heart
       rate (the Framingham Heart Study). Am. J. Cardiol. 70(7), 797-801.
       https://doi.org/10.1016/0002-9149(92)90562-D
    """
    return np.asarray(qt_ms, dtype=np.float64) + 154 * (1 - _positive(rr_s))


def qtc_hodges(qt_ms: ArrayLike, rr_s: ArrayLike) -> NDArray[np.float64]:
    """Correct QT linearly in heart rate: QT + 1.75 ms · (rate / 1 bpm − 60) [1]_.

    Parameters
    ----------
    qt_ms : array_like
        QT intervals in ms.
    rr_s : array_like
        The RR intervals that precede them, in s; of a shape that broadcasts with `qt_ms`.

    Returns
    -------
    qtc_ms : ndarray of float64
        In ms; NaN where an interval is missing (NaN) or RR is not positive.

    References
    ----------
    .. [1] Hodges, Salerno, Erlien (1983). Bazett's QT correction reviewed: evidence that a linear QT correction for
       heart rate is better. J. Am. Coll. Cardiol. 1, 694.
    """
    return np.asarray(qt_ms, dtype=np.float64) + 1.75 * (60 / _positive(rr_s) - 60)


def _positive(rr_s: ArrayLike) -> NDArray[np.float64]:
    """Return RR with NaN where it is zero or negative."""
    rr = np.asarray(rr_s, dtype=np.float64)
    return np.where(rr > 0, rr, np.nan)
