import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from mhealth.crf import ECG_GRAMMAR, IndependentCRF, LinearChainCRF, SpanCRF
from mhealth.errors import AnnotationError, InvalidParameterError, InvalidSignalError

ESTIMATORS = [IndependentCRF, LinearChainCRF, SpanCRF]
RING = ["TP", "P", "PQ", "QRS", "ST", "T"]
SECONDS = {"TP": 0.3, "P": 0.1, "PQ": 0.08, "QRS": 0.1, "ST": 0.1, "T": 0.2}


def heartbeats(rng, n_sequences=8, n_features=9, noise=1.0):
    """Noisy features of rings of states, fully labelled, one node every 30 ms or so."""
    X, y, times, lengths = [], [], [], []
    for _ in range(n_sequences):
        edges = np.cumsum([SECONDS[s] * rng.uniform(0.7, 1.3) for s in RING * 4])
        t = np.arange(0, edges[-1], 0.03) + rng.uniform(0, 0.01)
        state = np.searchsorted(edges, t) % 6
        means = np.eye(6, n_features)
        X.append(means[state] + noise * rng.normal(size=(len(t), n_features)))
        y.append(1 << state)
        times.append(t)
        lengths.append(len(t))
    return np.vstack(X), np.concatenate(y).astype(np.uint8), np.array(lengths), np.concatenate(times)


def accuracy(spans, y):
    """Share of the intervals whose state is the true one."""
    n = (spans.stop - spans.start).sum()
    return sum((y[a:b] == 1 << s).sum() for a, b, s in zip(spans.start, spans.stop, spans.state, strict=True)) / n


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_training_raises_the_likelihood_and_labels_unseen_sequences(rng, kind):
    X, y, lengths, times = heartbeats(rng)
    model = kind(l2=0.1, max_iter=60).fit(X, y, lengths, times=times)
    X, y, lengths, times = heartbeats(rng)
    n_intervals = len(X) - len(lengths)
    assert model.log_likelihood(X, y, lengths, times=times).sum() / n_intervals > -np.log(6) * 0.8
    assert accuracy(model.predict(X, lengths, times=times), y) > (0.45 if kind is IndependentCRF else 0.7)
    marginals = model.predict_marginals(X, lengths, times=times)
    assert marginals.shape == (len(X), 6)


def test_more_structure_labels_noisy_heartbeats_better(rng):
    train, test = heartbeats(rng, noise=1.2), heartbeats(rng, noise=1.2)
    reached = []
    for kind in ESTIMATORS:
        model = kind(l2=1.0, max_iter=100).fit(train[0], train[1], train[2], times=train[3])
        reached.append(accuracy(model.predict(test[0], test[2], times=test[3]), test[1]))
    assert reached == sorted(reached)


def test_the_independent_model_is_multinomial_logistic_regression(rng):
    X, y, lengths, times = heartbeats(rng, n_sequences=3)
    ours = IndependentCRF(l2=0.5, max_iter=500, tol=1e-12).fit(X, y, lengths, times=times)
    items = np.setdiff1d(np.arange(len(X)), np.cumsum(lengths) - 1)
    # scikit-learn does not penalise its intercept: give it ours as a feature.
    with_one = np.column_stack([X, np.ones(len(X))])
    theirs = LogisticRegression(C=1 / 0.5, fit_intercept=False, tol=1e-10, max_iter=5000)
    theirs.fit(with_one[items], np.log2(y[items]))
    np.testing.assert_allclose(np.vstack([ours.coef_, ours.intercept_]), theirs.coef_.T, atol=2e-3)


