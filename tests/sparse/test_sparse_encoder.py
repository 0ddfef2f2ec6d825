import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from mhealth.sparse import SparseEncoder, learn_dictionary, omp


@parametrize_with_checks(
    [SparseEncoder(n_atoms=5, n_nonzero=2, n_iter=2), SparseEncoder(n_atoms=3, sign_split=True, n_nonzero=1, n_iter=3)]
)
def test_the_encoder_keeps_the_conventions_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("sign_split", [False, True])
def test_the_encoder_is_learning_and_coding_in_one(sign_split):
    windows = np.random.default_rng(0).standard_normal((300, 12)).astype(np.float32)
    encoder = SparseEncoder(n_atoms=16, n_nonzero=3, sign_split=sign_split, n_iter=3, random_state=5).fit(windows)
    expected = omp(windows, encoder.dictionary_, n_nonzero=3).to_dense(sign_split=sign_split)
    assert np.array_equal(encoder.transform(windows), expected)
    assert len(encoder.get_feature_names_out()) == expected.shape[1]
    seed = np.random.RandomState(5).randint(2**31 - 1)
    again = learn_dictionary(windows, 16, n_nonzero=3, n_iter=3, rng=np.random.default_rng(seed))
    assert np.array_equal(again.atoms, encoder.dictionary_.atoms)
