"""The OMP kernel beside scikit-learn's."""

from __future__ import annotations

import time
import warnings

import numpy as np
from sklearn.linear_model import orthogonal_mp_gram

from experiments.benchmarks.labeling import raw_features
from mhealth.labeling import load
from mhealth.sparse import omp

__all__ = ["Omp"]


class Omp:
    """Windows of real ECG over the model's dictionaries, both from windows to codes."""

    timer = time.process_time
    minutes = 1.0
    model = "ecg"
    most = 1000
    """Windows of each kind."""

    def setup(self) -> None:
        """Cut the windows and compile.

        Raises
        ------
        NotImplementedError
            If the model reads a network and codes no windows.
        """
        parts = load(self.model).model_
        if not parts.dictionaries:
            raise NotImplementedError(f"{self.model} codes no windows.")
        self.n_nonzero = parts.n_nonzero
        raw = raw_features(self.model, minutes=self.minutes)
        self.pairs = []
        for kind, dictionary in enumerate(parts.dictionaries):
            windows = np.concatenate([part.windows[kind] for part in raw])
            self.pairs.append((windows[windows.any(axis=1)][: self.most], dictionary))
        self.n_windows = sum(len(windows) for windows, _ in self.pairs)
        self.time_own()

    def time_own(self) -> None:
        """Code by `mhealth.sparse.omp`."""
        for windows, dictionary in self.pairs:
            omp(windows, dictionary, n_nonzero=self.n_nonzero)

    def time_scikit_learn(self) -> None:
        """Code by scikit-learn's batch-OMP, with the Gram matrix at hand."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of windows that need fewer atoms
            for windows, dictionary in self.pairs:
                correlations = dictionary.atoms @ windows.T
                orthogonal_mp_gram(dictionary.gram, correlations, n_nonzero_coefs=self.n_nonzero)
