"""Exact sums and maxima over all span labellings of a sequence of nodes.

Notation, for one sequence of n nodes and S states:

``total[t, y]``    prefix sum of the inside scores of state y over the nodes before t.
``fresh[i, y]``    log sum over everything before a new span of y that starts at i, minus ``total[i, y]``.
``chained[i, y]``  the same for a span that continues the maximal span of y before it.
``ended[j, y]``    log sum over everything up to a span of y that stops at j, its offset score included.

Subtracting `total` at the start and adding it at the stop makes the inside score of a span free. The middle of
span (i, j) is the smallest m with ``times[m] + times[m + 1] >= times[i] + times[j]``: the node nearest in time to
the centre, ties to the earlier, without rounding a centre; it is never j.
"""

import math

import numpy as np
from numba import njit

NEGLIGIBLE = -45.0  # exp(-45) = 3e-20: below the float64 rounding of a sum whose largest term is 1
MINUS_INFINITY = -np.inf

# Divisors are positive; numpy's error model leaves out the check for zero that costs a tenth of the time.
kernel = njit(cache=True, nogil=True, error_model="numpy")

# Type of rows in innermost loops: numba need not ask whether an unsigned index counts from the end.
ROW = np.uint64

# For kernels that make no array. Those of small steps spend a quarter of their time on numba's atomic reference counts.
borrowing_kernel = njit(cache=True, nogil=True, error_model="numpy", _nrt=False)


@kernel
def log_sum(terms, count, best):
    """Return log(sum(exp(terms[:count]))), where `best` is their maximum; the terms become exp(term - best)."""
    if best == MINUS_INFINITY:
        return best
    sum_ = 0.0
    for k in range(count):
        difference = terms[k] - best
        terms[k] = math.exp(difference) if difference > NEGLIGIBLE else 0.0
        sum_ += terms[k]
    return best + math.log(sum_)


@borrowing_kernel
def highest(values):
    """Return the largest of some values."""
    best = values[0]
    for value in values:
        best = max(best, value)
    return best


@borrowing_kernel
def spans_that_stop(j, times, cap, middles, lengths):
    """Fill middle and length of the spans (j - 1 - k, j), shortest first; return how many are at most `cap` long."""
    middle = j - 1
    k = 0
    for i in range(j - 1, -1, -1):
        length = times[j] - times[i]
        if length > cap and k > 0:
            break
        both = times[i] + times[j]
        while middle > i and times[middle - 1] + times[middle] >= both:
            middle -= 1
        middles[k] = middle
        lengths[k] = length
        k += 1
    return k


@kernel
def spans_that_start(i, times, cap, middles, lengths):
    """Fill middle and length of the spans (i, i + 1 + k), shortest first; return how many are at most `cap` long."""
    middle = i
    k = 0
    for j in range(i + 1, len(times)):
        length = times[j] - times[i]
        if length > cap and k > 0:
            break
        both = times[i] + times[j]
        while times[middle] + times[middle + 1] < both:
            middle += 1
        middles[k] = middle
        lengths[k] = length
        k += 1
    return k


@kernel
def short_enough(lengths, n_spans, longest, continues):
    """Return how many of some spans, shortest first, a state may take: the shortest of all if it continues."""
    count = 0
    while count < n_spans and (lengths[count] <= longest or (count == 0 and continues)):
        count += 1
    return count


@kernel
def open_row(j, inside, allowed, total, fresh, chained, barrier):
    """Prepare row j: at the first node the start of every state, later the prefix sums and barriers."""
    for y in range(total.shape[1]):
        if j == 0:
            total[0, y] = 0.0
            fresh[0, y] = 0.0
            chained[0, y] = MINUS_INFINITY
            barrier[y] = 0
        else:
            total[j, y] = total[j - 1, y] + inside[j - 1, y]
            if not (allowed[j - 1] >> y) & 1:
                barrier[y] = j  # no span of y may cover interval j - 1


