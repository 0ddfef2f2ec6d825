"""Fixed-lag decoding of spans in whole numbers, bit for bit that of ``export/runtime/mh_decoder.c``.

What `_span_stream` does in floating point, with what a microcontroller has room for:

* Scores of hypotheses are kept for the last `reach` nodes only: a span covers no more intervals than that. A state that
  continues does so where the next node is too far away in time or in nodes.
* Best arcs are kept for the last `rows` nodes. Where the last committed node is so far behind, the first span of the
  best path is committed before its time.
* What is certain by now is asked at one of `every` nodes only.
* Where a commitment rules out the best path to a hypothesis, the second best one is looked for only if the table is
  `exact` and the commitment ends within `reach`. Else the hypothesis ends. The best path always lives on. With a lag
  longer than any span, as in an ECG, hypotheses share what is committed anyway.

Scores are in 1/256 nat. Those of hypotheses lack the sum of inside scores before their node, `total`, as in `_span`;
every `REBASED` nodes all are taken anew from the best one, so that none grows beyond 32 bits. The C keeps rings, the
twin a window of the stretch: rows count from its first node.
"""

from __future__ import annotations

from numba import njit

__all__ = [
    "CONTINUED",
    "EARLY",
    "END",
    "IMPOSSIBLE",
    "MARKS",
    "N_FOUND",
    "NEWEST",
    "ROOT",
    "START",
    "close_stretch",
    "drop_rows",
    "farthest_from_chord",
    "middle_of_top",
    "open_stretch",
    "push_node",
]

NEVER = -(1 << 31)
"""Score of what cannot be."""

IMPOSSIBLE = -(1 << 15)
"""Score of a transition that the grammar does not have."""

FLOOR = -(1 << 28)
"""Lowest score relative to the best one, kept when scores are taken anew."""

REBASED = 256
"""Nodes after which scores are taken anew: until then, none of them grows by more than 2^26."""

# Where the stream's marks lie: the first node, the newest one, the root, its state and whether it is a link (state −1:
# the start of the stretch), nodes since scores were taken anew, spans found, those committed before their time.
FIRST, NEWEST, ROOT, ROOT_STATE, ROOT_LINKED, SINCE, N_FOUND, EARLY = range(8)
MARKS = 8

# Flags of a span.
CONTINUED, START, END = 1, 2, 4


@njit(cache=True, nogil=True)
def measure(j, n_spans, cap, positions, lengths, centres):
    """Fill the lengths of the spans (j − 1 − k, j), shortest first, and how far before j − 1 their centres lie.

    Returns the number of those that are at most `cap` long, or the only one.
    """
    centre = 0
    for k in range(n_spans):
        length = min(positions[j] - positions[j - 1 - k], cap + 1)
        if length > cap and k > 0:
            return k
        lengths[k] = length
        while centre < k and lengths[centre] + lengths[centre + 1] <= length:
            centre += 1
        centres[k] = centre
    return n_spans


@njit(cache=True, nogil=True)
def best_arc(j, y, first, count, is_timed, marks, settings, potentials, window, scratch):
    """Return the best of the spans `first` to `count` − 1 of y that stop at row j, and its score; −1 if there is none.

    A span that is new wins ties, then the shorter one.
    """
    n_states = settings[0][0]
    duration, bins_q16 = settings[5], settings[6]
    fresh, chained = window[2], window[3]
    lengths, centres = scratch
    arc, best = -1, NEVER
    for is_chained in range(2):
        for k in range(first, count):
            i = j - 1 - k
            score = chained[i, y] if is_chained else fresh[i, y]
            if score == NEVER:
                continue
            score += potentials[j - 1 - centres[k], 3 * n_states + y]
            if is_timed and not is_chained and i != marks[FIRST]:
                score += duration[y, min(duration.shape[1] - 1, (lengths[k] * bins_q16[y]) >> 16)]
            if score > best:
                arc, best = 2 * i + is_chained, score
    return arc, best


