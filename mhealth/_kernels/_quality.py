"""The state machine behind signal quality: one lead, one sample at a time."""

from __future__ import annotations

import math

from numba import njit

__all__ = ["decide", "drain"]

_MISSING, _RAIL = 1, 2  # bits in the ring of flags
_USABLE, _DROPOUT, _FLAT, _SATURATED, _NOISE = range(5)  # as in mhealth.dsp.Reason


@njit(cache=True, nogil=True)
def _release(s, flags):
    """Return the code of the sample half a ring ago."""
    middle = s.slot - s.look
    if middle < 0:
        middle += len(flags)
    if flags[middle] & _MISSING:
        return _DROPOUT
    if s.position - s.look < s.constant_until:
        return s.constant_code
    if 2 * s.n_rail > len(flags):
        return _SATURATED
    return _NOISE if s.noisy else _USABLE


@njit(cache=True, nogil=True)
def _step(s, flags):
    s.position += 1
    s.slot += 1
    if s.slot == len(flags):
        s.slot = 0


@njit(cache=True, nogil=True)
def _end_run(s):
    """Remember how long the signal has stood still, unless it was found to be flat."""
    if not s.is_flat:
        s.longest = max(s.longest, s.run)
    s.is_flat = 0
    s.run = 0


@njit(cache=True, nogil=True)
def _note_run(s):
    """Decide whether the value has stood still for so long that the lead must be off.

    Between the waves of a coarsely quantised ECG the value may stand still for half a second, but not for twice as long
    as it did between the waves before.
    """
    if not s.is_flat and s.run > max(s.still, 2 * max(s.longest, s.longest_before)):
        s.is_flat = 1
        s.constant_code = _SATURATED if s.at_extreme else _FLAT
    if s.is_flat:
        s.constant_until = s.position + 1


@njit(cache=True, nogil=True)
def _note_steps(s, value):
    """Decide whether the signal has moved between neighbouring steps of its converter only, as far as is remembered."""
    change = abs(value - s.last)
    if change > 0 and (s.step == 0 or change < s.step):
        s.step = change
    s.n_heard += 1
    extent = max(s.high, s.high_before) - min(s.low, s.low_before)
    if s.n_heard > s.look and extent <= s.fewest_steps * s.step:
        s.constant_code = _FLAT
        s.constant_until = s.position + 1


@njit(cache=True, nogil=True)
def _on_rail(s, value):
    """Say whether the signal sits at a running extreme that it reached in a jump."""
    if s.bucket_left == 0:  # forget the extremes of the bucket before the last
        s.bucket_left = s.bucket
        s.high_before, s.low_before = s.high, s.low
        s.high = s.low = value
        s.longest_before = s.longest
        s.longest = 0
    s.bucket_left -= 1
    s.high = max(s.high, value)
    s.low = min(s.low, value)
    high = max(s.high, s.high_before)
    low = min(s.low, s.low_before)
    zone = s.rail_zone * (high - low)
    if high == low or low + zone < value < high - zone:
        s.jumped = 0
        s.at_extreme = 0
        return 0
    # A jump is a change that would cross the whole range within `rail_time`.
    if abs(value - s.last) > s.rail_step * (high - low):
        s.jumped = 1
    elif s.at_extreme == 0:
        s.jumped = 0
    s.at_extreme = 1
    return s.jumped


@njit(cache=True, nogil=True)
def _filter(s, value, sections, memory, energy):
    """Add the energy of one sample at the analysis rate to `energy`, one entry a band."""
    for band in range(len(sections)):
        y = value
        for k in range(sections.shape[1]):
            c = sections[band, k]
            z = memory[band, k]
            x = y
            y = c[0] * x + z[0]
            z[0] = c[1] * x - c[4] * y + z[1]
            z[1] = c[2] * x - c[5] * y
        energy[band] += y * y


@njit(cache=True, nogil=True)
def _ranked(values, rank):
    """Return the value that exceeds the share `rank` of them; the largest for 1."""
    place = min(int(rank * len(values)), len(values) - 1)
    for value in values:
        n_below = n_equal = 0
        for other in values:
            n_below += other < value
            n_equal += other == value
        if n_below <= place < n_below + n_equal:
            return value
    return values[0]


@njit(cache=True, nogil=True)
def _judge(s, energy, floors, peaks):
    """Take the energies of a whole block and decide whether the signal is noise."""
    floors[s.floor_slot] = energy[1]
    s.floor_slot = (s.floor_slot + 1) % len(floors)
    s.n_floors = min(s.n_floors + 1, len(floors))
    if s.peak_left == 0:
        s.peak_left = s.peak_blocks
        s.peak_slot = s.n_peaks % len(peaks)
        s.n_peaks += 1
        peaks[s.peak_slot] = 0.0
    s.peak_left -= 1
    peaks[s.peak_slot] = max(peaks[s.peak_slot], energy[0])
    if s.n_floors < s.warm_up:
        return
    limit = (s.leave if s.noisy else s.enter) * _ranked(peaks[: s.n_peaks], s.peak_rank)
    n_quiet = 0
    for k in range(s.n_floors):
        n_quiet += floors[k] <= limit
    noisy = n_quiet < s.quiet_share * s.n_floors
    if noisy and not s.noisy:
        s.noisy = 1
        s.hold = s.shortest_noise
    elif not noisy and s.hold == 0:
        s.noisy = 0


@njit(cache=True, nogil=True)
def decide(samples, s, flags, sections, memory, energy, floors, peaks, off, codes):
    """Take samples, float32, and write the codes that are final now to `codes`; return how many.

    `s` is the record of scalars, `flags` the ring of 2 · look + 1 sample flags, `sections` and `memory` the
    second-order sections of the two bands and their states, `energy` the sums of the running block, `floors` and
    `peaks` the rings of block energies. `off` says of every sample whether the lead is known to be off there.
    """
    n_codes = 0
    for m in range(len(samples)):
        value = float(samples[m])
        flag = 0
        if math.isnan(value):
            flag = _MISSING
            s.jumped = 0
            _end_run(s)
        else:
            if value != s.last:
                _end_run(s)
            s.run += 1
            if not s.is_flat and _on_rail(s, value) and s.position >= s.range_known:
                flag = _RAIL
            _note_run(s)
            if s.fewest_steps > 0:
                _note_steps(s, value)
        s.last = value
        off[m] = s.is_flat and s.flat_is_off
        if flag == _MISSING or s.is_flat:
            s.skip = 1
            s.restart = 1

        s.total += value
        s.box_left -= 1
        if s.box_left == 0:
            if not s.skip:
                if s.restart:
                    s.restart = 0
                    s.offset = s.total
                    memory[:] = 0.0
                _filter(s, s.total - s.offset, sections, memory, energy)
            s.box_left = s.box
            s.total = 0.0
        s.block_left -= 1
        if s.block_left == 0:
            if not s.skip:
                _judge(s, energy, floors, peaks)
            s.block_left = s.block
            s.skip = 0
            energy[:] = 0.0
        s.hold = max(s.hold - 1, 0)

        s.n_rail = s.n_rail + (flag >> 1) - (flags[s.slot] >> 1)
        flags[s.slot] = flag
        if s.position >= s.look:
            codes[n_codes] = _release(s, flags)
            n_codes += 1
        _step(s, flags)
    return n_codes


@njit(cache=True, nogil=True)
def drain(s, flags, codes):
    """Write the codes of the last `look` samples, by the last second of the signal; return how many."""
    n_codes = 0
    for _ in range(s.look):
        if s.position >= s.look:
            codes[n_codes] = _release(s, flags)
            n_codes += 1
        _step(s, flags)
    return n_codes