@kernel
def forward(
    inside, onset, offset, middle, times, allowed, longest, continues, transition, self_transition, duration,
    total, fresh, chained, ended, terms, links, middles, lengths, barrier,
):  # fmt: skip
    """Fill `total`, `fresh`, `chained` and `ended` of one sequence; return log Z."""
    n_nodes, n_states = inside.shape
    n_bins = duration.shape[1]
    cap = longest.max()
    for y in range(n_states):
        total[0, y] = 0.0
        fresh[0, y] = 0.0
        chained[0, y] = MINUS_INFINITY
        barrier[y] = 0
    for j in range(1, n_nodes):
        last = j == n_nodes - 1
        n_spans = spans_that_stop(j, times, cap, middles, lengths)
        for y in range(n_states):
            total[j, y] = total[j - 1, y] + inside[j - 1, y]
            if not (allowed[j - 1] >> y) & 1:
                barrier[y] = j  # no span of y may cover interval j - 1
            count = short_enough(lengths, min(n_spans, j - barrier[y]), longest[y], continues[y])
            per_second = n_bins / longest[y]
            best = MINUS_INFINITY
            n_links = 0
            best_link = MINUS_INFINITY
            if not continues[y]:
                for k in range(count):
                    terms[k] = fresh[ROW(j - 1 - k), ROW(y)] + middle[ROW(middles[k]), ROW(y)]
                    if k < j - 1 and not last:
                        terms[k] += duration[ROW(y), ROW(min(n_bins - 1, int(lengths[k] * per_second)))]
                    best = max(best, terms[k])
            else:
                for k in range(count):
                    row = ROW(j - 1 - k)
                    score = middle[ROW(middles[k]), ROW(y)]
                    new = fresh[row, ROW(y)] + score
                    linked = chained[row, ROW(y)] + score
                    if not last and times[j + 1] - times[row] > longest[y]:
                        links[n_links] = new
                        links[n_links + 1] = linked
                        best_link = max(best_link, new, linked)
                        n_links += 2
                    if k < j - 1 and not last:
                        new += duration[ROW(y), ROW(min(n_bins - 1, int(lengths[k] * per_second)))]
                    terms[2 * k] = new
                    terms[2 * k + 1] = linked
                    best = max(best, new, linked)
                count *= 2
            ended[j, y] = log_sum(terms, count, best) + total[j, y]
            chained[j, y] = log_sum(links, n_links, best_link) + self_transition[y]
            if not last:
                ended[j, y] += offset[j, y]
        if last:
            break
        for y in range(n_states):
            best = MINUS_INFINITY
            for before in range(n_states):
                terms[before] = ended[j, before] + transition[before, y]
                best = max(best, terms[before])
            fresh[j, y] = log_sum(terms, n_states, best) + onset[j, y] - total[j, y]
    best = MINUS_INFINITY
    for y in range(n_states):
        terms[y] = ended[n_nodes - 1, y]
        best = max(best, terms[y])
    return log_sum(terms, n_states, best)


@kernel
def share_out(probability, terms, count, i, y, middles, covered, n_offset, n_middle):
    """Count the spans of y from i, in proportion to `terms`: ``terms[count]`` is the longest one, continued."""
    state = ROW(y)
    for k in range(count):
        share = probability * terms[k]
        stop = ROW(i + 1 + k)
        covered[stop, state] -= share
        n_middle[ROW(middles[k]), state] += share
        n_offset[stop, state] += share
    share = probability * terms[count]
    if share > 0.0:
        covered[i + count, y] -= share
        n_middle[middles[count - 1], y] += share


