"""The window of a span lattice that a stream keeps: forward sums, best paths, and what is committed of them.

A *hypothesis* (i, y, c) is a span of y that starts at row i: c = 0 a new one, c = 1 one that continues the span before
it. An *arc* (j, y, c) is the best span of y that stops at row j (c = 0), or is continued there (c = 1); column
``2 y + c`` of a table holds either. The *root* is the last committed arc: the window's best paths all pass through it.
``branch`` is the first arc after the root on the best path to an arc, as ``row * 2 S + column``.

Best paths are found among log scores. Sums, which give probabilities but decide nothing, are kept as plain numbers,
six times faster: ``mass[i, column]`` is the sum over everything before a hypothesis, divided by a factor of row i;
``growth[t, y]`` is exp(inside[t, y]) times the factor of row t over that of row t + 1. What differs by a factor beyond
the range of float64, 1e±300, within one window gets probability zero.

numba notices a change of this file, but not of `_span.py`: after changing that one, touch this one too.
Buffers are passed as the tuples that `mhealth.crf._stream` makes, in the order in which they are unpacked here;
``odds`` holds what ``structure`` does, with exponentials of the scores.
"""

import math

from mhealth._kernels._span import (
    MINUS_INFINITY,
    best_arcs,
    best_starts,
    best_step,
    duration_bin,
    kernel,
    spans_that_start,
    spans_that_stop,
)

# Where the stream's marks lie: the first row of the stretch (−1: no longer in the window), the rows filled, the root's
# row and column (−1: the start of the stretch), spans that wait for their probability, spans and intervals handed over.
FIRST, FILLED, ROOT_ROW, ROOT_COLUMN, N_WAITING, N_OUT, N_INTERVALS = range(7)

SMALLEST = 1e-280  # of a sum, relative to the row before: leaves room for sums over a window


@kernel
def last_arc_column(i, y, chain, before):
    """Return the column of the arc, at row i, that precedes hypothesis (i, y, chain)."""
    return 2 * y + 1 if chain else 2 * before[i, y]


@kernel
def label_row(j, root, before, started, linked, branch):
    """Fill the branches of the arcs at row j, −1 for those that pass the root by."""
    n_columns = branch.shape[1]
    for column in range(n_columns):
        y = column >> 1
        arc = linked[j, y] if column & 1 else started[j, y]
        if arc >> 1 < root:
            branch[j, column] = -1
        elif arc >> 1 == root:
            branch[j, column] = j * n_columns + column
        else:
            branch[j, column] = branch[arc >> 1, last_arc_column(arc >> 1, y, arc & 1, before)]


@kernel
def restrict(newest, marks, structure, unaries, times, best, arcs, branch, kept, scratch):
    """Make every best path of the window pass through the root.

    Those that do so already keep their values bit for bit: a maximum over fewer paths that still holds the best one is
    the same.
    """
    longest, continues, transition, self_transition, duration = structure
    onset, offset, middle = unaries
    total, fresh, chained, ended = best
    before, started, linked = arcs
    lengths, middles, barrier = scratch
    n_states = total.shape[1]
    root = marks[ROOT_ROW]
    barrier[:] = root
    state, chain = marks[ROOT_COLUMN] >> 1, marks[ROOT_COLUMN] & 1
    for y in range(n_states):
        kept[root, 2 * y] = not chain and before[root, y] == state
        kept[root, 2 * y + 1] = chain and y == state
        before[root, y] = state
        fresh[root, y] = MINUS_INFINITY
        if not chain:
            fresh[root, y] = ended[root, state] + transition[state, y] + onset[root, y] - total[root, y]
        if not kept[root, 2 * y + 1]:
            chained[root, y] = MINUS_INFINITY
    for j in range(root + 1, newest):
        n_spans = 0
        for y in range(n_states):
            # An arc that was impossible stays so.
            stops, goes_on = started[j, y], linked[j, y]
            stop_kept = stops < 0 or (stops >> 1 >= root and kept[stops >> 1, 2 * y + (stops & 1)])
            link_kept = goes_on < 0 or (goes_on >> 1 >= root and kept[goes_on >> 1, 2 * y + (goes_on & 1)])
            branch[j, 2 * y] = stop_kept  # for the moment
            kept[j, 2 * y + 1] = link_kept
            if stop_kept and link_kept:
                continue
            if n_spans == 0:
                n_spans = spans_that_stop(j, times, longest.max(), middles, lengths)
            best_arcs(
                j, y, y + 1, marks[FIRST], False, n_spans, offset, middle, times, longest, continues, self_transition,
                duration, total, fresh, chained, ended, started, linked, middles, lengths, barrier,
            )  # fmt: skip
        for y in range(n_states):
            kept[j, 2 * y] = before[j, y] >= 0 and branch[j, 2 * before[j, y]] == 1
        if n_spans > 0:
            best_starts(j, onset, transition, total, fresh, ended, before)
        label_row(j, root, before, started, linked, branch)


