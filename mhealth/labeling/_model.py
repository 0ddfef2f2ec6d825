"""What a trained ECG labeler consists of, and how it is kept in a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mhealth.crf import ECG_GRAMMAR, Grammar, SpanWeights
from mhealth.labeling._emission import SparseEmission
from mhealth.labeling._features import LOOKAHEAD, RATE
from mhealth.labeling._front_end import FrontEnd
from mhealth.labeling._group import ECG_CLASSES
from mhealth.sparse import Dictionary

__all__ = ["EcgModel"]


@dataclass(frozen=True, eq=False, kw_only=True)
class EcgModel:
    """Everything that was learned, and the settings it was learned with.

    Parameters
    ----------
    emission : SparseEmission
    weights : SpanWeights
    dictionaries : tuple of Dictionary
        One for each window of the settings, then those of the average beat before and after.
    n_nonzero : int
        Atoms a window may take.
    calibration : ndarray of float64, shape (n_labels, 2, n_knots)
        Marginals of each label, and the probability that each maps to.
    grammar : Grammar
    front_end : FrontEnd
    """

    emission: SparseEmission
    weights: SpanWeights
    dictionaries: tuple[Dictionary, ...]
    n_nonzero: int
    calibration: NDArray[np.float64]
    grammar: Grammar = ECG_GRAMMAR
    front_end: FrontEnd = field(default_factory=FrontEnd)

    @cached_property
    def label_of_state(self) -> NDArray[np.int64]:
        """Index of the label of each state, −1 where it is not reported."""
        reported = dict(self.grammar.reported)
        order = [label for _, label in self.grammar.reported]
        return np.array([order.index(reported[s]) if s in reported else -1 for s in self.grammar.states])

    def calibrated(self, marginal: NDArray[np.float64], label: int) -> NDArray[np.float64]:
        """Return the probability that an expert marks a wave where the CRF gives this marginal."""
        knots, values = self.calibration[label]
        return np.interp(marginal, knots, values)

    def check(self) -> None:
        """Check that the parts fit together.

        Raises
        ------
        ValueError
            If a shape contradicts another, or a number is not finite.
        """
        from mhealth._kernels._beats import HORIZON, N_RHYTHM

        emission, n_states = self.emission, self.grammar.n_states
        first, second = len(emission.threshold), len(emission.second_threshold)
        n_columns = 2 * sum(dictionary.n_atoms for dictionary in self.dictionaries)
        expected = {
            "of_dense": (N_RHYTHM, first),
            "of_codes": (n_columns, first),
            "threshold": (first,),
            "second": (first, second),
            "second_threshold": (second,),
            "last": (second, 6 * n_states),
            "bias": (6 * n_states,),
        }
        for name, array in emission.to_arrays().items():
            if array.shape != expected[name] or array.dtype != np.float32 or not np.isfinite(array).all():
                raise ValueError(f"emission.{name} is not finite float32 of shape {expected[name]}")
        lengths = tuple(dictionary.atom_length for dictionary in self.dictionaries)
        if lengths != self.front_end.features.lengths:
            raise ValueError(f"atoms have lengths {lengths}, windows {self.front_end.features.lengths}")
        features = self.front_end.features
        reach = max(window.before for window in features.windows), max(window.after for window in features.windows)
        # Windows must lie in what a stream keeps and waits for; the kernels rely on it.
        if not (reach[0] * RATE <= HORIZON and reach[1] * RATE <= LOOKAHEAD and 0 < features.knee < np.inf):
            raise ValueError(f"windows reach {reach} s, or knee={features.knee} is no positive number")
        if not (0 < features.average_width <= features.average_half <= LOOKAHEAD):
            raise ValueError(f"the average beat has ±{features.average_half} samples by {features.average_width}")
        maps = self.calibration
        fits = maps.ndim == 3 and maps.shape[:2] == (3, 2) and maps.shape[2] > 1
        if not (fits and (np.diff(maps) >= 0).all() and maps.min() >= 0 and maps.max() <= 1):
            raise ValueError("calibration holds no monotone maps of [0, 1], one a label")
        if tuple(label for _, label in self.grammar.reported) != ECG_CLASSES[:3]:
            raise ValueError(f"the grammar reports {self.grammar.reported}, not {ECG_CLASSES[:3]} in this order")
        if self.n_nonzero < 1:
            raise ValueError(f"n_nonzero={self.n_nonzero} is out of range")
        self.weights.checked(self.grammar)
