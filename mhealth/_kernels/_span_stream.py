"""The window of a span lattice that a stream keeps: forward sums, best paths, and what is committed of them.

A *hypothesis* (i, y, c) is a span of y that starts at row i: c = 0 a new one, c = 1 one that continues the span before
it. An *arc* (j, y, c) is the best span of y that stops at row j (c = 0), or is continued there (c = 1); column
``2 y + c`` of a table holds either. The *root* is the last committed arc: the window's best paths all pass through it.

Best paths are found among log scores. Sums, which give probabilities but decide nothing, are kept as plain numbers,
six times faster: ``fresh_mass[i, y]`` and ``chained_mass[i, y]`` are the sums over everything before a hypothesis, over
a factor of row i; ``growth[t, y]`` is exp(inside[t, y]) times the factor of row t over that of row t + 1. What differs
by a factor beyond the range of float64, 1e±300, within one window gets probability zero.

numba notices a change of this file, but not of `_span.py`: after changing that one, touch this one too.
Buffers are passed as the tuples that `mhealth.crf._stream` makes, in the order in which they are unpacked here;
``odds`` holds what ``structure`` does, with exponentials of the scores.
"""

import math

from mhealth._kernels._span import (
    MINUS_INFINITY,
    ROW,
    best_arcs,
    best_starts,
    borrowing_kernel,
    first_link,
    highest,
    measure_spans,
)

# Where the stream's marks lie: the first row of the stretch (−1: no longer in the window), the rows filled, the root's
# row and column (−1: the start of the stretch), spans that wait for their probability, spans and intervals handed over.
FIRST, FILLED, ROOT_ROW, ROOT_COLUMN, N_WAITING, N_OUT, N_INTERVALS = range(7)

SMALLEST = 1e-280  # of a sum, relative to the row before: leaves room for sums over a window


@borrowing_kernel
def last_arc_column(i, y, chain, before):
    """Return the column of the arc, at row i, that precedes hypothesis (i, y, chain)."""
    return 2 * y + 1 if chain else 2 * before[i, y]


@borrowing_kernel
def step(j, oldest, last, structure, unaries, times, spans, best, arcs):
    """Find the best arcs at row j, from row `oldest` on, and unless it is the last one the best hypotheses."""
    longest, continues, transition, self_transition, duration = structure
    onset, offset, middle = unaries
    back, bins, counts = spans
    total, fresh, chained, ended = best
    before, started, linked = arcs
    best_arcs(
        j, 0, len(longest), oldest, last, back[j], bins[j], counts[j], offset, middle, times, longest, continues,
        self_transition, duration, total, fresh, chained, ended, started, linked,
    )  # fmt: skip
    if not last:
        best_starts(j, onset, transition, total, fresh, ended, before)


@borrowing_kernel
def passes(arc, y, root, kept):
    """Return whether an arc of state y that starts as `arc` says passes through the root, or is impossible."""
    return arc < 0 or (arc >> 1 >= root and kept[arc >> 1, 2 * y + (arc & 1)])


@borrowing_kernel
def restrict(newest, marks, structure, unaries, times, spans, best, arcs, kept, stopped):
    """Make every best path of the window pass through the root.

    Those that do so already keep their values bit for bit: a maximum over fewer paths that still holds the best one is
    the same.
    """
    longest, continues, transition, self_transition, duration = structure
    onset, offset, middle = unaries
    back, bins, counts = spans
    total, fresh, chained, ended = best
    before, started, linked = arcs
    n_states = total.shape[1]
    root = marks[ROOT_ROW]
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
    intact_from = root + 1  # the first of the rows up to the present one through which all paths are kept
    for j in range(root + 1, newest):
        n_broken = 0
        for y in range(n_states):
            stop_kept = passes(started[j, y], y, root, kept)
            kept[j, 2 * y + 1] = passes(linked[j, y], y, root, kept)
            stopped[y] = stop_kept
            if stop_kept and kept[j, 2 * y + 1]:
                continue
            n_broken += 1
            best_arcs(
                j, y, y + 1, root, False, back[j], bins[j], counts[j], offset, middle, times, longest, continues,
                self_transition, duration, total, fresh, chained, ended, started, linked,
            )  # fmt: skip
        for y in range(n_states):
            kept[j, 2 * y] = n_broken == 0 or (before[j, y] >= 0 and stopped[before[j, y]])
        if n_broken:
            intact_from = j + 1
            best_starts(j, onset, transition, total, fresh, ended, before)
        elif times[j + 1] - times[intact_from - 1] > highest(longest):
            break  # later spans start at rows that are intact


