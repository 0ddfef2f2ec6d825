import io

import numpy as np
import pytest

from mhealth.errors import InvalidParameterError, ModelFileError
from mhealth.sparse import Dictionary

ATOMS = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))[0][:4]


def test_a_dictionary_survives_a_file_bit_for_bit_without_pickle():
    before = Dictionary(atoms=ATOMS, before=0.1, after=0.25, name="QRS, ±100 ms")
    file = io.BytesIO()
    np.savez(file, **before.to_arrays())
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        after = Dictionary.from_arrays(arrays)
    assert after.atoms.tobytes() == before.atoms.tobytes()
    assert (after.before, after.after, after.name) == (0.1, 0.25, "QRS, ±100 ms")


def test_sizes_gram_and_transpose_follow_the_atoms():
    dictionary = Dictionary(atoms=ATOMS)
    assert (dictionary.n_atoms, dictionary.atom_length) == (4, 6)
    np.testing.assert_allclose(dictionary.gram, np.eye(4), atol=1e-6)  # float32 atoms of an orthogonal basis
    assert np.array_equal(dictionary.atoms_by_point.T, dictionary.atoms)


def test_atoms_are_a_read_only_copy():
    given = ATOMS.astype(np.float32)
    dictionary = Dictionary(atoms=given)
    given[:] = 0
    assert dictionary.atoms.any()
    with pytest.raises(ValueError, match="read-only"):
        dictionary.atoms[0, 0] = 1


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (ATOMS[0], "shape"),
        (np.empty((0, 6)), "shape"),
        (ATOMS * [[1], [1], [2], [1]], r"atoms\[2\] has norm 2; expected 1"),
        (ATOMS * [[1], [np.nan], [1], [1]], r"atoms\[1\] has norm nan"),
        (np.ones((32768, 1)), "1 to 32767 atoms"),
    ],
)
def test_arrays_that_are_no_dictionary_are_refused(atoms, message):
    with pytest.raises(InvalidParameterError, match=message):
        Dictionary(atoms=atoms)


@pytest.mark.parametrize(
    "damage", [{"atoms": np.zeros((2, 2))}, {"before": np.array("x")}, {"after": np.zeros(2)}, {"atoms": np.array("a")}]
)
def test_damaged_arrays_are_refused_as_a_model_file(damage):
    with pytest.raises(ModelFileError, match="No dictionary in these arrays"):
        Dictionary.from_arrays(Dictionary(atoms=ATOMS).to_arrays() | damage)


def test_missing_arrays_are_refused_as_a_model_file():
    with pytest.raises(ModelFileError, match="before"):
        Dictionary.from_arrays({"atoms": ATOMS})
