"""Hypothesis strategies: how a recording may be cut into chunks, and what may befall it."""

from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

__all__ = ["chunkings", "cut", "damage", "damaged"]


def chunkings(n_samples: int, *, most: int = 12) -> st.SearchStrategy[list[int]]:
    """Return places to cut `n_samples` samples at, in order: empty chunks and a run of one-sample chunks included."""

    @st.composite
    def places(draw: st.DrawFn) -> list[int]:
        cuts = draw(st.lists(st.integers(0, n_samples), max_size=most))
        if draw(st.booleans()):
            cuts += cuts[:1] * 2
        start, length = draw(st.integers(0, n_samples)), draw(st.integers(0, 300))
        return sorted([*cuts, *range(start, min(start + length, n_samples + 1))])

    return places()


def cut(signals: np.ndarray, cuts: list[int]) -> list[np.ndarray]:
    """Cut samples, along the first axis, at these places."""
    return [signals[start:stop] for start, stop in pairwise([0, *cuts, len(signals)])]


def damage(seconds: float, n_channels: int) -> st.SearchStrategy[list[tuple[str, int, float, float]]]:
    """Return what befalls which channel from when, for how long: dropout, flat line, noise; from one sample to 4 s."""
    one = st.tuples(
        st.sampled_from(["dropout", "flat", "noise"]),
        st.integers(0, n_channels - 1),
        st.floats(0, seconds),
        st.one_of(st.just(0.0), st.floats(0, 0.2), st.floats(0, 4.0)),
    )
    return st.lists(one, max_size=6)


def damaged(signals: np.ndarray, fs: float, events: list[tuple[str, int, float, float]]) -> np.ndarray:
    """Return a copy of the samples to which this happened."""
    out = signals.copy()
    for kind, channel, start, length in events:
        part = out[int(start * fs) : int((start + length) * fs) + 1, channel]
        if not len(part):
            continue
        if kind == "dropout":
            part[:] = np.nan
        elif kind == "flat":
            part[:] = part[0]
        else:
            part += np.random.default_rng(len(part)).normal(0, 2, len(part)).astype(np.float32)
    return out
