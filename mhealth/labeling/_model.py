"""What a trained labeler consists of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mhealth.crf import SpanWeights
from mhealth.labeling._channels import lead_columns
from mhealth.labeling._emission import SparseEmission
from mhealth.labeling._task import Task
from mhealth.sparse import Dictionary

__all__ = ["Model"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Model:
    """Everything that was learned, and what for.

    Parameters
    ----------
    task : Task
    emission : SparseEmission
    weights : SpanWeights
    dictionaries : tuple of Dictionary
        One for each window of the settings, then those of the context; so for each of `leads`, where there are any.
    n_nonzero : int
        Atoms a window may take.
    calibration : ndarray of float64, shape (2, n_labels, 2, n_knots)
        Marginals of each label, and the probability that each maps to; of a lead alone, and of several together.
    joint : ndarray of float32, shape (n_states,)
        What simultaneous leads add to the mean of their onset scores, for each doubling of their number beyond two.
    leads : tuple of str
        Leads whose codes lie side by side (early fusion): the model knows these together. Empty: it knows any lead.
    """

    task: Task
    emission: SparseEmission
    weights: SpanWeights
    dictionaries: tuple[Dictionary, ...]
    n_nonzero: int
    calibration: NDArray[np.float64]
    joint: NDArray[np.float32]
    leads: tuple[str, ...] = ()

    def groups(self, channels: Sequence[str], *, fused: bool) -> list[list[int]]:
        """Return the positions of the channels that decide together, group by group.

        Raises
        ------
        InvalidSignalError
            If a lead that the model needs is missing.
        """
        if self.leads:
            return [lead_columns(self.leads, channels)]
        return [list(range(len(channels)))] if fused else [[k] for k in range(len(channels))]

    def calibrated(self, marginal: NDArray[np.float64], label: int, *, together: bool) -> NDArray[np.float64]:
        """Return the probability that an expert marks a wave where the CRF, of leads together or alone, gives this."""
        knots, values = self.calibration[int(together), label]
        return np.interp(marginal, knots, values)

    def check(self) -> None:
        """Check that the parts fit together.

        Raises
        ------
        ValueError
            If a shape contradicts another, or a number is not finite.
        """
        emission, features, n_states = self.emission, self.task.front_end.features, self.task.grammar.n_states
        first, second, n_leads = len(emission.threshold), len(emission.second_threshold), max(1, len(self.leads))
        n_columns = 2 * sum(dictionary.n_atoms for dictionary in self.dictionaries)
        expected = {
            "of_dense": (n_leads * features.context.n_dense, first),
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
        if lengths != features.lengths * n_leads:
            raise ValueError(f"atoms have lengths {lengths}, windows {features.lengths * n_leads}")
        maps = self.calibration
        fits = maps.ndim == 4 and maps.shape[:3] == (2, len(self.task.labels), 2) and maps.shape[3] > 1
        if not (fits and (np.diff(maps) >= 0).all() and maps.min() >= 0 and maps.max() <= 1):
            raise ValueError("calibration holds no monotone maps of [0, 1], two a label")
        if self.joint.shape != (n_states,) or self.joint.dtype != np.float32 or not np.isfinite(self.joint).all():
            raise ValueError(f"joint is not finite float32 of shape {(n_states,)}")
        if self.n_nonzero < 1:
            raise ValueError(f"n_nonzero={self.n_nonzero} is out of range")
        self.weights.checked(self.task.grammar)