@kernel
def backward(
    onset, offset, middle, times, allowed, longest, continues, transition, self_transition, duration,
    total, fresh, chained, ended, log_z, stopping, linking, covered, begin, terms, links, middles, lengths, barrier,
    n_inside, n_onset, n_offset, n_middle, n_transition, n_self_transition, n_duration,
):  # fmt: skip
    """Add the expected counts of one sequence to the ``n_`` arrays.

    ``stopping[j, y]`` is the log sum over everything after a span of y that stops at j, plus its offset score and
    ``total[j, y]``; ``linking[j, y]`` the same where the span is continued at j; ``begin[y]`` the log sum over
    everything from a new span of y at the present node on. `covered` holds starts minus stops of spans at each node,
    ``barrier[y]`` the next interval that no span of y may cover.
    """
    n_nodes, n_states = onset.shape
    n_bins = duration.shape[1]
    cap = longest.max()
    covered[:n_nodes] = 0.0
    for y in range(n_states):
        stopping[n_nodes - 1, y] = total[n_nodes - 1, y]
        barrier[y] = n_nodes
    for i in range(n_nodes - 2, -1, -1):
        n_spans = spans_that_start(i, times, cap, middles, lengths)
        n_timed = n_nodes - 2 - i if i > 0 else 0  # that have a duration: uncut at either end
        for y in range(n_states):
            begin[y] = MINUS_INFINITY
            linking[i, y] = MINUS_INFINITY
            if not (allowed[i] >> y) & 1:
                barrier[y] = i
            if fresh[i, y] == MINUS_INFINITY and chained[i, y] == MINUS_INFINITY:
                continue
            count = short_enough(lengths, min(n_spans, barrier[y] - i), longest[y], continues[y])
            if count == 0:
                continue
            state = ROW(y)
            per_second = n_bins / longest[y]
            best = MINUS_INFINITY
            best_link = MINUS_INFINITY
            continued = MINUS_INFINITY
            for k in range(count):
                link = stopping[ROW(i + 1 + k), state] + middle[ROW(middles[k]), state]
                links[k] = link
                best_link = max(best_link, link)
                if k < n_timed:
                    link += duration[state, ROW(min(n_bins - 1, int(lengths[k] * per_second)))]
                terms[k] = link
                best = max(best, link)
            if continues[y]:
                for k in range(count):
                    j = i + 1 + k
                    if j < n_nodes - 1 and times[j + 1] - times[i] > longest[y]:
                        continued = linking[j, y] + middle[middles[k], y]
            if chained[i, y] > MINUS_INFINITY:
                links[count] = continued
                best_link = max(best_link, continued)
                log_after = log_sum(links, count + 1, best_link)
                linking[i, y] = log_after + self_transition[y]
                log_probability = chained[i, y] + log_after - log_z
                if log_probability > NEGLIGIBLE:
                    covered[i, y] += math.exp(log_probability)
                    n_self_transition[y] += math.exp(log_probability)
                    probability = math.exp(chained[i, y] + best_link - log_z)
                    share_out(probability, links, count, i, y, middles, covered, n_offset, n_middle)
            if fresh[i, y] > MINUS_INFINITY:
                terms[count] = continued
                best = max(best, continued)
                log_after = log_sum(terms, count + 1, best)
                begin[y] = onset[i, y] + log_after - total[i, y]
                log_probability = fresh[i, y] + log_after - log_z
                if log_probability > NEGLIGIBLE:
                    covered[i, y] += math.exp(log_probability)
                    probability = math.exp(fresh[i, y] + best - log_z)
                    share_out(probability, terms, count, i, y, middles, covered, n_offset, n_middle)
                    if i > 0:
                        n_onset[i, y] += math.exp(log_probability)
                        for k in range(min(count, n_timed)):
                            which = ROW(min(n_bins - 1, int(lengths[k] * per_second)))
                            n_duration[state, which] += probability * terms[k]
        if i == 0:
            break
        for before in range(n_states):
            best = MINUS_INFINITY
            for y in range(n_states):
                terms[y] = transition[before, y] + begin[y]
                best = max(best, terms[y])
                log_probability = ended[i, before] + terms[y] - log_z
                if log_probability > NEGLIGIBLE:
                    n_transition[before, y] += math.exp(log_probability)
            stopping[i, before] = log_sum(terms, n_states, best) + offset[i, before] + total[i, before]
    n_offset[n_nodes - 1] = 0.0
    for y in range(n_states):
        occupancy = 0.0
        for t in range(n_nodes - 1):
            occupancy += covered[t, y]
            n_inside[t, y] = min(max(occupancy, 0.0), 1.0)


