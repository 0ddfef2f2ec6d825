"""Learning to label breathing: altered and simulated cases, and models in files."""

import numpy as np
import pytest
from breath_cases import TINY, breathing, tiny_breath_labeler
from labeling_cases import rows

from mhealth.errors import AnnotationError
from mhealth.labeling import BreathLabeler, EcgLabeler, load
from mhealth.labeling._breath_task import augmented, made_cases
from mhealth.labeling._examples import lead_cases


@pytest.fixture
def case():
    """A minute of clean breathing with its marks."""
    recording, truth = breathing(0, duration=60.0, noise=0.0, ripple=0.0)
    return next(lead_cases(recording, truth))


def test_an_altered_copy_keeps_its_marks_and_most_of_its_shape(case):
    rates = set()
    for seed in range(20):
        other = augmented(case, np.random.default_rng(seed), [])
        np.testing.assert_array_equal(other.waves, case.waves)
        assert other.labels == case.labels
        assert other.annotated == case.annotated
        assert other.samples.shape == case.samples.shape
        assert np.corrcoef(other.samples, case.samples)[0, 1] > 0.6
        assert 10.0 <= other.fs <= 1000.0
        rates.add(other.fs)
    assert min(rates) < 0.75 * case.fs < 1.25 * case.fs < max(rates)


def test_an_altered_copy_depends_on_the_seed_alone(case):
    one, other, third = (augmented(case, np.random.default_rng(seed), []) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.samples, other.samples)
    assert one.fs == other.fs
    assert not np.array_equal(one.samples, third.samples)


def test_simulated_cases_show_slow_and_fast_breathing_and_pauses():
    cases = list(made_cases(np.random.default_rng(0), 16))
    assert len(cases) == 16
    rates = [60 * case.labels.count("inspiration") * case.fs / len(case.samples) for case in cases]
    assert min(rates) < 7
    assert max(rates) > 35
    assert 2 <= sum("pause" in case.labels for case in cases) <= 14
    again = list(made_cases(np.random.default_rng(0), 16))
    np.testing.assert_array_equal(again[3].samples, cases[3].samples)


def test_the_same_seed_learns_the_same(breather):
    again = tiny_breath_labeler()
    for name, array in breather.model_.emission.to_arrays().items():
        np.testing.assert_array_equal(again.model_.emission.to_arrays()[name], array)


def test_a_saved_model_labels_the_same(breather, tmp_path):
    breather.save(tmp_path / "mine.npz")
    loaded = load(tmp_path / "mine.npz")
    assert isinstance(loaded, BreathLabeler)
    assert not isinstance(loaded, EcgLabeler)
    recording, _ = breathing(20)
    assert rows(loaded.label(recording)) == rows(breather.label(recording))


def test_marks_of_something_else_teach_nothing():
    recording, truth = breathing(0, duration=30.0)
    nothing = [type(truth)(spans=truth.spans, annotated=truth.annotated[:0])]
    with pytest.raises(AnnotationError, match="left to train on"):
        BreathLabeler(training=TINY, n_simulated=0).fit([recording], nothing)