@njit(cache=True, nogil=True)
def find_arcs(j, last, gap, marks, settings, potentials, window, scratch):
    """Find the best spans of each state that stop, and that are continued, at row j.

    `gap` is how far the next node is away; with `last`, spans are taken to end with the stretch at row j.
    """
    n_states, reach = settings[0][0], settings[0][1]
    longest, continues, _, self_transition = settings[1:5]
    positions, _, _, chained, _, started, linked, ended, totals, _ = window
    lengths = scratch[0]
    cap = 0
    for y in range(n_states):
        cap = max(cap, longest[y])
    n_spans = measure(j, min(reach, j - marks[ROOT]), cap, positions, lengths, scratch[1])
    for y in range(n_states):
        count = 0
        while count < n_spans and (lengths[count] <= longest[y] or (count == 0 and continues[y])):
            count += 1
        started[j, y], best = best_arc(j, y, 0, count, not last, marks, settings, potentials, window, scratch)
        ended[y] = best
        if best != NEVER:
            ended[y] += totals[j, y]
            if not last:
                ended[y] += potentials[j, 2 * n_states + y]
        linked[j, y] = -1
        chained[j, y] = NEVER
        if continues[y] and not last:
            # Only the longest spans go on: those that cannot reach the next node.
            first = count
            while first > 0 and (lengths[first - 1] + gap > longest[y] or first == reach):
                first -= 1
            linked[j, y], best = best_arc(j, y, first, count, False, marks, settings, potentials, window, scratch)
            if best != NEVER:
                chained[j, y] = best + self_transition[y]


@njit(cache=True, nogil=True)
def find_starts(j, settings, potentials, window):
    """Find the best state before a new span of each state at row j."""
    n_states = settings[0][0]
    transition = settings[3]
    _, _, fresh, _, before, _, _, ended, totals, _ = window
    for y in range(n_states):
        best = NEVER
        before[j, y] = -1
        for previous in range(n_states):
            if ended[previous] == NEVER or transition[previous, y] == IMPOSSIBLE:
                continue
            if ended[previous] + transition[previous, y] > best:
                best = ended[previous] + transition[previous, y]
                before[j, y] = previous
        fresh[j, y] = NEVER if best == NEVER else best + potentials[j, n_states + y] - totals[j, y]


@njit(cache=True, nogil=True)
def rebase(j, marks, settings, window):
    """Take the scores of all hypotheses within reach of row j anew: from the best one there, without its total."""
    n_states, reach = settings[0][0], settings[0][1]
    total, fresh, chained, totals = window[1], window[2], window[3], window[8]
    best = NEVER
    for y in range(n_states):
        if fresh[j, y] != NEVER:
            best = max(best, fresh[j, y] + total[y])
        if chained[j, y] != NEVER:
            best = max(best, chained[j, y] + total[y])
    if best == NEVER:
        return
    for i in range(max(marks[FIRST], j + 1 - reach), j + 1):
        for y in range(n_states):
            if fresh[i, y] != NEVER:
                fresh[i, y] = max(fresh[i, y] + total[y] - best, FLOOR)
            if chained[i, y] != NEVER:
                chained[i, y] = max(chained[i, y] + total[y] - best, FLOOR)
            totals[i, y] -= total[y]
    for y in range(n_states):
        total[y] = 0


@njit(cache=True, nogil=True)
def is_full(marks, settings):
    """Return whether there is no row for another node before a span is committed."""
    return marks[NEWEST] - marks[ROOT] >= settings[0][2] - 1