@kernel
def expectations(
    inside, onset, offset, middle, times, bounds, first, last, allowed, longest, continues, transition, self_transition,
    duration, lattice, row, integers, log_z,
    n_inside, n_onset, n_offset, n_middle, n_transition, n_self_transition, n_duration,
):  # fmt: skip
    """Run forward-backward over sequences `first` to `last` of the stacked nodes.

    Buffers for the longest sequence of m nodes: `lattice` (7, m, S), `row` (4, 2 m + 2 S + 2), `integers` (2, m + S).
    The counts must be zero on entry. A sequence without any labelling gets log Z = −inf and no counts.
    """
    for s in range(first, last):
        a, b = bounds[s], bounds[s + 1]
        log_z[s] = forward(
            inside[a:b], onset[a:b], offset[a:b], middle[a:b], times[a:b], allowed[a:b], longest, continues,
            transition, self_transition, duration,
            lattice[0], lattice[1], lattice[2], lattice[3], row[0], row[1], integers[0], row[2], integers[1],
        )  # fmt: skip
        if log_z[s] == MINUS_INFINITY:
            continue
        backward(
            onset[a:b], offset[a:b], middle[a:b], times[a:b], allowed[a:b], longest, continues,
            transition, self_transition, duration, lattice[0], lattice[1], lattice[2], lattice[3], log_z[s],
            lattice[4], lattice[5], lattice[6], row[3], row[0], row[1], integers[0], row[2], integers[1],
            n_inside[a:b], n_onset[a:b], n_offset[a:b], n_middle[a:b],
            n_transition[s], n_self_transition[s], n_duration[s],
        )  # fmt: skip


def with_untimed(duration):
    """Append a bin of zeros to the log potentials of durations, shape (S, n_bins): that of spans without duration."""
    return np.append(duration, np.zeros((len(duration), 1)), axis=1)


@borrowing_kernel
def measure_spans(j, first, times, longest, continues, n_bins, lengths, back, bins, counts):
    """Note what all passes over the spans (j - 1 - k, j) need; `first` is the first row of the stretch, or negative.

    ``counts[y]`` spans, shortest first, are short enough for state y; ``bins[k, y]`` is the duration bin of each,
    `n_bins` for one that has no duration because it starts the stretch; its middle lies ``back[k]`` rows before j.
    """
    n_spans = spans_that_stop(j, times, highest(longest), back, lengths)
    for k in range(n_spans):
        back[k] = j - back[k]
    for y in range(longest.size):
        per_second = n_bins / longest[y]
        count = 0
        while count < n_spans and (lengths[count] <= longest[y] or (count == 0 and continues[y])):
            bins[count, y] = min(n_bins - 1, int(lengths[count] * per_second))
            count += 1
        if first >= 0 and count == j - first:
            bins[count - 1, y] = n_bins
        counts[y] = count


@borrowing_kernel
def first_link(j, y, count, times, longest):
    """Return the first of the `count` spans of y stopping at row j that is maximal: the next row is too far for it."""
    k = count
    while k > 0 and times[j + 1] - times[j - k] > longest[y]:
        k -= 1
    return k


@borrowing_kernel
def best_arcs(
    j, first, end, oldest, last, back, bins, counts, offset, middle, times, longest, continues, self_transition,
    duration, total, fresh, chained, ended, started, linked,
):  # fmt: skip
    """Find the best spans of states `first` to `end` − 1 that stop, and that are continued, at row j.

    None starts before row `oldest`. States are looped over here: to hand over twenty arrays costs as much as a state.
    `back`, `bins` and `counts` are those of `measure_spans` for row j. ``duration[y, n_bins]`` is zero.
    ``started[j, y]`` and ``linked[j, y]`` get the start i of either: ``2 i`` for a new span, ``2 i + 1`` for one that
    continues the span before it, −1 where there is none.
    """
    untimed = duration.shape[1] - 1
    for y in range(first, end):
        goes_on = continues[y]
        best = MINUS_INFINITY
        start = -1
        count = min(counts[y], j - oldest)
        for k in range(count):
            i = j - 1 - k
            row = ROW(i)
            score = middle[ROW(j - back[k]), y]
            term = fresh[row, y] + score + duration[y, untimed if last else bins[k, y]]
            if term > best:
                best = term
                start = 2 * i
            if goes_on and chained[row, y] + score > best:
                best = chained[row, y] + score
                start = 2 * i + 1
        started[j, y] = start
        linked[j, y] = -1
        ended[j, y] = best + total[j, y]
        if last:
            continue
        ended[j, y] += offset[j, y]
        best = MINUS_INFINITY
        if goes_on:
            for k in range(first_link(j, y, count, times, longest), count):
                i = j - 1 - k
                score = middle[j - back[k], y]
                if fresh[i, y] + score > best:
                    best = fresh[i, y] + score
                    linked[j, y] = 2 * i
                if chained[i, y] + score > best:
                    best = chained[i, y] + score
                    linked[j, y] = 2 * i + 1
        chained[j, y] = best + self_transition[y]


