"""Signal quality in whole numbers, bit for bit that of ``export/runtime/mh_quality.c``; compare `_quality`."""

from __future__ import annotations

from numba import njit

from mhealth._kernels._fixed import rounded_shift

__all__ = ["COEFFICIENT_BITS", "MISSING", "NONE", "decide", "drain", "short"]

MISSING = -(2**31)  # MH_MISSING
NONE = 255  # no code is due yet
COEFFICIENT_BITS = 29  # after the binary point of a filter's coefficients, which are below 4
_IS_MISSING, _IS_RAIL = 1, 2  # bits in the ring of flags
_USABLE, _DROPOUT, _FLAT, _SATURATED, _NOISE = range(5)  # as in mhealth.dsp.Reason
_MOST = 2**16 - 1  # where counters stop


@njit(cache=True, nogil=True)
def short(value):
    """Return a number below 2^63 as 16 bits that are ordered as numbers are: six of exponent, ten of eleven digits."""
    exponent = 0
    while value >= 2048:
        value >>= 1
        exponent += 1
    return (exponent << 10) + value


@njit(cache=True, nogil=True)
def _long(code):
    """Return the smallest number that `short` turns into `code`."""
    exponent = max((code >> 10) - 1, 0)
    return (code - (exponent << 10)) << exponent


@njit(cache=True, nogil=True)
def _release(s, flags):
    """Return the code of the sample half a ring ago."""
    if s.heard < s.look:
        return NONE
    middle = s.slot - s.look
    if middle < 0:
        middle += len(flags)
    if flags[middle] & _IS_MISSING:
        return _DROPOUT
    if s.constant_left > 0:
        return s.constant_code
    if 2 * s.n_rail > len(flags):
        return _SATURATED
    return _NOISE if s.noisy else _USABLE


@njit(cache=True, nogil=True)
def _step(s, flags):
    s.heard = min(s.heard + 1, _MOST)
    s.constant_left = max(s.constant_left - 1, 0)
    s.slot += 1
    if s.slot == len(flags):
        s.slot = 0


@njit(cache=True, nogil=True)
def _end_run(s):
    if not s.is_flat:
        s.longest = max(s.longest, s.run)
    s.is_flat = 0
    s.run = 0


@njit(cache=True, nogil=True)
def _note_run(s):
    """Decide whether the value has stood still for so long that the lead must be off."""
    if not s.is_flat and s.run > max(s.still, 2 * max(s.longest, s.longest_before)):
        s.is_flat = 1
        s.constant_code = _SATURATED if s.at_extreme else _FLAT
    if s.is_flat:
        s.constant_left = s.look + 1


@njit(cache=True, nogil=True)
def _note_steps(s, value):
    """Decide whether the signal has moved between neighbouring steps of its converter only."""
    change = abs(value - s.last) if s.last != MISSING else 0
    if change > 0 and (s.step == 0 or change < s.step):
        s.step = change
    s.n_valid = min(s.n_valid + 1, _MOST)
    extent = max(s.high, s.high_before) - min(s.low, s.low_before)
    if s.n_valid > s.look and extent << 8 <= s.fewest_steps * s.step:
        s.constant_code = _FLAT
        s.constant_left = s.look + 1


@njit(cache=True, nogil=True)
def _on_rail(s, value):
    """Say whether the signal sits at a running extreme that it reached in a jump."""
    if s.bucket_left == 0:
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
    zone = (s.rail_zone * (high - low)) >> 32
    if high == low or (value - low > zone and high - value > zone):
        s.jumped = 0
        s.at_extreme = 0
        return 0
    if s.last != MISSING and abs(value - s.last) << 16 > s.rail_step * (high - low):
        s.jumped = 1
    elif s.at_extreme == 0:
        s.jumped = 0
    s.at_extreme = 1
    return s.jumped


@njit(cache=True, nogil=True)
def _section(c, x, inputs, outputs):
    """Return the output of a second-order section for input x; the last two inputs and outputs come newest first."""
    total = c[0] * x + c[1] * inputs[0] + c[2] * inputs[1] + c[3] * outputs[0] + c[4] * outputs[1]
    return rounded_shift(total, COEFFICIENT_BITS)


@njit(cache=True, nogil=True)
def _shift(last, value):
    last[1] = last[0]
    last[0] = value


@njit(cache=True, nogil=True)
def _filter(s, value, sections, memory, energy):
    """Add the energy of one sum of samples to `energy`, one entry a band."""
    value <<= s.fraction
    for band in range(len(sections)):
        first, second = memory[1 + 2 * band], memory[2 + 2 * band]
        x = _section(sections[band, 0], value, memory[0], first)
        y = _section(sections[band, 1], x, first, second)
        _shift(first, x)
        _shift(second, y)
        energy[band] += y * y
    _shift(memory[0], value)


