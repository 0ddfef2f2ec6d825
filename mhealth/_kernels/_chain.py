"""Exact sums and maxima over the state sequences of a linear chain.

Items are the intervals between neighbouring nodes: a sequence of n nodes has n − 1; the row of its last node is
skipped.
Log domain, float64: ``before[t, y]`` is the log sum over everything up to item t in state y, its own score included,
``after[t, y]`` that over everything behind it.
"""

import math

import numpy as np
from numba import njit

NEGLIGIBLE = -45.0  # exp(-45) = 3e-20: below the float64 rounding of a sum whose largest term is 1


@njit(cache=True, nogil=True)
def log_sum_exp(terms):
    """Return log(sum(exp(terms)))."""
    best = terms.max()
    if best == -np.inf:
        return best
    sum_ = 0.0
    for term in terms:
        if term - best > NEGLIGIBLE:
            sum_ += math.exp(term - best)
    return best + math.log(sum_)


@njit(cache=True, nogil=True)
def forward(unary, allowed, transition, before, terms):
    """Fill `before` for the items of one sequence; return log Z."""
    n_items, n_states = unary.shape
    for t in range(n_items):
        for y in range(n_states):
            before[t, y] = unary[t, y]
            if not (allowed[t] >> y) & 1:
                before[t, y] = -np.inf
            elif t > 0:
                for previous in range(n_states):
                    terms[previous] = before[t - 1, previous] + transition[previous, y]
                before[t, y] += log_sum_exp(terms)
    return log_sum_exp(before[n_items - 1])


@njit(cache=True, nogil=True)
def backward(unary, allowed, transition, before, log_z, after, terms, n_unary, n_transition):
    """Add the expected counts of one sequence."""
    n_items, n_states = unary.shape
    for t in range(n_items - 1, -1, -1):
        for y in range(n_states):
            after[t, y] = 0.0
            if t < n_items - 1:
                for following in range(n_states):
                    terms[following] = -np.inf
                    if (allowed[t + 1] >> following) & 1:
                        terms[following] = transition[y, following] + unary[t + 1, following] + after[t + 1, following]
                    log_probability = before[t, y] + terms[following] - log_z
                    if log_probability > NEGLIGIBLE:
                        n_transition[y, following] += math.exp(log_probability)
                after[t, y] = log_sum_exp(terms)
            n_unary[t, y] = math.exp(before[t, y] + after[t, y] - log_z)


@njit(cache=True, nogil=True)
def expectations(
    unary, bounds, first, last, allowed, transition, before, after, terms, log_z, n_unary, n_transition,
):  # fmt: skip
    """Run forward-backward over sequences `first` to `last`.

    `before` and `after` have a row for each item of the longest sequence. The counts must be zero on entry; a
    sequence without any labelling gets log Z = −inf and no counts.
    """
    for s in range(first, last):
        a, b = bounds[s], bounds[s + 1] - 1
        log_z[s] = forward(unary[a:b], allowed[a:b], transition, before, terms)
        if log_z[s] > -np.inf:
            backward(
                unary[a:b], allowed[a:b], transition, before, log_z[s], after, terms, n_unary[a:b], n_transition[s]
            )  # fmt: skip


@njit(cache=True, nogil=True)
def best_states(unary, bounds, first, last, allowed, transition, best, came_from, score, state):
    """Run Viterbi over sequences `first` to `last`; `state` gets one entry an item, −1 where there is no labelling."""
    n_states = unary.shape[1]
    for s in range(first, last):
        a, n_items = bounds[s], bounds[s + 1] - 1 - bounds[s]
        for t in range(n_items):
            for y in range(n_states):
                best[t, y] = -np.inf
                came_from[t, y] = 0
                if not (allowed[a + t] >> y) & 1:
                    continue
                if t == 0:
                    best[t, y] = unary[a, y]
                    continue
                for previous in range(n_states):
                    if best[t - 1, previous] + transition[previous, y] > best[t, y]:
                        best[t, y] = best[t - 1, previous] + transition[previous, y]
                        came_from[t, y] = previous
                best[t, y] += unary[a + t, y]
        y = int(np.argmax(best[n_items - 1]))
        score[s] = best[n_items - 1, y]
        state[a : a + n_items] = -1
        if score[s] == -np.inf:
            continue
        for t in range(n_items - 1, -1, -1):
            state[a + t] = y
            y = came_from[t, y]