@kernel
def shared_branch(newest, marks, structure, times, best, arcs, branch):
    """Return the first arc that the best paths to all hypotheses that may cover the newest interval share, or −1."""
    longest, continues, _, _, _ = structure
    _, fresh, chained, _ = best
    before, _, _ = arcs
    root = marks[ROOT_ROW]
    cap = longest.max()
    oldest = newest - 1
    while oldest > root and times[newest] - times[oldest - 1] <= cap:
        oldest -= 1
    shared = -1
    for i in range(oldest, newest):
        for y in range(len(longest)):
            if times[newest] - times[i] > longest[y] and not (continues[y] and i == newest - 1):
                continue
            for chain in range(2):
                if (chained[i, y] if chain else fresh[i, y]) == MINUS_INFINITY:
                    continue
                if i == root:
                    return -1
                found = branch[i, last_arc_column(i, y, chain, before)]
                if shared == -1:
                    shared = found
                elif found != shared:
                    return -1
    return shared


@kernel
def commit(j, column, marks, arcs, waiting):
    """Append the arc at row j to the spans that wait, and make it the root; the arc must follow the root."""
    _, started, linked = arcs
    y = column >> 1
    arc = linked[j, y] if column & 1 else started[j, y]
    k = marks[N_WAITING]
    waiting[k, 0] = arc >> 1
    waiting[k, 1] = j
    waiting[k, 2] = y
    waiting[k, 3] = arc & 1
    marks[N_WAITING] = k + 1
    marks[ROOT_ROW] = j
    marks[ROOT_COLUMN] = column


@kernel
def commit_path(newest, latest, marks, structure, unaries, times, best, arcs, waiting, path, scratch):
    """Commit the spans of the best path that stop at `latest` seconds or before; return whether there are any.

    The best path is that of a stretch that ends at row `newest`.
    """
    longest, continues, transition, self_transition, duration = structure
    onset, offset, middle = unaries
    total, fresh, chained, ended = best
    before, started, linked = arcs
    lengths, middles, barrier = scratch
    barrier[:] = marks[ROOT_ROW]
    best_step(
        newest, marks[FIRST], True, onset, offset, middle, times, longest, continues, transition, self_transition,
        duration, total, fresh, chained, ended, before, started, linked, middles, lengths, barrier,
    )  # fmt: skip
    y = ended[newest].argmax()
    j = newest
    column = 2 * y
    count = 0
    while j > marks[ROOT_ROW]:
        if times[j] <= latest:
            path[count, 0] = j
            path[count, 1] = column
            count += 1
        arc = linked[j, column >> 1] if column & 1 else started[j, column >> 1]
        j = arc >> 1
        if j > marks[ROOT_ROW]:
            column = last_arc_column(j, column >> 1, arc & 1, before)
    for k in range(count - 1, -1, -1):
        commit(path[k, 0], path[k, 1], marks, arcs, waiting)
    return count > 0


@kernel
def sum_spans(j, last, marks, odds, factors, times, sums, reached, scratch):
    """Sum over the spans that stop at row j; unless it is the last one, also fill its masses and factor."""
    longest, continues, transition, self_transition, duration = odds
    onset, offset, middle = factors
    mass, growth = sums
    lengths, middles, _ = scratch
    n_states, n_bins = duration.shape
    n_spans = spans_that_stop(j, times, longest.max(), middles, lengths)
    for y in range(n_states):
        stopped = 0.0
        linked = 0.0
        inside = 1.0
        for k in range(n_spans):
            if lengths[k] > longest[y] and (k > 0 or not continues[y]):
                break
            i = j - 1 - k
            inside *= growth[i, y]
            span = inside * middle[middles[k], y]
            chained = mass[i, 2 * y + 1]
            if last or i == marks[FIRST]:
                stopped += span * (mass[i, 2 * y] + chained)
            else:
                stopped += span * (mass[i, 2 * y] * duration[y, duration_bin(lengths[k], longest[y], n_bins)] + chained)
                if continues[y] and times[j + 1] - times[i] > longest[y]:
                    linked += span * (mass[i, 2 * y] + chained)
        reached[y] = stopped
        if not last:
            reached[y] *= offset[j, y]
            mass[j, 2 * y + 1] = linked * self_transition[y]
    if last:
        return
    largest = 0.0
    for y in range(n_states):
        before = 0.0
        for previous in range(n_states):
            before += reached[previous] * transition[previous, y]
        mass[j, 2 * y] = before * onset[j, y]
        largest = max(largest, mass[j, 2 * y], mass[j, 2 * y + 1])
    if not (SMALLEST < largest < 1.0 / SMALLEST):
        # Beyond the range of float64: the sums start anew.
        largest = 1.0
        for y in range(n_states):
            mass[j, 2 * y] = 1.0
            mass[j, 2 * y + 1] = 0.0
    for y in range(n_states):
        mass[j, 2 * y] /= largest
        mass[j, 2 * y + 1] /= largest
        growth[j - 1, y] /= largest


