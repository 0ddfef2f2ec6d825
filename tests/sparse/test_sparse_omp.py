import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import orthogonal_mp_gram

from mhealth.errors import InvalidParameterError, InvalidSignalError
from mhealth.sparse import Dictionary, SparseCodes, omp
from naive_omp import naive_omp

seeds = st.integers(0, 2**32 - 1)


def random_dictionary(rng, n_atoms=24, atom_length=17):
    atoms = rng.standard_normal((n_atoms, atom_length))
    return Dictionary(atoms=atoms / np.linalg.norm(atoms, axis=1, keepdims=True))


def same_bits(first: SparseCodes, second: SparseCodes) -> bool:
    return (
        np.array_equal(first.support, second.support)
        and first.coefficient.tobytes() == second.coefficient.tobytes()
        and first.n_atoms == second.n_atoms
    )


@pytest.mark.parametrize(("n_atoms", "atom_length", "n_nonzero"), [(64, 48, 4), (64, 64, 6), (130, 37, 5), (3, 2, 2)])
def test_codes_equal_those_of_scikit_learn(n_atoms, atom_length, n_nonzero):
    rng = np.random.default_rng(7)
    dictionary = random_dictionary(rng, n_atoms, atom_length)
    windows = rng.standard_normal((500, atom_length)).astype(np.float32)
    atoms = dictionary.atoms.astype(np.float64)
    expected = orthogonal_mp_gram(atoms @ atoms.T, atoms @ windows.T.astype(np.float64), n_nonzero_coefs=n_nonzero).T
    codes = omp(windows, dictionary, n_nonzero=n_nonzero).to_dense()
    assert np.array_equal(codes != 0, expected != 0)
    # float32 keeps 7 digits; overcomplete random atoms cost one or two of them.
    np.testing.assert_allclose(codes, expected, rtol=0, atol=1e-5 * np.abs(windows).max())


def test_codes_equal_least_squares_on_each_support_in_order_of_selection():
    rng = np.random.default_rng(11)
    dictionary = random_dictionary(rng)
    windows = rng.standard_normal((100, 17)).astype(np.float32)
    codes = omp(windows, dictionary, n_nonzero=5)
    for window, support, coefficient in zip(windows, codes.support, codes.coefficient, strict=True):
        expected, weights = naive_omp(window.astype(float), dictionary.atoms.astype(float), n_nonzero=5)
        assert support.tolist() == expected
        np.testing.assert_allclose(coefficient, weights, rtol=1e-4, atol=1e-5)  # float32 against float64


@given(seed=seeds, n_first=st.integers(0, 9))
def test_a_code_does_not_depend_on_the_other_windows_of_a_call(seed, n_first):
    rng = np.random.default_rng(seed)
    dictionary = random_dictionary(rng)
    windows = rng.standard_normal((9, 17)).astype(np.float32)
    whole = omp(windows, dictionary, n_nonzero=4)
    first, second = (omp(part, dictionary, n_nonzero=4) for part in (windows[:n_first], windows[n_first:]))
    joined = SparseCodes(
        support=np.concatenate([first.support, second.support]),
        coefficient=np.concatenate([first.coefficient, second.coefficient]),
        n_atoms=24,
    )
    assert same_bits(whole, joined)


@given(seed=seeds, exponent=st.integers(-60, 60), sign=st.sampled_from([-1.0, 1.0]))
def test_powers_of_two_and_signs_pass_through_exactly(seed, exponent, sign):
    rng = np.random.default_rng(seed)
    dictionary = random_dictionary(rng)
    windows = rng.standard_normal((3, 17)).astype(np.float32)
    factor = np.float32(sign * 2.0**exponent)
    plain = omp(windows, dictionary, n_nonzero=4)
    scaled = omp(factor * windows, dictionary, n_nonzero=4)
    assert same_bits(
        scaled, SparseCodes(support=plain.support, coefficient=factor * plain.coefficient, n_atoms=plain.n_atoms)
    )


def test_a_zero_window_takes_no_atoms():
    codes = omp(np.zeros((2, 17)), random_dictionary(np.random.default_rng(0)), n_nonzero=3)
    assert (codes.support == -1).all()
    assert (codes.coefficient == 0).all()
    assert codes.to_csr().nnz == 0


@given(seed=seeds)
def test_a_window_made_of_two_atoms_takes_these_two_only(seed):
    rng = np.random.default_rng(seed)
    orthogonal = np.linalg.qr(rng.standard_normal((12, 12)))[0]
    first, second = rng.choice(12, 2, replace=False)
    codes = omp([3 * orthogonal[first] - 2 * orthogonal[second]], Dictionary(atoms=orthogonal), n_nonzero=5)
    assert codes.support.tolist() == [[first, second, -1, -1, -1]]
    np.testing.assert_allclose(codes.coefficient, [[3, -2, 0, 0, 0]], rtol=1e-5)


def test_duplicated_atoms_are_not_chosen_twice():
    atoms = random_dictionary(np.random.default_rng(3)).atoms
    windows = np.random.default_rng(4).standard_normal((50, 17))
    plain = omp(windows, Dictionary(atoms=atoms), n_nonzero=6)
    doubled = omp(windows, Dictionary(atoms=np.concatenate([atoms, atoms])), n_nonzero=6)
    assert np.array_equal(doubled.support, plain.support)


@pytest.mark.parametrize("sign_split", [False, True])
def test_dense_and_sparse_codes_hold_the_same_numbers(sign_split):
    rng = np.random.default_rng(5)
    dictionary = random_dictionary(rng)
    codes = omp(rng.standard_normal((20, 17)), dictionary, n_nonzero=3)
    dense = codes.to_dense(sign_split=sign_split)
    if sign_split:
        assert (dense >= 0).all()
        dense = dense[:, :24] - dense[:, 24:]
    sparse = codes.to_csr()
    assert sparse.nnz == 60
    assert sparse.has_sorted_indices
    assert np.array_equal(sparse.toarray(), dense)
    np.testing.assert_allclose(codes.reconstruct(dictionary), dense @ dictionary.atoms, rtol=1e-4, atol=1e-5)


def test_no_windows_give_no_codes():
    codes = omp(np.empty((0, 17)), random_dictionary(np.random.default_rng(0)), n_nonzero=3)
    assert codes.support.shape == (0, 3)
    assert codes.to_dense(sign_split=True).shape == (0, 48)
    assert codes.to_csr().shape == (0, 24)


@pytest.mark.parametrize("n_nonzero", [0, -1, 25, 1.5, "4", None])
def test_an_impossible_number_of_atoms_is_refused(n_nonzero):
    with pytest.raises(InvalidParameterError, match=r"n_nonzero=.*1 to 24"):
        omp(np.ones((1, 17)), random_dictionary(np.random.default_rng(0)), n_nonzero=n_nonzero)


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        (np.ones(17), "shape"),
        (np.ones((2, 16)), r"\(n_windows, 17\)"),
        (np.full((2, 17), "a"), "numbers"),
        (np.array([[1.0] * 17, [np.nan] * 17]), r"windows\[1\] is not finite"),
        (np.full((1, 17), 1e39), "not finite in float32"),
    ],
)
def test_windows_that_cannot_be_coded_are_refused(windows, message):
    with pytest.raises(InvalidSignalError, match=message):
        omp(windows, random_dictionary(np.random.default_rng(0)), n_nonzero=3)
