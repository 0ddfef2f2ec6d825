"""The window of a span lattice that a stream keeps: forward sums, best paths, and what is committed of them.

A *hypothesis* (i, y, c) is a span of y that starts at row i: c = 0 a new one, c = 1 one that continues the span before
it. An *arc* (j, y, c) is the best span of y that stops at row j (c = 0), or is continued there (c = 1); column
``2 y + c`` of a table holds it. The *root* is the last committed arc: the window's best paths all pass through it.
``branch`` is the first arc after the root on the best path to an arc, as ``row * 2 S + column``.

numba notices a change of this file, but not of `_span.py`: after changing that one, touch this one too.

Buffers are passed as the tuples that `mhealth.crf._stream` makes, in the order in which they are unpacked here.
"""

import math

from mhealth._kernels._span import (
    MINUS_INFINITY,
    NEGLIGIBLE,
    best_arc,
    best_starts,
    best_step,
    kernel,
    log_sum,
    scores_after,
    spans_that_start,
    spans_that_stop,
    sum_row,
    sum_step,
)

# Where the stream's marks lie: the first row of the stretch (−1: no longer in the window), the rows filled, the root's
# row and column (−1: the start of the stretch), spans that wait for their probability, spans and intervals handed over.
FIRST, FILLED, ROOT_ROW, ROOT_COLUMN, N_WAITING, N_OUT, N_INTERVALS = range(7)


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
    _, _, lengths, middles, _ = scratch
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
            best_arc(
                j, y, marks[FIRST], False, n_spans, offset, middle, times, longest, continues, self_transition,
                duration, total, fresh, chained, ended, started, linked, middles, lengths, root,
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
    _, _, lengths, middles, barrier = scratch
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
def look_back(newest, marks, structure, unaries, times, allowed, sums, ahead, waiting, begin, scratch):
    """Sum over everything after each row back to the first waiting span, in a stretch that ends at `newest`.

    Fills ``stopping`` and ``linking`` as `_span.backward` does; returns log Z.
    """
    longest, continues, transition, self_transition, duration = structure
    onset, offset, middle = unaries
    total, fresh, chained, ended = sums
    stopping, linking = ahead
    terms, links, lengths, middles, barrier = scratch
    n_states = total.shape[1]
    barrier[:] = 0
    sum_step(
        newest, marks[FIRST], True, onset, offset, middle, times, longest, continues, transition, self_transition,
        duration, total, fresh, chained, ended, terms, links, middles, lengths, barrier,
    )  # fmt: skip
    log_z = sum_row(ended[newest], terms)
    stopping[newest] = total[newest]
    cap = longest.max()
    for i in range(newest - 1, waiting[0, 0], -1):
        n_spans = spans_that_start(i, times[: newest + 1], cap, middles, lengths)
        for y in range(n_states):
            begin[y] = MINUS_INFINITY
            linking[i, y] = MINUS_INFINITY
            count, best, best_link = scores_after(
                i, y, marks[FIRST], newest + 1, n_spans, middle, times, allowed, longest, continues, duration, stopping,
                linking, terms, links, middles, lengths,
            )  # fmt: skip
            if chained[i, y] > MINUS_INFINITY:
                linking[i, y] = log_sum(links, count + 1, best_link) + self_transition[y]
            if fresh[i, y] > MINUS_INFINITY:
                begin[y] = log_sum(terms, count + 1, best) + onset[i, y] - total[i, y]
        for previous in range(n_states):
            best = MINUS_INFINITY
            for y in range(n_states):
                terms[y] = transition[previous, y] + begin[y]
                best = max(best, terms[y])
            stopping[i, previous] = log_sum(terms, n_states, best) + offset[i, previous] + total[i, previous]
    return log_z


@kernel
def occupy(start, stop, y, newest, log_z, marks, structure, middle, times, allowed, sums, ahead, occupancy, scratch):
    """Fill the probability of state y in each interval from row `start` to row `stop`."""
    longest, continues, _, _, duration = structure
    _, fresh, chained, _ = sums
    stopping, linking = ahead
    terms, links, lengths, middles, _ = scratch
    occupancy[: stop - start] = 0.0
    oldest = start
    while oldest > 0 and times[start + 1] - times[oldest - 1] <= longest[y]:
        oldest -= 1
    for i in range(oldest, stop):
        if fresh[i, y] == MINUS_INFINITY and chained[i, y] == MINUS_INFINITY:
            continue
        n_spans = spans_that_start(i, times[: newest + 1], longest[y], middles, lengths)
        count, _, _ = scores_after(
            i, y, marks[FIRST], newest + 1, n_spans, middle, times, allowed, longest, continues, duration, stopping,
            linking, terms, links, middles, lengths,
        )  # fmt: skip
        inside_from = max(i, start)
        for k in range(count + 1):
            j = i + 1 + min(k, count - 1)
            if j <= start:
                continue
            probability = 0.0
            if fresh[i, y] + terms[k] - log_z > NEGLIGIBLE:
                probability += math.exp(fresh[i, y] + terms[k] - log_z)
            if chained[i, y] + links[k] - log_z > NEGLIGIBLE:
                probability += math.exp(chained[i, y] + links[k] - log_z)
            occupancy[inside_from - start] += probability
            if j < stop:
                occupancy[j - start] -= probability
    sum_ = 0.0
    for t in range(stop - start):
        sum_ += occupancy[t]
        occupancy[t] = min(max(sum_, 0.0), 1.0)


@kernel
def hand_over(newest, marks, structure, unaries, times, allowed, sums, ahead, waiting, begin, out, occupancy, scratch):
    """Move the spans that wait to `out`, with their probabilities as far as row `newest` tells."""
    if marks[N_WAITING] == 0:
        return
    log_z = look_back(newest, marks, structure, unaries, times, allowed, sums, ahead, waiting, begin, scratch)
    for k in range(marks[N_WAITING]):
        start, stop, y = waiting[k, 0], waiting[k, 1], waiting[k, 2]
        n = marks[N_INTERVALS]
        occupy(
            start, stop, y, newest, log_z, marks, structure, unaries[2], times, allowed, sums, ahead, occupancy[n:],
            scratch,
        )  # fmt: skip
        marks[N_INTERVALS] = n + stop - start
        out[marks[N_OUT]] = waiting[k]
        marks[N_OUT] += 1
    marks[N_WAITING] = 0


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
    stop, last, lag, reported, marks, structure, inside, unaries, times, allowed, sums, best, arcs, branch, kept,
    ahead, waiting, path, begin, out, occupancy, scratch,
):  # fmt: skip
    """Take the rows from ``marks[FILLED]`` to `stop`; with `last`, the last of them ends the stretch."""
    longest, continues, transition, self_transition, duration = structure
    onset, offset, middle = unaries
    total, fresh, chained, ended = sums
    _, best_fresh, best_chained, best_ended = best
    before, started, linked = arcs
    terms, links, lengths, middles, barrier = scratch
    for newest in range(marks[FILLED], stop):
        marks[FILLED] = newest + 1
        if newest == 0:
            total[0] = 0.0
            fresh[0] = best_fresh[0] = 0.0
            chained[0] = best_chained[0] = MINUS_INFINITY
            continue
        total[newest] = total[newest - 1] + inside[newest - 1]
        if newest > 1:
            # Only now is it known whether a span that stops at the node before can be continued there.
            barrier[:] = 0
            sum_step(
                newest - 1, marks[FIRST], False, onset, offset, middle, times, longest, continues, transition,
                self_transition, duration, total, fresh, chained, ended, terms, links, middles, lengths, barrier,
            )  # fmt: skip
            barrier[:] = marks[ROOT_ROW]
            best_step(
                newest - 1, marks[FIRST], False, onset, offset, middle, times, longest, continues, transition,
                self_transition, duration, total, best_fresh, best_chained, best_ended, before, started, linked,
                middles, lengths, barrier,
            )  # fmt: skip
            label_row(newest - 1, marks[ROOT_ROW], before, started, linked, branch)
        if last and newest == stop - 1:
            commit_path(newest, times[newest], marks, structure, unaries, times, best, arcs, waiting, path, scratch)
            hand_over(
                newest, marks, structure, unaries, times, allowed, sums, ahead, waiting, begin, out, occupancy, scratch
            )  # fmt: skip
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
            hand_over(
                newest, marks, structure, unaries, times, allowed, sums, ahead, waiting, begin, out, occupancy, scratch
            )  # fmt: skip