@borrowing_kernel
def best_starts(j, onset, transition, total, fresh, ended, before):
    """Find the best state ``before[j, y]`` before a new span of each state y at j."""
    n_states = total.shape[1]
    for y in range(n_states):
        best = MINUS_INFINITY
        before[j, y] = -1
        for previous in range(n_states):
            term = ended[j, previous] + transition[previous, y]
            if term > best:
                best = term
                before[j, y] = previous
        fresh[j, y] = best + onset[j, y] - total[j, y]


@kernel
def best_path(
    inside, onset, offset, middle, times, allowed, longest, continues, transition, self_transition, duration,
    total, fresh, chained, ended, before, started, linked, lengths, back, bins, counts, barrier, start, stop, state,
):  # fmt: skip
    """Fill start, stop and state of the best labelling, chains merged; return its score and number of spans."""
    n_nodes, n_states = inside.shape
    for j in range(n_nodes):
        open_row(j, inside, allowed, total, fresh, chained, barrier)
        if j == 0:
            continue
        last = j == n_nodes - 1
        measure_spans(j, 0, times, longest, continues, duration.shape[1] - 1, lengths, back, bins, counts)
        for y in range(n_states):
            best_arcs(
                j, y, y + 1, barrier[y], last, back, bins, counts, offset, middle, times, longest, continues,
                self_transition, duration, total, fresh, chained, ended, started, linked,
            )  # fmt: skip
        if not last:
            best_starts(j, onset, transition, total, fresh, ended, before)
    j = n_nodes - 1
    y = int(np.argmax(ended[j]))
    score = ended[j, y]
    count = 0
    while j > 0 and score > MINUS_INFINITY:
        stop[count] = j
        state[count] = y
        arc = started[j, y]
        while arc & 1:
            arc = linked[arc >> 1, y]
        j = arc >> 1
        start[count] = j
        y = before[j, y] if j > 0 else y
        count += 1
    start[:count] = start[:count][::-1].copy()
    stop[:count] = stop[:count][::-1].copy()
    state[:count] = state[:count][::-1].copy()
    return score, count


@kernel
def best_paths(
    inside, onset, offset, middle, times, bounds, first, last, allowed, longest, continues, transition, self_transition,
    duration, lattice, arcs, lengths, back, bins, counts, barrier, score, start, stop, state, n_spans,
):  # fmt: skip
    """Run Viterbi over sequences `first` to `last`; the spans of each lie from its first node on.

    Durations end with a bin of zeros. Buffers for the longest sequence of m nodes: `lattice` (4, m, S); of int64
    `arcs` (3, m, S), `back` (m,), `counts` and `barrier` (S,); `lengths` (m,); of int16 `bins` (m, S).
    """
    for s in range(first, last):
        a, b = bounds[s], bounds[s + 1]
        score[s], n_spans[s] = best_path(
            inside[a:b], onset[a:b], offset[a:b], middle[a:b], times[a:b], allowed[a:b], longest, continues,
            transition, self_transition, duration, lattice[0], lattice[1], lattice[2], lattice[3],
            arcs[0], arcs[1], arcs[2], lengths, back, bins, counts, barrier, start[a:b], stop[a:b], state[a:b],
        )  # fmt: skip