@kernel
def look_back(newest, marks, odds, factors, times, sums, ahead, waiting, begin, scratch):
    """Sum over everything after each row back to the first waiting span, in a stretch that ends at `newest`.

    ``stopping[j, y]`` is the sum after a span of y that stops at j, ``linking[j, y]`` after one that is continued
    there; their products with masses, growths and factors are probabilities.
    """
    longest, continues, transition, self_transition, duration = odds
    onset, offset, middle = factors
    _, growth = sums
    stopping, linking = ahead
    lengths, middles, _ = scratch
    n_states, n_bins = duration.shape
    sum_spans(newest, True, marks, odds, factors, times, sums, begin, scratch)
    everything = begin.sum()
    stopping[newest] = 1.0 / everything if everything > 0.0 else 0.0
    for i in range(newest - 1, waiting[0, 0], -1):
        n_spans = spans_that_start(i, times[: newest + 1], longest.max(), middles, lengths)
        for y in range(n_states):
            after = 0.0
            after_link = 0.0
            inside = 1.0
            for k in range(n_spans):
                if lengths[k] > longest[y] and (k > 0 or not continues[y]):
                    break
                j = i + 1 + k
                inside *= growth[j - 1, y]
                span = inside * middle[middles[k], y]
                if j == newest:
                    after += span * stopping[j, y]
                    after_link += span * stopping[j, y]
                    continue
                goes_on = linking[j, y] if continues[y] and times[j + 1] - times[i] > longest[y] else 0.0
                after_link += span * (stopping[j, y] + goes_on)
                after += span * (stopping[j, y] * duration[y, duration_bin(lengths[k], longest[y], n_bins)] + goes_on)
            begin[y] = after * onset[i, y]
            linking[i, y] = after_link * self_transition[y]
        for previous in range(n_states):
            after = 0.0
            for y in range(n_states):
                after += transition[previous, y] * begin[y]
            stopping[i, previous] = after * offset[i, previous]


@kernel
def occupy(start, stop, y, newest, marks, odds, middle, times, sums, ahead, occupancy, scratch):
    """Fill the probability of state y in each interval from row `start` to row `stop`."""
    longest, continues, _, _, duration = odds
    mass, growth = sums
    stopping, linking = ahead
    lengths, middles, _ = scratch
    occupancy[: stop - start] = 0.0
    oldest = start
    while oldest > 0 and times[start + 1] - times[oldest - 1] <= longest[y]:
        oldest -= 1
    for i in range(oldest, stop):
        fresh, chained = mass[i, 2 * y], mass[i, 2 * y + 1]
        n_spans = spans_that_start(i, times[: newest + 1], longest[y], middles, lengths)
        inside = 1.0
        for k in range(n_spans):
            if lengths[k] > longest[y] and not continues[y]:
                break
            j = i + 1 + k
            inside *= growth[j - 1, y]
            if j <= start:
                continue
            probability = (fresh + chained) * stopping[j, y]
            if i != marks[FIRST] and j < newest:
                in_bin = duration[y, duration_bin(lengths[k], longest[y], duration.shape[1])]
                probability = (fresh * in_bin + chained) * stopping[j, y]
            if continues[y] and j < newest and times[j + 1] - times[i] > longest[y]:
                probability += (fresh + chained) * linking[j, y]
            probability *= inside * middle[middles[k], y]
            if not probability > 0.0:
                continue
            occupancy[max(i, start) - start] += probability
            if j < stop:
                occupancy[j - start] -= probability
    sum_ = 0.0
    for t in range(stop - start):
        sum_ += occupancy[t]
        occupancy[t] = min(max(sum_, 0.0), 1.0)


