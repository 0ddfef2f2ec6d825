"""Signal quality in whole numbers: `mhealth.dsp.SignalQuality` as ``runtime/mh_quality.c`` computes it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.core import new_state
from mhealth.dsp import Judgement, SignalQuality
from mhealth.errors import InvalidParameterError
from mhealth.export._c_tables import c_table

__all__ = ["QualityTable", "QualityTwin"]

_HIGHEST = 2**29
"""What no filter's output reaches, so that the energy of a block stays below 2^63."""

_SIZES = (
    (2**32 - 1, ("rail_zone", "rail_step")),
    (2**16 - 1, ("enter", "leave", "quiet_share", "peak_rank", "fewest_steps")),
    (2**15 - 1, ("look", "still", "bucket", "range_known", "shortest_noise")),
    (2**8 - 1, ("box", "block", "peak_blocks", "warm_up", "n_floors", "n_peaks", "fraction", "flat_is_off")),
)
"""The largest number that C keeps each entry in; twice a number of samples must fit into 16 bits too."""

_STATE = np.dtype(
    [(name, np.int64) for name in (
        "rail_zone", "rail_step", "enter", "leave", "quiet_share", "peak_rank", "fewest_steps",
        "look", "still", "bucket", "range_known", "shortest_noise", "box", "block", "peak_blocks", "warm_up",
        "fraction", "flat_is_off",
        "heard", "n_valid", "slot", "n_rail", "run", "longest", "longest_before", "is_flat", "constant_left",
        "constant_code", "last", "step", "high", "low", "high_before", "low_before", "bucket_left", "at_extreme",
        "jumped", "total", "offset", "box_left", "block_left", "skip", "restart",
        "floor_slot", "n_floors", "peak_slot", "n_peaks", "peak_left", "noisy", "hold",
    )]
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class QualityTable:
    """Settings of signal quality at one sampling rate, in whole numbers.

    Attributes
    ----------
    sections : tuple
        Of each band, of each of its two second-order sections: b0, b1, b2, −a1, −a2 as Q2.29.
    fraction : int
        Binary digits after the point with which the filters run.
    rail_zone : int
        Share of the running range, as Q0.32.
    rail_step : int
        Change a sample as a share of the running range, as Q16.16.
    enter, leave, quiet_share, peak_rank : int
        Shares, as Q0.16.
    fewest_steps : int
        Steps of the converter, as Q8.8.
    look, still, bucket, range_known, shortest_noise, box, block : int
        Samples.
    peak_blocks, warm_up, n_floors : int
        Blocks.
    n_peaks : int
        Deflections that are remembered.
    flat_is_off : int
        Whether a flat line ends the stretch.
    """

    sections: tuple[tuple[tuple[int, ...], ...], ...]
    fraction: int
    rail_zone: int
    rail_step: int
    enter: int
    leave: int
    quiet_share: int
    peak_rank: int
    fewest_steps: int
    look: int
    still: int
    bucket: int
    range_known: int
    shortest_noise: int
    box: int
    block: int
    peak_blocks: int
    warm_up: int
    n_floors: int
    n_peaks: int
    flat_is_off: int

    @classmethod
    def of(cls, quality: SignalQuality, *, fs: float) -> QualityTable:
        """Return the table of a lead sampled at `fs` Hz.

        Raises
        ------
        InvalidParameterError
            If a setting does not fit into the number that C keeps it in.
        """
        from mhealth._kernels._fixed_quality import COEFFICIENT_BITS

        counts, sections = quality.counts(fs=fs), quality.sections(fs=fs)
        signed = sections[:, :, [0, 1, 2, 4, 5]] * [1, 1, 1, -1, -1]
        coefficients = np.rint(signed * 2**COEFFICIENT_BITS).astype(np.int64)
        values = {
            **counts,
            "n_floors": counts["floor_blocks"],
            "n_peaks": quality.peak_buckets,
            "flat_is_off": int(quality.flat_is_off),
            "fraction": int(math.log2(_HIGHEST / (_largest_gain(sections) * counts["box"] * (2**16 - 1)))),
            "rail_zone": min(math.ceil(quality.rail_zone * 2**32), 2**32 - 1),
            "rail_step": min(round(2**16 / (quality.rail_time * fs)) if quality.rail_time else 2**32, 2**32 - 1),
            "enter": round(quality.enter * 2**16),
            "leave": round(quality.leave * 2**16),
            # So that a share of a count that is a whole number stays below the next one, and reaches it, respectively.
            "quiet_share": min(math.floor(quality.quiet_share * 2**16), 2**16 - 1),
            "peak_rank": min(math.ceil(quality.peak_rank * 2**16), 2**16 - 1),
            "fewest_steps": round(quality.fewest_steps * 2**8),
        }
        del values["floor_blocks"]
        for highest, names in _SIZES:
            for name in names:
                if not 0 <= values[name] <= highest:
                    raise InvalidParameterError(
                        f"{name}={values[name]} of the quality at fs={fs:g} Hz must be a number from 0 to {highest} to "
                        "be exported; change the setting that it stems from, or the rate."
                    )
        if values["block"] > 31 * values["box"]:
            raise InvalidParameterError(
                f"block={quality.block!r} at analysis_rate={quality.analysis_rate!r} must hold at most 31 averages to "
                "be exported."
            )
        return cls(sections=tuple(tuple(tuple(row) for row in band) for band in coefficients.tolist()), **values)

    def open(self) -> QualityTwin:
        """Return the twin of the C stream, at the start of a lead."""
        return QualityTwin(self)

    def to_c(self, name: str) -> str:
        """Return the definition of the table, a ``mh_quality_table_t``, as C source."""
        return c_table("mh_quality_table_t", name, asdict(self))


def _largest_gain(sections: NDArray[np.float64]) -> float:
    """Return the largest sum of magnitudes of an impulse response after any section, and a little more for rounding."""
    from scipy.signal import sosfilt

    impulse = np.zeros(2**12)
    impulse[0] = 1.0
    gains = [np.abs(sosfilt(band[:stop].copy(), impulse)).sum() for band in sections for stop in (1, 2)]
    return 1.01 * max(1.0, *gains)


class QualityTwin:
    """The judgement of one lead in whole numbers; made by `QualityTable.open`."""

    def __init__(self, table: QualityTable) -> None:
        from mhealth._kernels._fixed_quality import MISSING

        settings = asdict(table)
        self._sections = np.array(settings.pop("sections"), np.int64)
        self._floors = np.zeros(settings.pop("n_floors"), np.int64)
        self._peaks = np.zeros(settings.pop("n_peaks"), np.int64)
        self._state = new_state(
            _STATE, **settings, last=MISSING, high=-(2**15), high_before=-(2**15), low=2**15 - 1, low_before=2**15 - 1,
            bucket_left=table.bucket, box_left=table.box, block_left=table.block, restart=1,
            peak_slot=len(self._peaks) - 1,
        )  # fmt: skip
        self._flags = np.zeros(2 * table.look + 1, np.uint8)
        self._memory, self._energy = np.zeros((5, 2), np.int64), np.zeros(2, np.int64)

    def push(self, samples: ArrayLike) -> NDArray[np.uint8]:
        """Take the next samples and return one code each, as C does.

        Parameters
        ----------
        samples : array_like of int, shape (n,)
            ADC units of 16 bits, or `MISSING`.

        Returns
        -------
        codes : ndarray of uint8, shape (n,)
            `mhealth.dsp.Reason` of the sample `look` before each; `NONE` where there is none.
        """
        return self.judge(samples).codes

    def judge(self, samples: ArrayLike) -> Judgement:
        """Take the next samples; return codes as `push` does, and at which of the samples the lead is off."""
        from mhealth._kernels._fixed_quality import decide

        samples = np.asarray(samples, np.int64)
        codes = np.empty(len(samples), np.uint8)
        off = np.empty(len(samples), bool)
        decide(
            samples, self._state[0], self._flags, self._sections, self._memory, self._energy, self._floors,
            self._peaks, off, codes,
        )  # fmt: skip
        return Judgement(codes, off)

    def flush(self) -> NDArray[np.uint8]:
        """Return the codes of the last samples, at most `look`."""
        from mhealth._kernels._fixed_quality import drain

        codes = np.empty(self._state[0].look, np.uint8)
        return codes[: drain(self._state[0], self._flags, codes)]