@borrowing_kernel
def commit_shared(newest, marks, structure, times, best, arcs, live, waiting, shared):
    """Commit the arcs that the best paths to all hypotheses share which may cover the newest interval."""
    longest, continues, _, _, _ = structure
    _, fresh, chained, _ = best
    before, started, linked = arcs
    root = marks[ROOT_ROW]
    cap = highest(longest)
    n_live = 0
    for i in range(root, newest):
        for column in range(live.shape[1]):
            live[i, column] = False
    for i in range(newest - 1, root - 1, -1):
        if times[newest] - times[i] > cap and i < newest - 1:
            break
        for y in range(len(longest)):
            if times[newest] - times[i] > longest[y] and not (continues[y] and i == newest - 1):
                continue
            for chain in range(2):
                if (chained[i, y] if chain else fresh[i, y]) == MINUS_INFINITY:
                    continue
                if i == root:
                    return
                column = last_arc_column(i, y, chain, before)
                n_live += not live[i, column]
                live[i, column] = True
    # The latest arc gives way to the one before it, until a single one is left: all paths pass through that.
    for j in range(newest - 1, root, -1):
        for column in range(live.shape[1]):
            if not live[j, column]:
                continue
            if n_live == 1:
                count = trace_back(j, column, times[j], marks, times, arcs, shared)
                commit_path(count, marks, arcs, waiting, shared)
                return
            arc = linked[j, column >> 1] if column & 1 else started[j, column >> 1]
            i = arc >> 1
            if i == root:
                return
            n_live -= 1
            column = last_arc_column(i, column >> 1, arc & 1, before)
            n_live += not live[i, column]
            live[i, column] = True


@borrowing_kernel
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


@borrowing_kernel
def trace_back(j, column, latest, marks, times, arcs, path):
    """Fill the arcs that stop at `latest` seconds or before, on the path to an arc, last first; return their number."""
    before, started, linked = arcs
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
    return count


@borrowing_kernel
def commit_path(count, marks, arcs, waiting, path):
    """Commit what `trace_back` has found and is not committed yet; return whether there was any."""
    root = marks[ROOT_ROW]
    for k in range(count - 1, -1, -1):
        if path[k, 0] > root:
            commit(path[k, 0], path[k, 1], marks, arcs, waiting)
    return marks[ROOT_ROW] > root


@borrowing_kernel
def sum_spans(j, last, odds, factors, times, spans, sums, reached):
    """Sum over the spans that stop at row j; unless it is the last one, also fill its masses and factor."""
    longest, continues, transition, self_transition, duration = odds
    onset, offset, middle = factors
    back, bins, counts = spans
    fresh_mass, chained_mass, growth = sums
    n_states = len(longest)
    untimed = duration.shape[1] - 1
    for y in range(n_states):
        stopped = 0.0
        linked = 0.0
        inside = 1.0
        first = counts[j, y]
        if continues[y] and not last:
            first = first_link(j, y, counts[j, y], times, longest)
        for k in range(counts[j, y]):
            row = ROW(j - 1 - k)
            inside *= growth[row, y]
            span = inside * middle[ROW(j - back[j, k]), y]
            fresh, chained = fresh_mass[row, y], chained_mass[row, y]
            stopped += span * (fresh * duration[y, untimed if last else bins[j, k, y]] + chained)
            if k >= first:
                linked += span * (fresh + chained)
        reached[y] = stopped
        if not last:
            reached[y] *= offset[j, y]
            chained_mass[j, y] = linked * self_transition[y]
    if last:
        return
    largest = 0.0
    for y in range(n_states):
        before = 0.0
        for previous in range(n_states):
            before += reached[previous] * transition[previous, y]
        fresh_mass[j, y] = before * onset[j, y]
        largest = max(largest, fresh_mass[j, y], chained_mass[j, y])
    if not (SMALLEST < largest < 1.0 / SMALLEST):
        # Beyond the range of float64: the sums start anew.
        largest = 1.0
        for y in range(n_states):
            fresh_mass[j, y] = 1.0
            chained_mass[j, y] = 0.0
    for y in range(n_states):
        fresh_mass[j, y] /= largest
        chained_mass[j, y] /= largest
        growth[j - 1, y] /= largest


