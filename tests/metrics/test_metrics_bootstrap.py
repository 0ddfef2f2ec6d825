import numpy as np
import pytest

from mhealth.errors import InvalidParameterError
from mhealth.metrics import QrsScore, bootstrap_difference


def score(sensitivities, subjects=None):
    """Subjects with 100 beats each, of which so many are found."""
    hits = np.asarray(sensitivities, dtype=float)
    nothing = np.zeros(len(hits))
    sums = np.stack([hits, 100 - hits, nothing, nothing, nothing], axis=1)
    return QrsScore(tuple(range(len(hits)) if subjects is None else subjects), sums)


def sensitivity(scored):
    return float(scored.counts().sensitivity)


def test_the_interval_is_that_of_the_mean_of_paired_differences(rng):
    easy = rng.uniform(40, 100, 400)  # subjects differ far more than the methods do
    gain = rng.normal(1.0, 2.0, 400)
    result = bootstrap_difference(score(easy), score(easy - gain), sensitivity)
    assert result.difference == pytest.approx(gain.mean())
    half = 1.96 * gain.std() / np.sqrt(len(gain))
    assert result.low == pytest.approx(gain.mean() - half, abs=0.15 * half)
    assert result.high == pytest.approx(gain.mean() + half, abs=0.15 * half)
    assert result.p == pytest.approx(2 / 2001)


def test_equal_methods_do_not_differ():
    result = bootstrap_difference(score([50, 60, 70]), score([50, 60, 70]), sensitivity, n=100)
    assert result == (0, 0, 0, 1)


def test_subjects_are_paired_by_name_and_the_seed_repeats():
    first = score([90, 50, 10], subjects="abc")
    second = score([10, 90, 50], subjects="cab")
    assert bootstrap_difference(first, second, sensitivity, n=50).high == 0
    other = score([80, 55, 20], subjects="abc")
    assert bootstrap_difference(first, other, sensitivity, seed=3) == bootstrap_difference(
        first, other, sensitivity, seed=3
    )
    assert bootstrap_difference(first, other, sensitivity, seed=3) != bootstrap_difference(
        first, other, sensitivity, seed=4
    )


def test_about_one_in_twenty_null_comparisons_is_significant(rng):
    significant = [
        bootstrap_difference(score(50 + a), score(50 + b), sensitivity, n=200, seed=k).p <= 0.05
        for k, (a, b) in enumerate(rng.normal(0, 5, (200, 2, 40)))
    ]
    assert 0.005 < np.mean(significant) < 0.12  # 4.5 standard errors around 0.05


@pytest.mark.parametrize(
    ("second", "options", "message"),
    [
        (score([1, 2]), {}, "3 and 2 subjects, 2 in common"),
        (score([1, 2, 3], subjects="xyz"), {}, "0 in common"),
        (score([1, 2, 3]), {"n": 0}, "n=0"),
        (score([1, 2, 3]), {"confidence": 1.0}, "confidence=1.0"),
    ],
)
def test_what_cannot_be_compared_is_refused(second, options, message):
    with pytest.raises(InvalidParameterError, match=message):
        bootstrap_difference(score([1, 2, 3]), second, sensitivity, **options)
