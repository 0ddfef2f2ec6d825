/* A hypothesis is a state and the node at which a span of it starts, new or going on from the span before; an arc is
   the best span of a state that stops at a node, or goes on there.

   Row of a node in `arcs`, for n states of which some continue (chains):
       started[n]       how many nodes the best span of each state that stops here is long; bit 7: it goes on from the
                        one before; 0: there is none
       before[n]        the best state before a new span of each state that starts here
       linked[n_chains] as `started`, of the span that goes on here
   and a bit in `alive` for each state of which a new span may start here.
   Once a span is committed, the row at which it starts is no longer needed for that: started[0] then holds how many
   nodes it is long, and the byte after it its state and flags. */
#include "mh_fast.h"

#include "mh_decoder.h"

#include "mh_fixed.h"
#include "mh_parts.h"

#define NEVER (-(1 << 30))  /* score of what cannot be; with anything added to it, below BARELY */
#define BARELY (-(1 << 29)) /* all others lie above */
#define FLOOR (-(1 << 28))  /* of scores that are taken anew: far below any that can win */
#define FARTHEST 65535u     /* samples up to which gaps are counted, more than the longest span */
#define GOES_ON 0x80u

/* Second byte of a committed span, above its state. */
#define SPAN_STATE 0x07u
#define SPAN_CONTINUED 0x08u
#define SPAN_AT_START 0x10u
#define SPAN_AT_END 0x20u

/* Whether second best paths are looked for. */
static int is_exact(const mh_decoder_table_t *table) { return MH_WITH_SECOND_BEST && table->exact != 0; }