@njit(cache=True, nogil=True)
def commit(marks, settings, potentials, window, scratch, found, last):
    """Commit what ended `lag` ago on the best path of a stretch that ends at the newest row, all of it if `last`."""
    n_states, lag = settings[0][0], settings[0][3]
    positions, _, _, _, before, started, linked, ended, _, _ = window
    j = newest = marks[NEWEST]
    y = 0
    for state in range(1, n_states):
        if ended[state] > ended[y]:
            y = state
    full = is_full(marks, settings)
    root, root_state, root_linked = marks[ROOT], -1, 0
    is_linked = 0
    count = 0
    while j > marks[ROOT]:
        arc = linked[j, y] if is_linked else started[j, y]
        if arc < 0:
            break
        i = arc >> 1
        is_due = j < newest and positions[newest] - positions[j] >= lag
        is_early = i <= marks[ROOT] and full and j < newest and not is_due and root_state < 0
        if last or is_due or is_early or root_state >= 0:
            if root_state < 0:
                root, root_state, root_linked = j, y, is_linked
                marks[EARLY] += is_early
            found[count, 0] = i
            found[count, 1] = j
            found[count, 2] = y
            found[count, 3] = (
                CONTINUED * (arc & 1) + START * (i == marks[FIRST]) + END * (1 if last and j == newest else 0)
            )
            count += 1
        j = i
        is_linked = arc & 1
        if not is_linked and j > marks[ROOT]:
            y = before[j, y]
    marks[N_FOUND] = count
    for k in range(count // 2):
        for column in range(4):
            other = found[k, column]
            found[k, column] = found[count - 1 - k, column]
            found[count - 1 - k, column] = other
    if root_state >= 0:
        marks[ROOT], marks[ROOT_STATE], marks[ROOT_LINKED] = root, root_state, root_linked
        if not last:
            restrict(marks, settings, potentials, window, scratch)


@njit(cache=True, nogil=True)
def is_kept(arc, y, root, kept):
    """Return whether a span of y that starts as `arc` says starts as it did, on a path through the root."""
    return arc >= 0 and arc >> 1 >= root and kept[arc >> 1, 2 * y + (arc & 1)]


@njit(cache=True, nogil=True)
def restart(marks, settings, potentials, window):
    """Let every state follow that of the root; its score is that of a state which does."""
    n_states, transition = settings[0][0], settings[3]
    _, _, fresh, _, before, _, _, _, totals, kept = window
    root, state = marks[ROOT], marks[ROOT_STATE]
    for y in range(n_states):
        if kept[root, 2 * y]:
            ended = fresh[root, y] + totals[root, y] - potentials[root, n_states + y] - transition[state, y]
            break
    else:
        return
    for y in range(n_states):
        if transition[state, y] != IMPOSSIBLE:
            before[root, y] = state
            fresh[root, y] = ended + transition[state, y] + potentials[root, n_states + y] - totals[root, y]


@njit(cache=True, nogil=True)
def restrict(marks, settings, potentials, window, scratch):
    """Make every best path pass the root.

    Where that to a hypothesis does not, the best one that does is looked for if the table is exact and the root within
    reach; else the hypothesis ends.
    """
    n_states, reach = settings[0][0], settings[0][1]
    positions, _, fresh, chained, before, started, linked, _, _, kept = window
    root = marks[ROOT]
    exact = settings[0][4] and marks[NEWEST] - root <= reach
    intact = 0  # rows in a row without any change
    for j in range(root, marks[NEWEST]):
        n_lost = 0
        for y in range(n_states):
            if j == root:
                follows = not marks[ROOT_LINKED] and before[j, y] == marks[ROOT_STATE]
                goes_on = marks[ROOT_LINKED] and y == marks[ROOT_STATE]
            else:
                follows = before[j, y] >= 0 and is_kept(started[j, before[j, y]], before[j, y], root, kept)
                goes_on = is_kept(linked[j, y], y, root, kept)
            kept[j, 2 * y] = before[j, y] >= 0 and follows
            kept[j, 2 * y + 1] = linked[j, y] >= 0 and goes_on
            n_lost += (before[j, y] >= 0) - kept[j, 2 * y] + (linked[j, y] >= 0) - kept[j, 2 * y + 1]
        intact += 1
        if n_lost > 0:
            intact = 0
            if exact and j > root:
                gap = positions[j + 1] - positions[j]
                find_arcs(j, False, gap, marks, settings, potentials, window, scratch)
                find_starts(j, settings, potentials, window)
            else:
                for y in range(n_states):
                    if not kept[j, 2 * y]:
                        before[j, y] = -1
                        fresh[j, y] = NEVER
                    if not kept[j, 2 * y + 1]:
                        linked[j, y] = -1
                        chained[j, y] = NEVER
                if exact and not marks[ROOT_LINKED]:
                    restart(marks, settings, potentials, window)
        if intact == reach:
            return  # later spans start at rows without a change


@njit(cache=True, nogil=True)
def open_stretch(position, marks, settings, potentials, window):
    """Start a stretch: its first row is a virtual node, at which every state may start."""
    positions, total, fresh, chained, before, started, linked, _, totals, _ = window
    marks[:] = 0
    marks[ROOT_STATE] = -1
    positions[0] = position
    for y in range(settings[0][0]):
        total[y] = totals[0, y] = fresh[0, y] = 0
        chained[0, y] = NEVER
        before[0, y] = started[0, y] = linked[0, y] = -1
    potentials[0] = 0


@njit(cache=True, nogil=True)
def finish_newest(position, marks, settings, potentials, window, scratch):
    """Take what the newest row says, now that it is known where the next one lies."""
    n_states = settings[0][0]
    positions, total, totals = window[0], window[1], window[8]
    j = marks[NEWEST]
    if j > marks[FIRST]:
        find_arcs(j, False, position - positions[j], marks, settings, potentials, window, scratch)
        find_starts(j, settings, potentials, window)
        marks[SINCE] += 1
        if marks[SINCE] == REBASED:
            rebase(j, marks, settings, window)
            marks[SINCE] = 0
    for y in range(n_states):
        total[y] += potentials[j, y]
        totals[j + 1, y] = total[y]
    marks[NEWEST] = j + 1
    positions[j + 1] = position


@njit(cache=True, nogil=True)
def push_node(position, potential, marks, settings, potentials, window, scratch, found):
    """Take the next node, after the newest one; its committed spans are the first ``marks[N_FOUND]`` of `found`."""
    finish_newest(position, marks, settings, potentials, window, scratch)
    newest = marks[NEWEST]
    potentials[newest] = potential
    marks[N_FOUND] = 0
    if marks[SINCE] % settings[0][5] == 0 or is_full(marks, settings):
        find_arcs(newest, True, 0, marks, settings, potentials, window, scratch)
        commit(marks, settings, potentials, window, scratch, found, False)


@njit(cache=True, nogil=True)
def close_stretch(position, marks, settings, potentials, window, scratch, found):
    """End the stretch at a virtual node after the newest one, and commit all that is left."""
    finish_newest(position, marks, settings, potentials, window, scratch)
    potentials[marks[NEWEST]] = 0
    find_arcs(marks[NEWEST], True, 0, marks, settings, potentials, window, scratch)
    commit(marks, settings, potentials, window, scratch, found, True)


@njit(cache=True, nogil=True)
def drop_rows(marks, potentials, window):
    """Forget the rows before the root."""
    positions, _, fresh, chained, before, started, linked, _, totals, _ = window
    drop = marks[ROOT]
    for j in range(drop, marks[NEWEST] + 1):
        positions[j - drop] = positions[j]
        potentials[j - drop] = potentials[j]
        for y in range(fresh.shape[1]):
            fresh[j - drop, y] = fresh[j, y]
            chained[j - drop, y] = chained[j, y]
            totals[j - drop, y] = totals[j, y]
            before[j - drop, y] = before[j, y]
            started[j - drop, y] = started[j, y] - 2 * drop if started[j, y] >= 2 * drop else -1
            linked[j - drop, y] = linked[j, y] - 2 * drop if linked[j, y] >= 2 * drop else -1
    marks[FIRST] -= drop
    marks[ROOT] -= drop
    marks[NEWEST] -= drop


@njit(cache=True, nogil=True)
def farthest_from_chord(signal, start, stop):
    """Return the sample of [start, stop) farthest from the chord between its ends; ties to the earlier."""
    best, farthest = start, 0
    length, rise = stop - 1 - start, signal[stop - 1] - signal[start]
    for n in range(start, stop):
        distance = abs((signal[n] - signal[start]) * length - rise * (n - start))
        if distance > farthest:
            best, farthest = n, distance
    return best


@njit(cache=True, nogil=True)
def box_sum(signal, start, n, k, box):
    """Return the sum of the `box` samples around sample k of the n from `start` on, mirrored beyond their ends."""
    total = 0
    for i in range(k - box // 2, k - box // 2 + box):
        total += signal[start + (-1 - i if i < 0 else 2 * n - 1 - i if i >= n else i)]
    return total


@njit(cache=True, nogil=True)
def middle_of_top(signal, onset, offset, newest, reach, box, part):
    """Return the middle of the upper ``1 / part`` of a rise that starts at `onset` and was taken to end at `offset`."""
    end = offset - onset
    n = min(end + reach, newest + 1 - onset)
    peak = max(0, end - reach)
    highest = NEVER
    for k in range(peak, n):
        value = box_sum(signal, onset, n, k, box)
        if value > highest:
            peak, highest = k, value
    rise = highest - box_sum(signal, onset, n, 0, box)
    start = stop = peak
    while start > 0 and part * (highest - box_sum(signal, onset, n, start - 1, box)) <= rise:
        start -= 1
    while stop < n and part * (highest - box_sum(signal, onset, n, stop, box)) <= rise:
        stop += 1
    return onset + (start + stop) // 2