@borrowing_kernel
def look_back(newest, odds, factors, times, spans, sums, ahead, waiting, begin):
    """Sum over everything after each row back to the first waiting span, in a stretch that ends at `newest`.

    ``stopping[j, y]`` is the sum after a span of y that stops at j, ``linking[j, y]`` after one that is continued
    there; their products with masses, growths and factors are probabilities.
    """
    longest, continues, transition, self_transition, duration = odds
    onset, offset, middle = factors
    back, bins, counts = spans
    _, _, growth = sums
    stopping, linking = ahead
    n_states = len(longest)
    untimed = duration.shape[1] - 1
    sum_spans(newest, True, odds, factors, times, spans, sums, begin)
    everything = 0.0
    for y in range(n_states):
        everything += begin[y]
    for y in range(n_states):
        stopping[newest, y] = 1.0 / everything if everything > 0.0 else 0.0
    for i in range(newest - 1, waiting[0, 0], -1):
        for y in range(n_states):
            after = 0.0
            after_link = 0.0
            inside = 1.0
            goes_on = continues[y]
            for k in range(newest - i):
                j = i + 1 + k
                row = ROW(j)
                if k >= counts[row, y]:
                    break
                inside *= growth[ROW(j - 1), y]
                span = inside * middle[ROW(j - back[row, k]), y]
                stop = span * stopping[row, y]
                after += stop * duration[y, bins[row, k, y] if j < newest else untimed]
                if goes_on:
                    after_link += stop
                    if j < newest and times[j + 1] - times[i] > longest[y]:
                        after += span * linking[row, y]
                        after_link += span * linking[row, y]
            begin[y] = after * onset[i, y]
            linking[i, y] = after_link * self_transition[y]
        for previous in range(n_states):
            after = 0.0
            for y in range(n_states):
                after += transition[previous, y] * begin[y]
            stopping[i, previous] = after * offset[i, previous]


@borrowing_kernel
def occupy(start, stop, y, newest, odds, middle, times, spans, sums, ahead, occupancy):
    """Fill the probability of state y in each interval from row `start` to row `stop`."""
    longest, continues, _, _, duration = odds
    back, bins, counts = spans
    fresh_mass, chained_mass, growth = sums
    stopping, linking = ahead
    untimed = duration.shape[1] - 1
    for t in range(stop - start):
        occupancy[t] = 0.0
    for i in range(start + 1 - counts[start + 1, y], stop):
        fresh, chained = fresh_mass[i, y], chained_mass[i, y]
        inside = 1.0
        for k in range(newest - i):
            j = i + 1 + k
            if k >= counts[j, y]:
                break
            inside *= growth[j - 1, y]
            if j <= start:
                continue
            in_bin = duration[y, bins[j, k, y] if j < newest else untimed]
            probability = (fresh * in_bin + chained) * stopping[j, y]
            if continues[y] and j < newest and times[j + 1] - times[i] > longest[y]:
                probability += (fresh + chained) * linking[j, y]
            probability *= inside * middle[j - back[j, k], y]
            if not probability > 0.0:
                continue
            occupancy[max(i, start) - start] += probability
            if j < stop:
                occupancy[j - start] -= probability
    sum_ = 0.0
    for t in range(stop - start):
        sum_ += occupancy[t]
        occupancy[t] = min(max(sum_, 0.0), 1.0)


@borrowing_kernel
def hand_over(newest, marks, odds, factors, times, spans, sums, ahead, waiting, begin, out, occupancy):
    """Move the spans that wait to `out`, with their probabilities as far as row `newest` tells."""
    if marks[N_WAITING] == 0:
        return
    look_back(newest, odds, factors, times, spans, sums, ahead, waiting, begin)
    for k in range(marks[N_WAITING]):
        start, stop, y = waiting[k, 0], waiting[k, 1], waiting[k, 2]
        n = marks[N_INTERVALS]
        occupy(start, stop, y, newest, odds, factors[2], times, spans, sums, ahead, occupancy[n:])
        marks[N_INTERVALS] = n + stop - start
        for part in range(4):
            out[marks[N_OUT], part] = waiting[k, part]
        marks[N_OUT] += 1
    marks[N_WAITING] = 0