@kernel
def hand_over(newest, marks, odds, factors, times, sums, ahead, waiting, begin, out, occupancy, scratch):
    """Move the spans that wait to `out`, with their probabilities as far as row `newest` tells."""
    if marks[N_WAITING] == 0:
        return
    look_back(newest, marks, odds, factors, times, sums, ahead, waiting, begin, scratch)
    for k in range(marks[N_WAITING]):
        start, stop, y = waiting[k, 0], waiting[k, 1], waiting[k, 2]
        n = marks[N_INTERVALS]
        occupy(start, stop, y, newest, marks, odds, factors[2], times, sums, ahead, occupancy[n:], scratch)
        marks[N_INTERVALS] = n + stop - start
        out[marks[N_OUT]] = waiting[k]
        marks[N_OUT] += 1
    marks[N_WAITING] = 0


@kernel
def open_row(newest, inside, unaries, total, sums, factors, best):
    """Prepare a row for a new node; at the first one of a stretch every state may start."""
    _, fresh, chained, _ = best
    mass, growth = sums
    n_states = total.shape[1]
    for y in range(n_states):
        for kind in range(3):
            factors[kind][newest, y] = math.exp(unaries[kind][newest, y])
        if newest == 0:
            total[0, y] = fresh[0, y] = 0.0
            chained[0, y] = MINUS_INFINITY
            mass[0, 2 * y], mass[0, 2 * y + 1] = 1.0, 0.0
            continue
        total[newest, y] = total[newest - 1, y] + inside[newest - 1, y]
        growth[newest - 1, y] = math.exp(inside[newest - 1, y] - inside[newest - 1].max())


@kernel
def must_hand_over(newest, lag, marks, times, longest, reported, waiting):
    """Return whether a span that users see has ended `lag` ago, or any other one the longest span more than that."""
    for k in range(marks[N_WAITING]):
        latest = times[newest] - lag
        if not reported[waiting[k, 2]]:
            latest -= longest.max()
        if times[waiting[k, 1]] <= latest:
            return True
    return False


@kernel
def advance(
    stop, last, lag, reported, marks, structure, odds, inside, unaries, factors, times, sums, best, arcs, branch, kept,
    ahead, waiting, path, begin, out, occupancy, scratch,
):  # fmt: skip
    """Take the rows from ``marks[FILLED]`` to `stop`; with `last`, the last of them ends the stretch."""
    longest, continues, transition, self_transition, duration = structure
    onset, offset, middle = unaries
    total, fresh, chained, ended = best
    before, started, linked = arcs
    lengths, middles, barrier = scratch
    for newest in range(marks[FILLED], stop):
        marks[FILLED] = newest + 1
        open_row(newest, inside, unaries, total, sums, factors, best)
        if newest == 0:
            continue
        if newest > 1:
            # Only now is it known whether a span that stops at the node before can be continued there.
            sum_spans(newest - 1, False, marks, odds, factors, times, sums, begin, scratch)
            barrier[:] = marks[ROOT_ROW]
            best_step(
                newest - 1, marks[FIRST], False, onset, offset, middle, times, longest, continues, transition,
                self_transition, duration, total, fresh, chained, ended, before, started, linked, middles, lengths,
                barrier,
            )  # fmt: skip
            label_row(newest - 1, marks[ROOT_ROW], before, started, linked, branch)
        if last and newest == stop - 1:
            commit_path(newest, times[newest], marks, structure, unaries, times, best, arcs, waiting, path, scratch)
            hand_over(newest, marks, odds, factors, times, sums, ahead, waiting, begin, out, occupancy, scratch)
            break
        shared = shared_branch(newest, marks, structure, times, best, arcs, branch)
        while shared >= 0:
            # Paths that do not pass through it can no longer be extended: nothing to restrict.
            commit(shared // branch.shape[1], shared % branch.shape[1], marks, arcs, waiting)
            for j in range(marks[ROOT_ROW] + 1, newest):
                label_row(j, marks[ROOT_ROW], before, started, linked, branch)
            shared = shared_branch(newest, marks, structure, times, best, arcs, branch)
        latest = min(times[newest] - lag, times[newest - 1])
        if times[marks[ROOT_ROW] + 1] <= latest and commit_path(
            newest, latest, marks, structure, unaries, times, best, arcs, waiting, path, scratch
        ):
            restrict(newest, marks, structure, unaries, times, best, arcs, branch, kept, scratch)
        if must_hand_over(newest, lag, marks, times, longest, reported, waiting):
            hand_over(newest, marks, odds, factors, times, sums, ahead, waiting, begin, out, occupancy, scratch)
