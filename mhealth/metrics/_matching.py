"""One-to-one matching of found events to reference events, and membership in stretches."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.errors import InvalidParameterError

__all__ = ["match"]


def match(reference: ArrayLike, found: ArrayLike, tolerance: float) -> NDArray[np.int64]:
    """Pair reference and found positions one-to-one, nearest pair first.

    Among all pairs within `tolerance` the nearest is taken and both its members are used up, then the
    nearest of those left, and so on; equally near pairs are taken in the order of the reference, then of
    the found positions, as they were handed in. Positions need not be sorted. A smaller tolerance gives
    the pairs of a larger one that lie within it.

    Parameters
    ----------
    reference, found : array_like of shape (n_reference,), (n_found,)
        Positions in samples, or in any other unit.
    tolerance : float
        Largest distance of a pair, itself included, in the same unit.

    Returns
    -------
    pairs : ndarray of int64, shape (n_pairs, 2)
        Rows (index into `reference`, index into `found`), by increasing index into `reference`.

    Raises
    ------
    InvalidParameterError
        If positions are not 1-D and finite, or the tolerance is negative or NaN.

    Notes
    -----
    Costs O(n log n) plus the number of pairs within the tolerance; no distance matrix is built.

    Examples
    --------
    >>> match([100, 200], [190, 104, 98], tolerance=20).tolist()
    [[0, 2], [1, 0]]
    """
    reference, found = _positions(reference, "reference"), _positions(found, "found")
    if not tolerance >= 0:
        raise InvalidParameterError(
            f"tolerance={tolerance!r} must be a distance of at least 0, in the unit of positions."
        )
    order = np.argsort(found, kind="stable")
    # One unit wider than asked, so that rounding of `reference ± tolerance` loses no pair; the distance decides below.
    first = np.searchsorted(found[order], reference - (tolerance + 1), side="left")
    n_near = np.searchsorted(found[order], reference + (tolerance + 1), side="right") - first
    i = np.repeat(np.arange(len(reference)), n_near)
    place = np.arange(len(i)) - np.repeat(np.cumsum(n_near) - n_near, n_near)
    j = order[np.repeat(first, n_near) + place]
    distance = np.abs(reference[i] - found[j])
    near = distance <= tolerance
    i, j, distance = i[near], j[near], distance[near]

    # Pairs without a rival need no ordering; in practice that is nearly all of them.
    alone = (np.bincount(i, minlength=len(reference))[i] == 1) & (np.bincount(j, minlength=len(found))[j] == 1)
    taken = np.flatnonzero(alone).tolist()
    rivals = np.flatnonzero(~alone)
    used_reference, used_found = set(), set()
    for k in rivals[np.lexsort((j[rivals], i[rivals], distance[rivals]))].tolist():
        if i[k] not in used_reference and j[k] not in used_found:
            used_reference.add(i[k])
            used_found.add(j[k])
            taken.append(k)
    pairs = np.stack([i[taken], j[taken]], axis=1).astype(np.int64)
    return pairs[np.argsort(pairs[:, 0])]


def covered(positions: NDArray[np.int64], starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which positions lie in one of the half-open stretches, which may overlap."""
    begun = np.searchsorted(np.sort(starts), positions, side="right")
    ended = np.searchsorted(np.sort(stops), positions, side="right")
    return begun > ended


def within(positions: NDArray[np.int64], anchors: NDArray[np.int64], radius: float) -> NDArray[np.bool_]:
    """Return which positions lie at most `radius` from one of the anchors."""
    if not len(anchors):
        return np.zeros(len(positions), dtype=bool)
    anchors = np.sort(anchors)
    right = np.searchsorted(anchors, positions)
    before = np.abs(positions - anchors[np.maximum(right - 1, 0)])
    after = np.abs(positions - anchors[np.minimum(right, len(anchors) - 1)])
    return np.minimum(before, after) <= radius


def _positions(values: ArrayLike, name: str) -> NDArray[np.float64]:
    positions = np.asarray(values, dtype=np.float64)
    if positions.ndim != 1 or not np.isfinite(positions).all():
        raise InvalidParameterError(
            f"{name} has shape {positions.shape}, {np.count_nonzero(~np.isfinite(positions))} values not finite; "
            "expected a 1-D array of positions. Leave unknown points out."
        )
    return positions