def test_our_solver_and_crfsuite_reach_the_same_optimum(rng):
    X, y, lengths, times = heartbeats(rng, n_sequences=6)
    X -= 0.5  # features whose sum is negative are the ones that CRFsuite drops by default
    own = LinearChainCRF(restricted=False, l2=1.0, max_iter=1000, tol=1e-12).fit(X, y, lengths, times=times)
    suite = clone(own).set_params(solver="crfsuite", tol=1e-8).fit(X, y, lengths, times=times)
    found = np.concatenate([suite.coef_.ravel(), suite.intercept_, suite.weights_])
    objective = suite.log_likelihood(X, y, lengths, times=times).sum() - 0.5 * found @ found
    # Both are maxima of one strictly concave function; own.objective_ was computed with float32 scores.
    assert objective == pytest.approx(own.objective_, rel=1e-5)
    np.testing.assert_allclose(suite.coef_, own.coef_, atol=5e-3)
    np.testing.assert_allclose(suite.weights_, own.weights_, atol=5e-3)


def test_crfsuite_needs_every_interval_labelled_and_no_grammar(rng):
    X, y, lengths, times = heartbeats(rng, n_sequences=2)
    with pytest.raises(InvalidParameterError, match="restricted=False"):
        LinearChainCRF(solver="crfsuite").fit(X, y, lengths, times=times)
    y[5] = 255
    with pytest.raises(InvalidSignalError, match=r"y\[5\]=255"):
        LinearChainCRF(solver="crfsuite", restricted=False).fit(X, y, lengths, times=times)
    with pytest.raises(InvalidParameterError, match="solver='sgd'"):
        LinearChainCRF(solver="sgd").fit(X, y, lengths, times=times)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_unlabelled_stretches_change_little_and_are_not_background(rng, kind):
    X, y, lengths, times = heartbeats(rng, n_sequences=12)
    partial = y.copy()
    starts = np.cumsum(lengths) - lengths
    for start, length in zip(starts, lengths, strict=True):
        partial[start + length // 2 : start + length] = ECG_GRAMMAR.mask()
    model = kind(l2=1.0, max_iter=60).fit(X, partial, lengths, times=times)
    test, truth, lengths, times = heartbeats(rng)
    assert accuracy(model.predict(test, lengths, times=times), truth) > 0.45


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_sparse_features_and_threads_give_the_same_model(rng, kind):
    X, y, lengths, times = heartbeats(rng, n_sequences=3)
    X = np.where(X > 0.5, X, 0)
    dense = kind(max_iter=5).fit(X, y, lengths, times=times)
    threads = kind(max_iter=5, n_jobs=3).fit(X, y, lengths, times=times)
    np.testing.assert_array_equal(dense.coef_, threads.coef_)
    thin = kind(max_iter=5).fit(sparse.csr_matrix(X), y, lengths, times=times)
    np.testing.assert_allclose(dense.coef_, thin.coef_, atol=1e-3)
    np.testing.assert_allclose(dense.unary(X), dense.unary(sparse.csr_matrix(X)), atol=1e-5)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_parameters_are_kept_and_refitting_forgets(rng, kind):
    model = kind(l2=3.0, max_iter=4)
    assert clone(model).get_params() == model.get_params()
    first, second = heartbeats(rng, n_sequences=2), heartbeats(rng, n_sequences=2)
    seen = []
    model.fit(first[0], first[1], first[2], times=first[3])
    model.fit(second[0], second[1], second[2], times=second[3], progress=lambda *step: seen.append(step))
    fresh = clone(model).fit(second[0], second[1], second[2], times=second[3])
    np.testing.assert_array_equal(model.coef_, fresh.coef_)
    np.testing.assert_array_equal(model.weights_, fresh.weights_)
    assert seen == [("training", k, 4) for k in range(1, 5)]


def test_marks_against_the_grammar_are_refused(rng):
    X, y, lengths, times = heartbeats(rng, n_sequences=2)
    y[10:14] = [ECG_GRAMMAR.mask(s) for s in ("P", "T", "P", "T")]
    with pytest.raises(AnnotationError, match="sequence 0"):
        SpanCRF(max_iter=2).fit(X, y, lengths, times=times)
