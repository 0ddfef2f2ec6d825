from pathlib import Path

import numpy as np
import pytest

from mhealth._kernels._ksvd import improve_atoms
from mhealth.errors import InvalidParameterError, InvalidSignalError
from mhealth.sparse import Dictionary, Window, extract_windows, learn_dictionary, omp


def unit_rows(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def relative_error(windows, dictionary, n_nonzero):
    left = windows - omp(windows, dictionary, n_nonzero=n_nonzero).reconstruct(dictionary)
    return np.sum(left**2) / np.sum(windows**2)


def planted_windows(rng, atoms, n_windows):
    """Windows that are two atoms each, with weights of both signs between 1 and 2."""
    chosen = np.array([rng.choice(len(atoms), 2, replace=False) for _ in range(n_windows)])
    weights = rng.uniform(1, 2, chosen.shape) * rng.choice([-1, 1], chosen.shape)
    return np.einsum("ns,nsl->nl", weights, atoms[chosen])


@pytest.mark.parametrize("seed", [0, 1])
def test_planted_atoms_are_found_again(seed):
    rng = np.random.default_rng(seed)
    atoms = unit_rows(rng.standard_normal((16, 20)))
    windows = planted_windows(rng, atoms, 800)
    dictionary = learn_dictionary(windows, 16, n_nonzero=2, n_iter=50, rng=rng)
    closest = np.abs(atoms @ dictionary.atoms.T).max(axis=1)
    # Not convex, so a few atoms stay mixtures. No window is that close to an atom: none is found by luck.
    assert (closest > 0.99).sum() >= 10  # 10 to 16 with seeds 0 to 7
    assert (np.abs(unit_rows(windows) @ atoms.T) > 0.99).sum() == 0
    assert relative_error(windows, dictionary, 2) < 0.1


def test_the_same_seed_gives_the_same_bits():
    windows = np.random.default_rng(0).standard_normal((3000, 10)).astype(np.float32)
    first, second, other = (
        learn_dictionary(windows, 12, n_nonzero=2, n_iter=5, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert first.atoms.tobytes() == second.atoms.tobytes()
    assert first.atoms.tobytes() != other.atoms.tobytes()


def test_atoms_are_sorted_by_energy_and_point_up():
    rng = np.random.default_rng(3)
    windows = planted_windows(rng, unit_rows(rng.standard_normal((8, 12))), 500)
    dictionary = learn_dictionary(windows, 8, n_nonzero=2, n_iter=20, rng=rng)
    largest = np.abs(dictionary.atoms).argmax(axis=1)
    assert (dictionary.atoms[np.arange(8), largest] > 0).all()
    energy = (omp(windows, dictionary, n_nonzero=2).to_dense() ** 2).sum(axis=0)
    # The codes of the last step came before its improvement of the atoms: neighbours may have changed places.
    assert np.corrcoef(np.argsort(-energy, kind="stable"), np.arange(8))[0, 1] > 0.8


def test_one_sweep_equals_its_definition_on_the_restricted_residual():
    rng = np.random.default_rng(4)
    atoms = unit_rows(rng.standard_normal((5, 7))).astype(np.float32)
    windows = rng.standard_normal((30, 7)).astype(np.float32)
    codes = omp(windows, Dictionary(atoms=atoms), n_nonzero=2)
    expected_atoms, dense = atoms.astype(float), codes.to_dense().astype(float)
    for k in range(5):
        users = np.flatnonzero(dense[:, k])
        without = windows[users] - dense[users] @ expected_atoms + np.outer(dense[users, k], expected_atoms[k])
        expected_atoms[k] = without.T @ dense[users, k]
        expected_atoms[k] /= np.linalg.norm(expected_atoms[k])
        dense[users, k] = without @ expected_atoms[k]

    rows, slots = np.nonzero(codes.support >= 0)
    order = np.argsort(codes.support[rows, slots], kind="stable")
    starts = np.searchsorted(codes.support[rows, slots][order], np.arange(6))
    residual = windows - codes.reconstruct(Dictionary(atoms=atoms))
    improve_atoms(residual, atoms, rows[order], slots[order], starts, codes.coefficient, np.empty(7))
    np.testing.assert_allclose(atoms, expected_atoms, rtol=0, atol=1e-5)  # float32 against float64
    np.testing.assert_allclose(codes.to_dense(), dense, rtol=0, atol=1e-5)
    np.testing.assert_allclose(residual, windows - dense @ expected_atoms, rtol=0, atol=1e-5)


def test_repeated_windows_do_not_leave_repeated_atoms():
    rng = np.random.default_rng(5)
    windows = np.concatenate([np.tile(rng.standard_normal((1, 10)), (500, 1)), rng.standard_normal((500, 10))])
    dictionary = learn_dictionary(windows, 8, n_nonzero=2, n_iter=20, rng=rng)
    assert np.abs(dictionary.gram - np.eye(8)).max() < 0.99


@pytest.mark.parametrize("windows", [np.zeros((10, 4)), np.ones((10, 4)), np.eye(4), 1e-30 * np.eye(4)])
def test_degenerate_windows_give_a_valid_dictionary(windows):
    dictionary = learn_dictionary(windows, 4, n_nonzero=2, n_iter=3, rng=np.random.default_rng(0))
    assert dictionary.atoms.shape == (4, 4)
    np.testing.assert_allclose(omp(windows, dictionary, n_nonzero=4).reconstruct(dictionary), windows, atol=1e-5)


def test_progress_is_told_after_each_mini_batch():
    told = []
    windows = np.random.default_rng(0).standard_normal((20, 4))
    learn_dictionary(
        windows, 4, n_nonzero=1, n_iter=3, rng=np.random.default_rng(0), progress=lambda *step: told.append(step)
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_atoms": 21}, "n_samples=20 windows are fewer than n_atoms=21"),
        ({"n_atoms": 0}, "n_atoms=0 must be an integer"),
        ({"n_iter": 1.5}, r"n_iter=1\.5 must be an integer"),
        ({"n_nonzero": 5}, "n_nonzero=5 must be an integer from 1 to 4"),
        ({"n_nonzero": "2"}, "n_nonzero='2'"),
    ],
)
def test_impossible_numbers_are_refused(change, message):
    numbers = {"n_atoms": 4, "n_nonzero": 2, "n_iter": 1} | change
    with pytest.raises(InvalidParameterError, match=message):
        learn_dictionary(np.ones((20, 3)), rng=np.random.default_rng(0), **numbers)


def test_windows_with_missing_points_are_refused():
    with pytest.raises(InvalidSignalError, match="not finite"):
        learn_dictionary([[1.0, np.nan]] * 9, 2, n_nonzero=1, rng=np.random.default_rng(0))


@pytest.mark.realdata
def test_atoms_of_ecg_describe_other_subjects_better_than_principal_components(data_dir):
    names = (data_dir / "ludb/RECORDS").read_text().split()[:12]
    window = Window(before=0.128, after=0.128, n_points=32)
    by_subject = []
    for name in names:
        samples = np.fromfile(
            data_dir / "ludb/data" / f"{Path(name).name}.dat", dtype="<i2"
        )  # 12 leads, WFDB format 16
        lead = samples.reshape(-1, 12)[:, 1] / 1000
        by_subject.append(extract_windows(lead, np.arange(100, 4900, 30), window, rate=500.0))
    seen, unseen = np.concatenate(by_subject[:9]), np.concatenate(by_subject[9:])
    dictionary = learn_dictionary(seen, 24, n_nonzero=4, n_iter=25, rng=np.random.default_rng(0))
    components = np.linalg.svd(seen, full_matrices=False)[2][:4]
    by_components = np.sum((unseen - unseen @ components.T @ components) ** 2) / np.sum(unseen**2)
    assert relative_error(unseen, dictionary, 4) < 0.5 * by_components
