"""Dictionary learning and sparse coding as one scikit-learn transformer."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from mhealth.sparse._dictionary import Dictionary
from mhealth.sparse._learning import learn_dictionary
from mhealth.sparse._omp import omp

__all__ = ["SparseEncoder"]


class SparseEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Learn a dictionary from windows, and describe windows by their codes over it.

    Parameters
    ----------
    n_atoms : int, default=64
        Number of atoms: as many as the points of the windows that the project codes (48 to 64).
    n_nonzero : int, default=4
        Atoms that a window may take, while learning and while coding.
    sign_split : bool, default=False
        Give each atom two non-negative columns; see `SparseCodes.to_dense`.
    n_iter : int, default=200
        Mini-batches of `learn_dictionary`.
    random_state : int, RandomState or None, default=None
        Makes `fit` repeatable.

    Attributes
    ----------
    dictionary_ : Dictionary
        What `fit` learned.
    n_features_in_ : int
        Points of a window.

    Examples
    --------
    >>> windows = np.random.default_rng(0).standard_normal((200, 16))
    >>> SparseEncoder(n_atoms=8, n_nonzero=2, random_state=0).fit_transform(windows).shape
    (200, 8)
    """

    def __init__(
        self,
        n_atoms: int = 64,
        *,
        n_nonzero: int = 4,
        sign_split: bool = False,
        n_iter: int = 200,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_atoms = n_atoms
        self.n_nonzero = n_nonzero
        self.sign_split = sign_split
        self.n_iter = n_iter
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: object = None) -> SparseEncoder:
        """Learn the dictionary.

        Parameters
        ----------
        X : array_like of shape (n_windows, atom_length)
            Windows; computed in float32.
        y : ignored

        Returns
        -------
        self : SparseEncoder
        """
        X = validate_data(self, X, dtype=np.float32)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        self.dictionary_: Dictionary = learn_dictionary(
            X, self.n_atoms, n_nonzero=self.n_nonzero, n_iter=self.n_iter, rng=np.random.default_rng(seed)
        )
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return the codes.

        Parameters
        ----------
        X : array_like of shape (n_windows, atom_length)
            Windows; computed in float32.

        Returns
        -------
        codes : ndarray of float32, shape (n_windows, n_atoms) or (n_windows, 2 · n_atoms)
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        return omp(X, self.dictionary_, n_nonzero=self.n_nonzero).to_dense(sign_split=self.sign_split)

    @property
    def _n_features_out(self) -> int:
        """Number of columns that `transform` gives, for `get_feature_names_out`."""
        return self.dictionary_.n_atoms * (2 if self.sign_split else 1)

    def __sklearn_tags__(self) -> Tags:
        """Say that codes are float32."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
