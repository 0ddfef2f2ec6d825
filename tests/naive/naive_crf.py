"""Conditional random fields by enumerating every labelling. Imports nothing from mhealth."""

import itertools
import math
from collections import defaultdict


def span_labellings(times, grammar, allowed=None):
    """Yield every labelling as a list of (i, j, y, continues the span before, is continued by the next).

    `grammar` is a dict: n_states, transitions (set of index pairs), longest, continues (set of indices).
    """
    n = len(times)

    def may_cover(i, j, y):
        if allowed is not None and any(not (allowed[t] >> y) & 1 for t in range(i, j)):
            return False
        return times[j] - times[i] <= grammar["longest"][y] or (y in grammar["continues"] and j == i + 1)

    def jmax(i, y):
        return max([i + 1] + [j for j in range(i + 1, n) if times[j] - times[i] <= grammar["longest"][y]])

    def extend(done, i, states, chain):
        if i == n - 1:
            yield done
            return
        for y in states:
            for j in range(i + 1, n):
                if not may_cover(i, j, y):
                    continue
                after = [z for z in range(grammar["n_states"]) if (y, z) in grammar["transitions"]]
                yield from extend([*done, (i, j, y, chain, False)], j, after, False)
                if y in grammar["continues"] and j == jmax(i, y) and j < n - 1:
                    yield from extend([*done, (i, j, y, chain, True)], j, [y], True)

    yield from extend([], 0, range(grammar["n_states"]), False)


def features(labelling, times, grammar):
    """Return {name of a score: how often it counts} of a labelling."""
    n = len(times)
    counts = defaultdict(int)
    before = None
    for i, j, y, chain, goes_on in labelling:
        for t in range(i, j):
            counts["inside", t, y] += 1
        centre = (times[i] + times[j]) / 2
        middle = min(range(i, j + 1), key=lambda m: (abs(times[m] - centre), m))
        counts["middle", middle, y] += 1
        if i > 0 and not chain:
            counts["onset", i, y] += 1
            counts["transition", before, y] += 1
        if chain:
            counts["self_transition", y] += 1
        if j < n - 1 and not goes_on:
            counts["offset", j, y] += 1
        if i > 0 and j < n - 1 and not chain and not goes_on:
            n_bins = grammar["n_bins"]
            counts["duration", y, min(n_bins - 1, int((times[j] - times[i]) / grammar["longest"][y] * n_bins))] += 1
        before = y
    return counts


def span_sums(scores, times, grammar, allowed=None):
    """Return log Z, expected counts, the best score and its spans (chains merged), from all labellings."""
    tables = []
    for labelling in span_labellings(times, grammar, allowed):
        counts = features(labelling, times, grammar)
        score = math.fsum(number * scores[name[0]][name[1:]] for name, number in counts.items())
        tables.append((score, counts, labelling))
    if not tables:
        return -math.inf, {}, -math.inf, []
    best, _, labelling = max(tables, key=lambda table: table[0])
    log_z = best + math.log(math.fsum(math.exp(score - best) for score, _, _ in tables))
    expected = defaultdict(float)
    for score, counts, _ in tables:
        for name, number in counts.items():
            expected[name] += number * math.exp(score - log_z)
    spans = []
    for i, j, y, chain, _ in labelling:
        if chain:
            spans[-1] = (spans[-1][0], j, y)
        else:
            spans.append((i, j, y))
    return log_z, expected, best, spans


def chain_sums(unary, transition, allowed=None):
    """Return log Z, expected counts of states and transitions, the best score and its states.

    `unary` has a row for each item; ``transition[before][after]`` may be −inf.
    """
    n, n_states = len(unary), len(unary[0])
    tables = []
    for states in itertools.product(range(n_states), repeat=n):
        if allowed is not None and any(not (allowed[t] >> y) & 1 for t, y in enumerate(states)):
            continue
        score = sum(unary[t][y] for t, y in enumerate(states))
        score += sum(transition[p][q] for p, q in itertools.pairwise(states))
        if score > -math.inf:
            tables.append((score, states))
    if not tables:
        return -math.inf, {}, -math.inf, ()
    best, best_states = max(tables)
    log_z = best + math.log(math.fsum(math.exp(score - best) for score, _ in tables))
    expected = defaultdict(float)
    for score, states in tables:
        for t, y in enumerate(states):
            expected["unary", t, y] += math.exp(score - log_z)
        for p, q in itertools.pairwise(states):
            expected["transition", p, q] += math.exp(score - log_z)
    return log_z, expected, best, best_states