static uint32_t fewer(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* ago entries before an entry of a ring of n. */
static uint32_t before_in_ring(uint32_t at, uint32_t ago, uint32_t n) { return at >= ago ? at - ago : at + n - ago; }

static uint8_t *arcs_of(const mh_decoder_state_t *state, const mh_decoder_table_t *table, uint32_t ago)
{
    const uint32_t width = 2u * table->n_states + table->n_chains;
    return state->at.arcs + before_in_ring(state->row, ago, table->rows) * width;
}

/* Where the scores lie of the node `ago` before the newest one, which is entered last. */
static uint32_t slot_of(const mh_decoder_state_t *state, const mh_decoder_table_t *table, uint32_t ago)
{
    const uint32_t next = state->score_row + 1u == table->reach ? 0u : state->score_row + 1u;
    return ago > table->reach ? 0 : before_in_ring(next, fewer(ago, table->reach), table->reach);
}

static uint8_t *set_of(const mh_decoder_state_t *state, const mh_decoder_table_t *table, uint8_t *sets, uint32_t ago)
{
    return sets + before_in_ring(state->row, ago, table->rows);
}

static uint32_t position_of(const mh_decoder_state_t *state, const mh_decoder_table_t *table, uint32_t ago)
{
    return state->at.positions[before_in_ring(state->row, ago, table->rows)];
}

/* Where an edge lies that a node shows: column 2 k for the onset, 2 k + 1 for the offset of state k that is shown. */
static uint32_t edge_of(const mh_decoder_state_t *state, const mh_decoder_table_t *table, uint32_t ago, uint32_t column)
{
    const uint32_t row = before_in_ring(state->row, ago, table->rows);
    const int32_t shift = state->at.shifts[row * 2u * table->n_shown + column];
    return state->at.positions[row] + (uint32_t)shift;
}

/* The arc of a state that stops at a node, or goes on there. */
static uint8_t arc_of(const mh_decoder_state_t *state, const mh_decoder_table_t *table, uint32_t ago, uint32_t y,
                      uint32_t linked)
{
    const uint8_t *row = arcs_of(state, table, ago);
    return linked != 0 ? row[2u * table->n_states + table->chain[y]] : row[y];
}

/* Lengths and centres of the spans that stop `ago` nodes before the newest one, and how many of them are not too long
   for each state: the centre is the node nearest to their middle, ties to the earlier, and never the last one. */
static void measure(mh_decoder_state_t *state, const mh_decoder_table_t *table, uint32_t ago)
{
    const uint32_t stop = position_of(state, table, ago), most = fewer(state->root, table->reach) - ago;
    const uint32_t first = before_in_ring(state->score_row, ago, table->reach);
    uint16_t *lengths = state->at.lengths;
    uint32_t cap = 0, centre = 0, n_spans, y;
    for (y = 0; y < table->n_states; ++y) {
        if (table->longest[y] > cap) { cap = table->longest[y]; }
    }
    for (n_spans = 0; n_spans < most; ++n_spans) {
        const uint32_t length = stop - position_of(state, table, ago + n_spans + 1u);
        if (length > cap && n_spans > 0) { break; }
        lengths[n_spans] = (uint16_t)fewer(length, cap + 1u);
        while (centre < n_spans && (uint32_t)lengths[centre] + lengths[centre + 1u] <= length) { ++centre; }
        state->at.centres[n_spans] = (uint8_t)before_in_ring(first, centre, table->reach);
    }
    for (y = 0; y < table->n_states; ++y) {
        const uint32_t longest = table->longest[y];
        uint32_t count = table->chain[y] == MH_DECODER_NONE ? 0 : fewer(n_spans, 1); /* it may cover any gap */
        while (count < n_spans && lengths[count] <= longest) { ++count; }
        state->counts[y] = (uint8_t)count;
    }
}

/* The best of the spans `from` to `count` - 1 of a state, shortest first, that were measured. `scores` are those of all
   starts, of which that of the shortest span lies at `slot`; `durations` NULL: they do not count. Raises *best and
   returns the length of the span in nodes, or leaves it and returns 0. */
static uint32_t best_span(const mh_decoder_state_t *state, const mh_decoder_table_t *table, uint32_t y,
                          const int32_t *scores, const int16_t *durations, uint32_t slot, uint32_t from,
                          uint32_t count, int32_t *best)
{
    const int16_t *const middles = state->at.middles + y * table->reach;
    const uint16_t *const lengths = state->at.lengths;
    const uint8_t *const centres = state->at.centres;
    const uint32_t bins_q16 = table->bins_q16[y], last_bin = table->n_bins - 1u;
    int32_t highest = *best;
    uint32_t length = 0, k = from;
    slot = before_in_ring(slot, from, table->reach);
    while (k < count) {
        const uint32_t stop = fewer(count, k + slot + 1u); /* where the ring starts anew */
        const int32_t *score_of = scores + slot;
        if (durations == NULL) {
            for (; k < stop; ++k) {
                const int32_t score = *score_of-- + middles[centres[k]];
                if (score > highest) {
                    highest = score;
                    length = k + 1u;
                }
            }
        }
        for (; k < stop; ++k) {
            const uint32_t bin = fewer((lengths[k] * bins_q16) >> 16, last_bin);
            const int32_t score = *score_of-- + middles[centres[k]] + durations[bin];
            if (score > highest) {
                highest = score;
                length = k + 1u;
            }
        }
        slot = table->reach - 1u;
    }
    *best = highest;
    return length;
}

/* The best of the spans `from` to `count` - 1 of a state, new or going on, that stop `ago` nodes before the newest one;
   a new one wins ties. Its arc is written. */
static int32_t best_arc(const mh_decoder_state_t *state, const mh_decoder_table_t *table, uint32_t ago, uint32_t y,
                        uint32_t from, uint32_t count, int timed, uint8_t *arc)
{
    const uint32_t chain = table->chain[y], reach = table->reach, slot = before_in_ring(state->score_row, ago, reach);
    const int32_t *const fresh = state->at.fresh + y * reach;
    int32_t best = BARELY;
    uint32_t found = 0, length, until = from;
    if (timed) {
        until = fewer(count, state->first - ago - 1u); /* where the stretch starts, no duration is known */
        found = best_span(state, table, y, fresh, table->duration + y * table->n_bins, slot, from, until, &best);
    }
    if (until < count) {
        length = best_span(state, table, y, fresh, NULL, slot, until, count, &best);
        if (length != 0) { found = length; }
    }
    if (chain != MH_DECODER_NONE) {
        length = best_span(state, table, y, state->at.chained + chain * reach, NULL, slot, from, count, &best);
        if (length != 0) { found = length | GOES_ON; }
    }
    *arc = (uint8_t)found;
    return found != 0 ? best : NEVER;
}

/* Find the best spans of each state that stop, and that go on, `ago` nodes before the newest one; the next node lies
   `gap` samples after that, or the stretch ends there if `last`. Scores of those that go on are written to `chained`. */
static void find_arcs(mh_decoder_state_t *state, const mh_decoder_table_t *table, uint32_t ago, int last, uint32_t gap,
                      int32_t *chained)
{
    const uint32_t n = table->n_states, slot = slot_of(state, table, ago);
    const int32_t *const total = ago == 0 ? state->total : state->at.totals + slot * n;
    const int16_t *const offset = ago == 0 ? state->newest + 2u * n : state->at.offsets + slot * n;
    const uint16_t *const lengths = state->at.lengths;
    uint8_t *row = arcs_of(state, table, ago);
    uint32_t y;
    for (y = 0; y < n; ++y) {
        const uint32_t chain = table->chain[y], count = fewer(state->counts[y], state->root - ago);
        const int32_t best = best_arc(state, table, ago, y, 0, count, !last, &row[y]);
        state->ended[y] = NEVER;
        if (row[y] != 0) { state->ended[y] = best + total[y] + (last ? 0 : offset[y]); }
        if (chain != MH_DECODER_NONE && !last) {
            /* Only the longest spans go on: those that cannot reach the next node. */
            uint32_t from = count;
            while (from > 0 && (lengths[from - 1u] + gap > table->longest[y] || from == table->reach)) { --from; }
            chained[chain] = best_arc(state, table, ago, y, from, count, 0, &row[2u * n + chain]);
            if (row[2u * n + chain] != 0) { chained[chain] += table->self_transition[y]; }
        }
    }
}

/* State of column k of the scores: those of new spans of each state, then those of the states that go on. */
static uint32_t state_of(const mh_decoder_table_t *table, uint32_t k)
{
    uint32_t y = 0;
    if (k < table->n_states) { return k; }
    while (table->chain[y] != k - table->n_states) { ++y; }
    return y;
}

static int32_t *column_of(const mh_decoder_state_t *state, const mh_decoder_table_t *table, uint32_t k)
{
    const uint32_t n = table->n_states, reach = table->reach;
    return k < n ? state->at.fresh + k * reach : state->at.chained + (k - n) * reach;
}

/* Take the scores of all hypotheses anew, from the best one at the latest of their nodes. */
static void rebase(mh_decoder_state_t *state, const mh_decoder_table_t *table)
{
    const uint32_t n = table->n_states, n_chains = table->n_chains, reach = table->reach;
    int32_t best = BARELY;
    uint32_t k, i;
    for (k = 0; k < n + n_chains; ++k) {
        const int32_t score = column_of(state, table, k)[state->score_row], total = state->total[state_of(table, k)];
        if (score > BARELY) { best = mh_max(best, score + total); }
    }
    if (best == BARELY) { return; }
    for (k = 0; k < n + n_chains; ++k) {
        int32_t *scores = column_of(state, table, k);
        const int32_t change = state->total[state_of(table, k)] - best;
        for (i = 0; i < reach; ++i) {
            if (scores[i] > BARELY) { scores[i] = mh_max(scores[i] + change, FLOOR); }
        }
    }
    for (k = 0; k < n && is_exact(table); ++k) {
        for (i = 0; i < reach; ++i) { state->at.totals[i * n + k] -= state->total[k]; }
    }
    for (k = 0; k < n; ++k) { state->total[k] = 0; }
}

/* Find the best state before a new span of each state that starts `ago` nodes before the newest one. */
static void find_starts(mh_decoder_state_t *state, const mh_decoder_table_t *table, uint32_t ago,
                        const int32_t *chained)
{
    const uint32_t n = table->n_states, reach = table->reach, slot = slot_of(state, table, ago);
    const int32_t *const total = ago == 0 ? state->total : state->at.totals + slot * n;
    const int16_t *const onset = ago == 0 ? state->newest + n : state->at.onsets + slot * n;
    uint8_t *before = arcs_of(state, table, ago) + n;
    uint32_t y, previous, alive = 0;
    for (y = 0; y < n; ++y) {
        int32_t best = BARELY;
        before[y] = 0;
        for (previous = 0; previous < n; ++previous) {
            const int32_t transition = table->transition[previous][y], score = state->ended[previous] + transition;
            if (score > best && transition != MH_DECODER_IMPOSSIBLE) {
                best = score;
                before[y] = (uint8_t)previous;
            }
        }
        if (best > BARELY) { alive |= 1u << y; }
        state->at.fresh[y * reach + slot] = best > BARELY ? best + onset[y] - total[y] : NEVER;
    }
    for (y = 0; y < table->n_chains; ++y) {
        if (chained[y] > BARELY) { alive |= 1u << (n + y); }
        state->at.chained[y * reach + slot] = chained[y];
    }
    *set_of(state, table, state->at.alive, ago) = (uint8_t)alive;
}

/* Enter the newest node into the rings of scores. */
static void enter(mh_decoder_state_t *state, const mh_decoder_table_t *table, const int32_t *chained)
{
    const uint32_t n = table->n_states, slot = slot_of(state, table, 0);
    uint32_t y;
    find_starts(state, table, 0, chained);
    for (y = 0; y < n; ++y) {
        state->at.middles[y * table->reach + slot] = state->newest[3u * n + y];
        if (!is_exact(table)) { continue; }
        state->at.onsets[slot * n + y] = state->newest[n + y];
        state->at.offsets[slot * n + y] = state->newest[2u * n + y];
        state->at.totals[slot * n + y] = state->total[y];
    }
    state->score_row = (uint8_t)slot;
}

/* Take what the newest node says, now that it is known where the next one lies, and enter that one. */
static void advance(mh_decoder_state_t *state, const mh_decoder_table_t *table, uint32_t position)
{
    uint32_t y, gap = position - position_of(state, table, 0);
    if (state->first != 0) {
        int32_t chained[MH_DECODER_MOST_STATES];
        find_arcs(state, table, 0, 0, fewer(gap, FARTHEST), chained);
        enter(state, table, chained);
        state->since = (uint8_t)(state->since + 1u);
        if (state->since == 0) { rebase(state, table); }
    }
    for (y = 0; y < table->n_states; ++y) { state->total[y] += state->newest[y]; }
    if (state->popped + 1u == table->rows) { /* nobody pops: committed spans are lost, the root never is */
        state->popped = (uint8_t)(state->popped - arcs_of(state, table, state->popped)[0]);
    }
    if (state->first < 255u) { ++state->first; }
    ++state->root;
    ++state->popped;
    state->row = (uint8_t)(state->row + 1u == table->rows ? 0u : state->row + 1u);
    state->at.positions[state->row] = position;
}

/* Whether a span that stops, or goes on, `ago` nodes before the newest one starts as it did and passes the root. */
static uint32_t is_kept(const mh_decoder_state_t *state, const mh_decoder_table_t *table, uint32_t ago, uint32_t y,
                        uint32_t arc)
{
    const uint32_t from = ago + (arc & 0x7fu), bit = (arc & GOES_ON) != 0 ? (uint32_t)table->n_states + table->chain[y] : y;
    if (arc == 0 || from > state->root) { return 0; }
    return (uint32_t)*set_of(state, table, is_exact(table) ? state->at.kept : state->at.alive, from) >> bit & 1u;
}

/* Hypotheses of a node at or after the root whose best path passes the root, as bits. */
static uint32_t kept_of(const mh_decoder_state_t *state, const mh_decoder_table_t *table, uint32_t ago)
{
    const uint32_t n = table->n_states, alive = *set_of(state, table, state->at.alive, ago);
    const uint8_t *row = arcs_of(state, table, ago);
    uint32_t asked = 0, stops = 0, kept = 0, y; /* states, as bits */
    if (ago == state->root) {
        if (state->root_linked) { return alive & 1u << (n + table->chain[state->root_state]); }
        asked = ~(uint32_t)0;
        stops = 1u << state->root_state;
    }
    for (y = 0; y < n; ++y) {
        const uint32_t before = row[n + y], chain = table->chain[y];
        if ((alive >> y & 1u) != 0) {
            if ((asked >> before & 1u) == 0) { stops |= is_kept(state, table, ago, before, row[before]) << before; }
            asked |= 1u << before;
            kept |= (stops >> before & 1u) << y;
        }
        if (chain != MH_DECODER_NONE && (alive >> (n + chain) & 1u) != 0 && ago != state->root) {
            kept |= is_kept(state, table, ago, y, row[2u * n + chain]) << (n + chain);
        }
    }
    return kept;
}

/* End hypotheses of a node. */
static void end_hypotheses(mh_decoder_state_t *state, const mh_decoder_table_t *table, uint32_t ago, uint32_t ended)
{
    const uint32_t slot = slot_of(state, table, ago);
    uint32_t k;
    *set_of(state, table, state->at.alive, ago) &= (uint8_t)~ended;
    for (k = 0; k < (uint32_t)table->n_states + table->n_chains && ago <= table->reach; ++k) {
        if ((ended >> k & 1u) != 0) { column_of(state, table, k)[slot] = NEVER; }
    }
}

/* Let every state follow that of the root; its score is that of a state which does. */
static void restart(mh_decoder_state_t *state, const mh_decoder_table_t *table, uint32_t kept)
{
    const uint32_t n = table->n_states, reach = table->reach, slot = slot_of(state, table, state->root);
    const int16_t *const onset = state->at.onsets + slot * n, *const transition = table->transition[state->root_state];
    const int32_t *const total = state->at.totals + slot * n;
    uint8_t *before = arcs_of(state, table, state->root) + n, *alive = set_of(state, table, state->at.alive, state->root);
    int32_t ended;
    uint32_t y = 0;
    while (y < n && (kept >> y & 1u) == 0) { ++y; }
    if (y == n) { return; }
    ended = state->at.fresh[y * reach + slot] + total[y] - onset[y] - transition[y];
    for (y = 0; y < n; ++y) {
        if (transition[y] == MH_DECODER_IMPOSSIBLE) { continue; }
        before[y] = state->root_state;
        *alive |= (uint8_t)(1u << y);
        state->at.fresh[y * reach + slot] = ended + transition[y] + onset[y] - total[y];
    }
}

/* Make every best path pass the root: where that to a hypothesis does not, look for the best one that does if the table
   is exact and there are scores from the root on, else end the hypothesis. */
static void restrict_to_root(mh_decoder_state_t *state, const mh_decoder_table_t *table)
{
    const int exact = is_exact(table) && state->root <= table->reach;
    uint32_t ago, intact = 0; /* nodes in a row without any change */
    for (ago = state->root; ago > 0 && intact < table->reach; --ago) {
        const uint32_t kept = kept_of(state, table, ago);
        const uint32_t lost = *set_of(state, table, state->at.alive, ago) & ~kept;
        if (is_exact(table)) { *set_of(state, table, state->at.kept, ago) = (uint8_t)kept; }
        ++intact;
        if (lost == 0) { continue; }
        intact = 0;
        if (!exact || ago == state->root) {
            end_hypotheses(state, table, ago, lost);
            if (exact && !state->root_linked) { restart(state, table, kept); }
        } else {
            int32_t chained[MH_DECODER_MOST_STATES];
            const uint32_t gap = position_of(state, table, ago - 1u) - position_of(state, table, ago);
            measure(state, table, ago);
            find_arcs(state, table, ago, 0, fewer(gap, FARTHEST), chained);
            find_starts(state, table, ago, chained);
        }
    }
    if (exact) { measure(state, table, 0); }
}

/* Whether there is no row for another node before a span is committed. */
static int is_full(const mh_decoder_state_t *state, const mh_decoder_table_t *table)
{
    return state->root + 1u >= table->rows;
}

/* Whether it is time to look for spans to commit, and the first one after the root may be old enough. */
static int may_commit(const mh_decoder_state_t *state, const mh_decoder_table_t *table)
{
    if (is_full(state, table)) { return 1; }
    return (state->since & (table->every - 1u)) == 0 && state->root > 1u &&
           position_of(state, table, 0) - position_of(state, table, state->root - 1u) >= table->lag;
}

/* Commit what ended `lag` ago on the best path of a stretch that ends at the newest node, all of it if `last`; and its
   first span, where the rows are full. */
static void commit(mh_decoder_state_t *state, const mh_decoder_table_t *table, int last)
{
    const uint32_t newest = position_of(state, table, 0), old_root = state->root;
    uint32_t ago = 0, y = 0, k, linked = 0, arc;
    const int full = is_full(state, table);
    int found = 0;
    for (k = 1; k < table->n_states; ++k) {
        if (state->ended[k] > state->ended[y]) { y = k; }
    }
    arc = arc_of(state, table, 0, y, 0);
    while (arc != 0 && ago < old_root) {
        const uint32_t length = arc & 0x7fu, from = ago + length, next_linked = (arc & GOES_ON) != 0;
        uint32_t next_arc = 0, next_y = y;
        if (from < old_root) {
            if (next_linked == 0) { next_y = arcs_of(state, table, from)[table->n_states + y]; }
            next_arc = arc_of(state, table, from, next_y, next_linked);
        }
        if (!found) {
            const int is_due = newest - position_of(state, table, ago) >= table->lag;
            const int is_early = from == old_root && full;
            if (last || (ago != 0 && (is_due || is_early))) {
                found = 1;
                state->root = (uint8_t)ago;
                state->root_state = (uint8_t)y;
                state->root_linked = (uint8_t)linked;
            }
        }
        if (found) {
            uint8_t *row = arcs_of(state, table, from); /* read above */
            row[0] = (uint8_t)length;
            row[1] = (uint8_t)(y | (next_linked != 0 ? SPAN_CONTINUED : 0u) |
                               (from == state->first ? SPAN_AT_START : 0u) | (last && ago == 0 ? SPAN_AT_END : 0u));
        }
        ago = from;
        y = next_y;
        linked = next_linked;
        arc = next_arc;
    }
    if (found && !last) { restrict_to_root(state, table); }
}

void mh_decoder_init(mh_decoder_state_t *state, mh_decoder_buffers_t buffers)
{
    state->at = buffers;
    state->earliest = 0;
    state->held = MH_DECODER_NONE;
    state->is_open = state->is_closed = 0;
    state->root = state->popped = 0;
}

void mh_decoder_open(mh_decoder_state_t *state, const mh_decoder_table_t *table, uint32_t position)
{
    const uint32_t n = table->n_states;
    uint32_t i;
    state->opened = position;
    state->held = MH_DECODER_NONE;
    state->is_open = 1;
    state->is_closed = 0;
    state->row = state->score_row = 0;
    state->since = 0;
    state->first = state->root = state->popped = 0;
    state->root_state = state->root_linked = 0;
    state->at.positions[0] = position;
    for (i = 0; i < table->reach * n; ++i) { state->at.fresh[i] = NEVER; }
    for (i = 0; i < (uint32_t)table->reach * table->n_chains; ++i) { state->at.chained[i] = NEVER; }
    for (i = 0; i < 4u * n; ++i) { state->newest[i] = 0; }
    for (i = 0; i < n; ++i) {
        state->total[i] = state->at.fresh[i * table->reach] = state->at.middles[i * table->reach] = 0;
        state->at.arcs[i] = state->at.arcs[n + i] = 0;
    }
    state->at.alive[0] = 0xff;
    for (i = 0; i < table->n_chains; ++i) { state->at.arcs[2u * n + i] = 0; }
    for (i = 0; i < 2u * table->n_shown; ++i) { state->at.shifts[i] = 0; }
}

void mh_decoder_push(mh_decoder_state_t *state, const mh_decoder_table_t *table, uint32_t position,
                     const int16_t *potentials, const int8_t *shifts)
{
    int8_t *kept;
    uint32_t i;
    if (!state->is_open || (int32_t)(position - position_of(state, table, 0)) <= 0) { return; }
    advance(state, table, position);
    for (i = 0; i < 4u * table->n_states; ++i) { state->newest[i] = potentials[i]; }
    kept = state->at.shifts + (uint32_t)state->row * 2u * table->n_shown;
    for (i = 0; i < table->n_states; ++i) {
        if (table->shown[i] == MH_DECODER_NONE) { continue; }
        kept[2u * table->shown[i]] = shifts[2u * i];
        kept[2u * table->shown[i] + 1u] = shifts[2u * i + 1u];
    }
    measure(state, table, 0);
    if (may_commit(state, table)) {
        find_arcs(state, table, 0, 1, 0, NULL);
        commit(state, table, 0);
    }
}

void mh_decoder_close(mh_decoder_state_t *state, const mh_decoder_table_t *table, uint32_t position)
{
    int8_t *kept;
    uint32_t i;
    if (!state->is_open) { return; }
    if ((int32_t)(position - position_of(state, table, 0)) <= 0) { position = position_of(state, table, 0) + 1u; }
    advance(state, table, position);
    kept = state->at.shifts + (uint32_t)state->row * 2u * table->n_shown;
    for (i = 0; i < 2u * table->n_shown; ++i) { kept[i] = 0; }
    measure(state, table, 0);
    find_arcs(state, table, 0, 1, 0, NULL);
    commit(state, table, 1);
    state->closed = position;
    state->is_open = 0;
    state->is_closed = 1;
}

/* The sample of a wave that is farthest from the chord between its ends; ties to the earlier. */
static uint32_t farthest_from_chord(const mh_signal_t *signal, uint32_t start, uint32_t stop)
{
    const int32_t first = mh_sample(signal, start), length = (int32_t)(stop - 1u - start);
    const int32_t rise = mh_sample(signal, stop - 1u) - first;
    int32_t farthest = 0, n;
    uint32_t best = start;
    for (n = 1; n < length; ++n) {
        const int32_t distance = mh_abs((mh_sample(signal, start + (uint32_t)n) - first) * length - rise * n);
        if (distance > farthest) {
            farthest = distance;
            best = start + (uint32_t)n;
        }
    }
    return best;
}

/* Sum of the `box` samples around sample k of the n from `start` on, which are mirrored beyond their ends. */
static int32_t box_sum(const mh_signal_t *signal, uint32_t start, int32_t n, int32_t k, int32_t box)
{
    int32_t sum = 0, i;
    for (i = k - box / 2; i < k - box / 2 + box; ++i) {
        const int32_t inside = i < 0 ? -1 - i : i >= n ? 2 * n - 1 - i : i;
        sum += mh_sample(signal, start + (uint32_t)inside);
    }
    return sum;
}

/* The middle of the upper 1 / top_part of a rise that starts at `onset` and was taken to end at `offset`. The top of a slow
   breath is broad, and noise decides where in it the signal is highest. */
static uint32_t middle_of_top(const mh_decoder_table_t *table, const mh_signal_t *signal, uint32_t onset,
                              uint32_t offset, uint32_t newest)
{
    const int32_t box = table->top_box, end = (int32_t)(offset - onset);
    const int32_t n = mh_min(end + table->top_reach, (int32_t)(newest + 1u - onset));
    int32_t peak = mh_max(0, end - table->top_reach), highest = INT32_MIN, start, stop, rise, k;
    for (k = peak; k < n; ++k) {
        const int32_t value = box_sum(signal, onset, n, k, box);
        if (value > highest) {
            highest = value;
            peak = k;
        }
    }
    rise = highest - box_sum(signal, onset, n, 0, box);
    for (start = peak; start > 0; --start) {
        if (table->top_part * (highest - box_sum(signal, onset, n, start - 1, box)) > rise) { break; }
    }
    for (stop = peak; stop < n; ++stop) {
        if (table->top_part * (highest - box_sum(signal, onset, n, stop, box)) > rise) { break; }
    }
    return onset + (uint32_t)((start + stop) / 2);
}

/* Turn the wave that is held into an event; returns 0 where it is none. */
static int finish_wave(mh_decoder_state_t *state, const mh_decoder_table_t *table, const mh_signal_t *signal,
                       uint32_t newest, mh_event_t *event)
{
    const uint32_t y = state->held;
    const uint32_t history = signal->mask < MH_DECODER_LONGEST_WAVE ? signal->mask : MH_DECODER_LONGEST_WAVE - 1u;
    uint32_t onset = state->onset, offset = state->offset, oldest = newest - history;
    state->held = MH_DECODER_NONE;
    if ((state->held_flags & ~(uint32_t)table->cut[y]) != 0) { return 0; }
    if ((int32_t)(onset - state->earliest) < 0) { onset = state->earliest; }
    if ((int32_t)(offset - newest) > 1) { offset = newest + 1u; }
    if ((int32_t)(offset - onset) < 2) { return 0; }
    state->earliest = offset;
    /* What reaches into signal that cannot be used is left out. */
    if ((int32_t)(onset - state->opened) < 0) { return 0; }
    if (state->is_closed && (int32_t)(offset - state->closed) > 0) { return 0; }
    if (newest <= history || (int32_t)(oldest - onset) < 0) { oldest = onset; }
    event->peak = MH_NO_PEAK;
    if (table->peak[y] == MH_PEAK_OF_CHORD && (int32_t)(offset - oldest) > 1) {
        event->peak = farthest_from_chord(signal, oldest, offset);
    }
    if (MH_WITH_TOPS && table->top_box != 0 && y == table->top_state && offset - onset >= table->top_from && oldest == onset) {
        offset = middle_of_top(table, signal, onset, offset, newest);
    }
    if (table->peak[y] == MH_PEAK_AT_OFFSET) { event->peak = offset; }
    event->onset = onset;
    event->offset = offset;
    event->label = table->label[y];
    event->flags = state->held_flags;
    return 1;
}

int mh_decoder_pop(mh_decoder_state_t *state, const mh_decoder_table_t *table, const mh_signal_t *signal,
                   uint32_t newest, mh_event_t *event)
{
    while (state->popped > state->root) {
        const uint8_t *span = arcs_of(state, table, state->popped);
        const uint32_t length = span[0], y = span[1] & SPAN_STATE, stop = state->popped - length;
        const int continued = (span[1] & SPAN_CONTINUED) != 0, at_end = (span[1] & SPAN_AT_END) != 0;
        const uint32_t shown = table->shown[y];
        if (state->held != MH_DECODER_NONE && !(continued && state->held == y)) {
            if (finish_wave(state, table, signal, newest, event)) { return 1; }
        }
        if (shown != MH_DECODER_NONE) {
            if (state->held == MH_DECODER_NONE) {
                state->held = (uint8_t)y;
                state->held_flags = (span[1] & SPAN_AT_START) != 0 ? MH_EVENT_CUT_AT_START : 0u;
                state->onset = edge_of(state, table, state->popped, 2u * shown);
            }
            state->offset = edge_of(state, table, stop, 2u * shown + 1u);
            if (at_end) { state->held_flags |= MH_EVENT_CUT_AT_END; }
        }
        state->popped = (uint8_t)stop;
        if (state->held != MH_DECODER_NONE && (at_end || table->chain[y] == MH_DECODER_NONE)) {
            if (finish_wave(state, table, signal, newest, event)) { return 1; }
        }
    }
    return 0;
}