@borrowing_kernel
def open_row(newest, inside, unaries, total, sums, factors, best):
    """Prepare a row for a new node; at the first one of a stretch every state may start."""
    _, fresh, chained, _ = best
    fresh_mass, chained_mass, growth = sums
    n_states = total.shape[1]
    for kind in range(3):
        for y in range(n_states):
            factors[kind][newest, y] = math.exp(unaries[kind][newest, y])
    if newest == 0:
        for y in range(n_states):
            total[0, y] = fresh[0, y] = 0.0
            chained[0, y] = MINUS_INFINITY
            fresh_mass[0, y], chained_mass[0, y] = 1.0, 0.0
    else:
        largest = MINUS_INFINITY
        for y in range(n_states):
            largest = max(largest, inside[newest - 1, y])
        for y in range(n_states):
            total[newest, y] = total[newest - 1, y] + inside[newest - 1, y]
            growth[newest - 1, y] = math.exp(inside[newest - 1, y] - largest)


@borrowing_kernel
def is_due(stop, y, newest, lag, times, longest, reported):
    """Return whether a span that users see has ended `lag` ago, or any other one the longest span more than that."""
    latest = times[newest] - lag
    if not reported[y]:
        latest -= highest(longest)
    return times[stop] <= latest


@borrowing_kernel
def must_hand_over(newest, lag, count, marks, times, longest, reported, waiting, path):
    """Return whether a span that waits, or one of `count` about to be committed, must be handed over."""
    due = False
    for k in range(marks[N_WAITING]):
        due = due or is_due(waiting[k, 1], waiting[k, 2], newest, lag, times, longest, reported)
    for k in range(count):
        due = due or is_due(path[k, 0], path[k, 1] >> 1, newest, lag, times, longest, reported)
    return due


@borrowing_kernel
def advance(
    stop, last, lag, reported, marks, structure, odds, times, inside, unaries, factors, spans, sums, best, arcs, ahead,
    kept, waiting, path, shared, begin, stopped, lengths, out, occupancy,
):  # fmt: skip
    """Take the rows from ``marks[FILLED]`` to `stop`; with `last`, the last of them ends the stretch."""
    longest, continues, _, _, duration = structure
    back, bins, counts = spans
    total, _, _, ended = best
    for newest in range(marks[FILLED], stop):
        marks[FILLED] = newest + 1
        open_row(newest, inside, unaries, total, sums, factors, best)
        if newest == 0:
            continue
        measure_spans(
            newest, marks[FIRST], times, longest, continues, duration.shape[1] - 1, lengths, back[newest], bins[newest],
            counts[newest],
        )  # fmt: skip
        if newest > 1:
            # Only now is it known whether a span that stops at the node before can be continued there.
            sum_spans(newest - 1, False, odds, factors, times, spans, sums, begin)
            step(newest - 1, marks[ROOT_ROW], False, structure, unaries, times, spans, best, arcs)
        ends = last and newest == stop - 1
        latest = times[newest] if ends else min(times[newest] - lag, times[newest - 1])
        count = 0
        if times[marks[ROOT_ROW] + 1] <= latest:
            # The best path of a stretch that ends here.
            step(newest, marks[ROOT_ROW], True, structure, unaries, times, spans, best, arcs)
            best_state = 0
            for y in range(len(longest)):
                if ended[newest, y] > ended[newest, best_state]:
                    best_state = y
            count = trace_back(newest, 2 * best_state, latest, marks, times, arcs, path)
        hands_over = must_hand_over(newest, lag, count, marks, times, longest, reported, waiting, path)
        if hands_over and not ends:
            # The paths share what they shared before, so it is soon enough to look now; nothing is to be restricted.
            commit_shared(newest, marks, structure, times, best, arcs, kept, waiting, shared)
        if commit_path(count, marks, arcs, waiting, path) and not ends:
            restrict(newest, marks, structure, unaries, times, spans, best, arcs, kept, stopped)
        if hands_over or ends:
            hand_over(newest, marks, odds, factors, times, spans, sums, ahead, waiting, begin, out, occupancy)
