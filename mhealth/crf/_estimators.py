"""Conditional random fields whose unary scores are linear in features, trained by maximum likelihood."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from sklearn.base import BaseEstimator
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted, validate_data

from mhealth.crf._grammar import ECG_GRAMMAR, Grammar
from mhealth.crf._sequences import check_allowed, sequence_bounds
from mhealth.crf._span import SpanPaths
from mhealth.crf._structures import ChainStructure, IndependentStructure, SpanStructure, Structure
from mhealth.errors import InvalidParameterError, InvalidSignalError

__all__ = ["IndependentCRF", "LinearChainCRF", "SpanCRF"]

Progress = Callable[[str, int, int], None]


class _LinearCRF(BaseEstimator):
    """Unary scores ``X @ coef_ + intercept_`` under a structure."""

    def __init__(
        self,
        grammar: Grammar = ECG_GRAMMAR,
        *,
        l2: float = 1.0,
        max_iter: int = 200,
        tol: float = 1e-7,
        n_jobs: int = 1,
    ) -> None:
        self.grammar = grammar
        self.l2 = l2
        self.max_iter = max_iter
        self.tol = tol
        self.n_jobs = n_jobs

    @property
    def structure(self) -> Structure:
        """The structure that the parameters describe."""
        raise NotImplementedError

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        lengths: ArrayLike,
        *,
        times: ArrayLike,
        progress: Progress | None = None,
    ) -> Self:
        """Learn from what is known about stacked sequences.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_nodes, n_features)
            Features of the nodes, used as float32.
        y : array_like of uint8, shape (n_nodes,)
            Bit mask of the states that the interval from each node to the next may lie in (`Grammar.mask`); all
            states where nothing is known. The last node of a sequence is ignored.
        lengths : array_like of int, shape (n_sequences,)
            Nodes of each sequence, its two ends included.
        times : array_like of float, shape (n_nodes,)
            Seconds, increasing within a sequence.
        progress : callable, optional
            Called as ``progress(name, done, total)`` after each iteration.

        Returns
        -------
        self : estimator

        Raises
        ------
        InvalidSignalError
            If shapes do not match.
        AnnotationError
            If no labelling of a sequence agrees with `y`.
        """
        X = self._features(X, reset=True)
        allowed = check_allowed(y, X.shape[0])
        start = np.zeros((X.shape[1] + 1) * self._n_columns + self.structure.n_weights)
        solution = self._maximise(X, allowed, lengths, times, start, progress)
        self._keep(solution, X.shape[1])
        return self

    def unary(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return the unary scores of nodes, shape (n_nodes, n_columns): a group of states for each kind."""
        check_is_fitted(self)
        return self._scores(self._features(X, reset=False), self.coef_, self.intercept_)

    def predict(self, X: ArrayLike, lengths: ArrayLike, *, times: ArrayLike) -> SpanPaths:
        """Return the best labelling of each sequence as spans (MAP decoding).

        Parameters
        ----------
        X, lengths, times
            As in `fit`.

        Returns
        -------
        spans : SpanPaths
            Spans of all sequences, in order.
        """
        return self.structure.map_spans(self.unary(X), self.weights_, times, lengths)

    def predict_marginals(self, X: ArrayLike, lengths: ArrayLike, *, times: ArrayLike) -> NDArray[np.float32]:
        """Return the probability of each state in each interval.

        Returns
        -------
        occupancy : ndarray of float32, shape (n_nodes, n_states)
            Of the interval that starts at each node; zero at the last node of a sequence.
        """
        return self.structure.occupancy(self.unary(X), self.weights_, times, lengths)

    def log_likelihood(
        self, X: ArrayLike, y: ArrayLike, lengths: ArrayLike, *, times: ArrayLike
    ) -> NDArray[np.float64]:
        """Return the log probability of what is known about each sequence, shape (n_sequences,)."""
        return self.structure.log_likelihood_and_gradient(self.unary(X), self.weights_, times, lengths, y).value

    @property
    def _n_columns(self) -> int:
        return len(self.structure.kinds) * self.grammar.n_states

    def _features(self, X: ArrayLike, *, reset: bool) -> NDArray[np.float32]:
        """Return features as float32; NaN is refused."""
        return validate_data(self, X, dtype=np.float32, accept_sparse="csr", reset=reset)

    @staticmethod
    def _scores(
        X: NDArray[np.float32], coef: NDArray[np.float64], intercept: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        return safe_sparse_dot(X, coef.astype(np.float32)) + intercept.astype(np.float32)

    def _keep(self, solution: NDArray[np.float64], n_features: int) -> None:
        """Store a vector of all weights."""
        n_linear = (n_features + 1) * self._n_columns
        linear = solution[:n_linear].reshape(n_features + 1, self._n_columns)
        self.coef_, self.intercept_ = linear[:-1], linear[-1]
        self.weights_ = solution[n_linear:]

    def _maximise(
        self,
        X: NDArray[np.float32],
        allowed: NDArray[np.uint8],
        lengths: ArrayLike,
        times: ArrayLike,
        start: NDArray[np.float64],
        progress: Progress | None,
    ) -> NDArray[np.float64]:
        """Return the weights that maximise the regularised log-likelihood, by L-BFGS."""
        n_features, n_linear = X.shape[1], (X.shape[1] + 1) * self._n_columns
        n_intervals = X.shape[0] - np.size(lengths)
        structure = self.structure

        def loss(vector: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            linear = vector[:n_linear].reshape(n_features + 1, self._n_columns)
            found = structure.log_likelihood_and_gradient(
                self._scores(X, linear[:-1], linear[-1]),
                vector[n_linear:],
                times,
                lengths,
                allowed,
                n_jobs=self.n_jobs,
            )
            of_coef = safe_sparse_dot(X.T, found.unary)
            of_intercept = found.unary.sum(axis=0, dtype=np.float64)
            gradient = np.concatenate([of_coef.ravel(), of_intercept, found.weights]) - self.l2 * vector
            value = found.value.sum() - 0.5 * self.l2 * (vector @ vector)
            # Per interval, so that the tolerances mean the same for any amount of data.
            return -value / n_intervals, -gradient / n_intervals

        done = 0

        def after_iteration(_: NDArray[np.float64]) -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress("training", done, self.max_iter)

        result = minimize(
            loss,
            start,
            jac=True,
            method="L-BFGS-B",
            callback=after_iteration,
            options={"maxiter": self.max_iter, "maxfun": 2 * self.max_iter, "ftol": self.tol, "gtol": self.tol},
        )
        self.n_iter_ = int(result.nit)
        self.objective_ = float(-result.fun * n_intervals)
        return result.x


class IndependentCRF(_LinearCRF):
    """Each interval on its own: multinomial logistic regression, the baseline of the literature.

    Parameters
    ----------
    grammar : Grammar, default=ECG_GRAMMAR
        Its states are the classes.
    l2 : float, default=1.0
        Weight of the penalty ``l2 / 2 · |w|²`` on all weights, the intercept included: a unit normal prior.
    max_iter : int, default=200
        Most iterations of L-BFGS.
    tol : float, default=1e-7
        L-BFGS stops when the log-likelihood per interval improves by less than this fraction of itself, or no
        component of its gradient exceeds this.
    n_jobs : int, default=1
        Threads. The result does not depend on it.

    Attributes
    ----------
    coef_ : ndarray of float64, shape (n_features, n_columns)
        Weights of the features; a column for each state.
    intercept_ : ndarray of float64, shape (n_columns,)
        Constant scores.
    weights_ : ndarray of float64, shape (n_weights,)
        Weights of the structure.
    objective_ : float
        Regularised log-likelihood reached.
    n_iter_ : int
        Iterations done.
    """

    @property
    def structure(self) -> IndependentStructure:
        """The structure that the parameters describe."""
        return IndependentStructure(grammar=self.grammar)


class SpanCRF(_LinearCRF):
    """Semi-Markov conditional random field: spans with edges, middles, durations and transitions.

    Parameters
    ----------
    grammar : Grammar, default=ECG_GRAMMAR
        States, their order and durations.
    l2, max_iter, tol, n_jobs
        As in `IndependentCRF`.

    Attributes
    ----------
    coef_, intercept_, objective_, n_iter_
        As in `IndependentCRF`; the columns are a state each for inside, then onset, offset and middle.
    weights_ : ndarray of float64, shape (n_weights,)
        Weights of the structure; ``structure.span_weights(weights_)`` gives them as tables.

    References
    ----------
    .. [1] Sarawagi, Cohen (2004). Semi-Markov conditional random fields for information extraction. NIPS 17.
    """

    @property
    def structure(self) -> SpanStructure:
        """The structure that the parameters describe."""
        return SpanStructure(grammar=self.grammar)


class LinearChainCRF(_LinearCRF):
    """Linear-chain conditional random field: intervals and transitions between neighbours.

    Parameters
    ----------
    grammar : Grammar, default=ECG_GRAMMAR
        States and their order.
    restricted : bool, default=True
        Whether only the grammar's transitions, and staying in a state, are possible.
    solver : {"own", "crfsuite"}, default="own"
        Both reach the same optimum. ``"crfsuite"`` needs one known state for every interval and ``restricted=False``.
    l2, max_iter, tol, n_jobs
        As in `IndependentCRF`.

    Attributes
    ----------
    coef_, intercept_, objective_, n_iter_
        As in `IndependentCRF`; after ``solver="crfsuite"`` only the first two.
    weights_ : ndarray of float64, shape (n_weights,)
        Weights of the transitions; ``structure.transition(weights_)`` gives them as a table.

    References
    ----------
    .. [1] Lafferty, McCallum, Pereira (2001). Conditional random fields. ICML.
    .. [2] Okazaki (2007). CRFsuite: a fast implementation of conditional random fields. http://www.chokkan.org/software/crfsuite/
    """

    def __init__(
        self,
        grammar: Grammar = ECG_GRAMMAR,
        *,
        restricted: bool = True,
        solver: Literal["own", "crfsuite"] = "own",
        l2: float = 1.0,
        max_iter: int = 200,
        tol: float = 1e-7,
        n_jobs: int = 1,
    ) -> None:
        self.grammar = grammar
        self.restricted = restricted
        self.solver = solver
        self.l2 = l2
        self.max_iter = max_iter
        self.tol = tol
        self.n_jobs = n_jobs

    @property
    def structure(self) -> ChainStructure:
        """The structure that the parameters describe."""
        return ChainStructure(grammar=self.grammar, restricted=self.restricted)

    def _maximise(
        self,
        X: NDArray[np.float32],
        allowed: NDArray[np.uint8],
        lengths: ArrayLike,
        times: ArrayLike,
        start: NDArray[np.float64],
        progress: Progress | None,
    ) -> NDArray[np.float64]:
        """Return the best weights, found by the solver of choice."""
        if self.solver == "own":
            return super()._maximise(X, allowed, lengths, times, start, progress)
        if self.solver == "crfsuite":
            return self._maximise_with_crfsuite(X, allowed, lengths)
        raise InvalidParameterError(f"solver={self.solver!r} must be 'own' or 'crfsuite'.")

    def _maximise_with_crfsuite(
        self, X: NDArray[np.float32], allowed: NDArray[np.uint8], lengths: ArrayLike
    ) -> NDArray[np.float64]:
        """Return the best weights, found by CRFsuite."""
        import sklearn_crfsuite

        if self.restricted:
            raise InvalidParameterError("solver='crfsuite' knows no grammar; set restricted=False.")
        bounds = sequence_bounds(X.shape[0], lengths, shortest=2)
        items = np.setdiff1d(np.arange(X.shape[0]), bounds[1:] - 1)
        state = np.full(X.shape[0], -1)
        for y in range(self.grammar.n_states):
            state[allowed == 1 << y] = y
        if (state[items] < 0).any():
            node = items[np.argmax(state[items] < 0)]
            raise InvalidSignalError(
                f"y[{node}]={allowed[node]} does not name one state, and solver='crfsuite' needs every interval "
                "labelled. Use solver='own' for partial annotation."
            )
        dense = X.toarray() if hasattr(X, "toarray") else X
        names = [str(k) for k in range(X.shape[1])]
        sequences = [range(a, b - 1) for a, b in pairwise(bounds)]
        with tempfile.TemporaryDirectory() as folder:
            model = sklearn_crfsuite.CRF(
                algorithm="lbfgs",
                c1=0.0,
                c2=self.l2 / 2,  # CRFsuite's penalty is c2 · |w|², without the half
                max_iterations=self.max_iter,
                epsilon=self.tol,
                delta=self.tol,
                all_possible_states=True,
                all_possible_transitions=True,
                min_freq=-1e12,  # the default drops features whose values sum to less than zero
                model_filename=str(Path(folder) / "model.crfsuite"),
            )
            model.fit(
                [
                    [{**dict(zip(names, map(float, dense[t]), strict=True)), "intercept": 1.0} for t in sequence]
                    for sequence in sequences
                ],
                [[str(state[t]) for t in sequence] for sequence in sequences],
            )
            unary, moves = model.state_features_, model.transition_features_
        states = [str(y) for y in range(self.grammar.n_states)]
        linear = [[unary.get((name, y), 0.0) for y in states] for name in [*names, "intercept"]]
        table = [[moves.get((before, after), 0.0) for after in states] for before in states]
        return np.concatenate([np.ravel(linear), np.ravel(table)])
