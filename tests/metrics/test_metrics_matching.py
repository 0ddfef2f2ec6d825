import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mhealth.errors import InvalidParameterError
from mhealth.metrics import match
from naive_metrics import naive_match

positions = st.lists(st.integers(0, 60), max_size=25)


@given(reference=positions, found=positions, tolerance=st.sampled_from([0, 1, 2.5, 7, 100]))
def test_pairs_are_those_of_the_naive_search_ties_and_duplicates_included(reference, found, tolerance):
    assert match(reference, found, tolerance).tolist() == [list(p) for p in naive_match(reference, found, tolerance)]


@given(reference=positions, found=positions, tolerance=st.integers(0, 10))
def test_pairs_of_a_smaller_tolerance_are_the_near_ones_of_a_larger(reference, found, tolerance):
    wide = match(reference, found, 10)
    near = [[i, j] for i, j in wide.tolist() if abs(reference[i] - found[j]) <= tolerance]
    assert match(reference, found, tolerance).tolist() == near


def test_the_nearest_pair_wins_even_if_another_reference_is_left_alone():
    assert match([0, 8], [5, 30], tolerance=10).tolist() == [[1, 0]]


def test_of_two_equally_near_references_the_first_is_taken():
    assert match([0, 10], [5], tolerance=5).tolist() == [[0, 0]]
    assert match([10, 0], [5], tolerance=5).tolist() == [[0, 0]]


def test_the_tolerance_itself_is_near_enough_at_any_distance_from_zero():
    start = 2.0**40
    assert len(match([start], [start + 37.5], tolerance=37.5)) == 1
    assert len(match([start], [start + 38], tolerance=37.5)) == 0


def test_a_day_of_beats_matches_without_a_distance_matrix(rng):
    reference = np.cumsum(rng.integers(200, 500, size=200_000))
    found = reference + rng.integers(-20, 21, size=len(reference))
    begin = time.perf_counter()
    pairs = match(reference, found, tolerance=75)
    assert time.perf_counter() - begin < 5  # a distance matrix would need 320 GB
    assert np.array_equal(pairs[:, 0], np.arange(len(reference)))
    assert np.array_equal(pairs[:, 1], np.arange(len(reference)))


def test_no_positions_give_no_pairs():
    assert match([], [1.0], tolerance=5).shape == (0, 2)
    assert match([1.0], [], tolerance=5).shape == (0, 2)


@pytest.mark.parametrize(
    ("reference", "found", "tolerance", "message"),
    [
        ([[1, 2]], [1], 5, "reference has shape"),
        ([1], [np.nan], 5, "found has shape"),
        ([1], [1], -1, "tolerance=-1"),
        ([1], [1], np.nan, "tolerance=nan"),
    ],
)
def test_positions_and_tolerance_are_checked(reference, found, tolerance, message):
    with pytest.raises(InvalidParameterError, match=message):
        match(reference, found, tolerance)