@njit(cache=True, nogil=True)
def _ranked(values, n, rank):
    """Return the value among the first `n` that exceeds the share `rank` of them; the largest for the most."""
    place = (rank * n) >> 16
    for i in range(n):
        n_below = n_equal = 0
        for k in range(n):
            n_below += values[k] < values[i]
            n_equal += values[k] == values[i]
        if n_below <= place < n_below + n_equal:
            return values[i]
    return values[0]


@njit(cache=True, nogil=True)
def _judge(s, energy, floors, peaks):
    """Take the energies of a whole block and decide whether the signal is noise."""
    floors[s.floor_slot] = short(energy[1])
    s.floor_slot = (s.floor_slot + 1) % len(floors)
    s.n_floors = min(s.n_floors + 1, len(floors))
    if s.peak_left == 0:
        s.peak_left = s.peak_blocks
        s.peak_slot = (s.peak_slot + 1) % len(peaks)
        s.n_peaks = min(s.n_peaks + 1, len(peaks))
        peaks[s.peak_slot] = 0
    s.peak_left -= 1
    peaks[s.peak_slot] = max(peaks[s.peak_slot], short(energy[0]))
    if s.n_floors < s.warm_up:
        return
    peak = _long(_ranked(peaks, s.n_peaks, s.peak_rank))
    ratio = s.leave if s.noisy else s.enter
    limit = short((peak >> 16) * ratio + (((peak & 0xFFFF) * ratio) >> 16))
    n_quiet = 0
    for k in range(s.n_floors):
        n_quiet += floors[k] <= limit
    noisy = n_quiet << 16 < s.quiet_share * s.n_floors
    if noisy and not s.noisy:
        s.noisy = 1
        s.hold = s.shortest_noise
    elif not noisy and s.hold == 0:
        s.noisy = 0


@njit(cache=True, nogil=True)
def decide(samples, s, flags, sections, memory, energy, floors, peaks, off, codes):
    """Take samples and write one code each: that of the sample `look` before it, `NONE` if there is none.

    Parameters
    ----------
    samples : int64 (n,)
        Of 16 bits, or `MISSING`.
    s : record of int64
        Table and state of `mhealth.export._quality`.
    flags : uint8 (2 * look + 1,)
    sections : int64 (2, 2, 5)
        b0, b1, b2, −a1, −a2 of each section of each band.
    memory : int64 (5, 2)
        Last two inputs of the filters, then outputs of each section.
    energy : int64 (2,)
    floors, peaks : int64
    off : bool (n,), out
        Whether the lead is known to be off at a sample.
    codes : uint8 (n,), out
    """
    for m in range(len(samples)):
        value = samples[m]
        flag = 0
        if value == MISSING:
            flag = _IS_MISSING
            s.jumped = 0
            _end_run(s)
        else:
            if value != s.last:
                _end_run(s)
            s.run = min(s.run + 1, _MOST)
            if not s.is_flat and _on_rail(s, value) and s.heard >= s.range_known:
                flag = _IS_RAIL
            _note_run(s)
            if s.fewest_steps > 0:
                _note_steps(s, value)
            s.total += value
        s.last = value
        off[m] = s.is_flat and s.flat_is_off
        if flag == _IS_MISSING or s.is_flat:
            s.skip = 1
            s.restart = 1

        s.box_left -= 1
        if s.box_left == 0:
            if not s.skip:
                if s.restart:
                    s.restart = 0
                    s.offset = s.total
                    memory[:] = 0
                _filter(s, s.total - s.offset, sections, memory, energy)
            s.box_left = s.box
            s.total = 0
        s.block_left -= 1
        if s.block_left == 0:
            if not s.skip:
                _judge(s, energy, floors, peaks)
            s.block_left = s.block
            s.skip = 0
            energy[:] = 0
        s.hold = max(s.hold - 1, 0)

        s.n_rail = s.n_rail + (flag >> 1) - (flags[s.slot] >> 1)
        flags[s.slot] = flag
        codes[m] = _release(s, flags)
        _step(s, flags)


@njit(cache=True, nogil=True)
def drain(s, flags, codes):
    """Write the codes of the last `look` samples, by what there is; return how many."""
    n_codes = 0
    for _ in range(s.look):
        code = _release(s, flags)
        if code != NONE:
            codes[n_codes] = code
            n_codes += 1
        _step(s, flags)
    return n_codes
