import math

import numpy as np
import pytest

from mhealth.core import Annotation, Spans
from mhealth.errors import InvalidParameterError
from mhealth.metrics import (
    WaveOutcomes,
    expected_calibration_error,
    precision_recall,
    reliability,
    roc,
    wave_outcomes,
)

CLASSES = ("P", "QRS", "T")


def peaks(rows, classes=CLASSES):
    """Spans from rows (label, peak, channel, probability)."""
    table = [(peak - 10, peak, peak + 10, classes.index(label), channel, p) for label, peak, channel, p in rows]
    return Spans.from_rows(table, fs=500.0, channels=("I", "II"), classes=classes)


def test_bins_hold_stated_and_observed_probability():
    result = reliability([0.0, 0.05, 0.1, 0.55, 0.95, 1.0], [0, 1, 0, 1, 1, 0])
    assert result.count.tolist() == [2, 1, 0, 0, 0, 1, 0, 0, 0, 2]
    assert result.stated[[0, 1, 5, 9]] == pytest.approx([0.025, 0.1, 0.55, 0.975])
    assert result.observed[[0, 1, 5, 9]] == pytest.approx([0.5, 0, 1, 0.5])
    assert np.isnan(result.stated[2])
    expected = (2 * 0.475 + 0.1 + 0.45 + 2 * 0.475) / 6
    assert result.error == pytest.approx(expected)
    assert expected_calibration_error([0.0, 0.05, 0.1, 0.55, 0.95, 1.0], [0, 1, 0, 1, 1, 0]) == result.error
    assert result.to_frame().columns.tolist() == ["low", "high", "count", "stated", "observed"]


def test_honest_probabilities_have_a_small_error_and_boasting_ones_a_large(rng):
    probability = rng.uniform(size=20_000)
    correct = rng.uniform(size=20_000) < probability
    assert expected_calibration_error(probability, correct) < 0.02
    assert expected_calibration_error(np.sqrt(probability), correct) > 0.1


def test_no_predictions_have_no_calibration_error():
    assert math.isnan(expected_calibration_error([], []))


@pytest.mark.parametrize(
    ("probability", "correct", "n_bins", "message"),
    [
        ([0.5, np.nan], [1, 0], 10, "nan at index 1"),
        ([1.2], [1], 10, "1.2 at index 0"),
        ([0.5], [1, 0], 10, "shape"),
        ([0.5], [1], 0, "n_bins=0"),
    ],
)
def test_probabilities_are_checked(probability, correct, n_bins, message):
    with pytest.raises(InvalidParameterError, match=message):
        reliability(probability, correct, n_bins=n_bins)


def test_predicted_waves_are_correct_false_or_left_out():
    marked = Annotation(
        spans=peaks([("P", 1000, 0, np.nan), ("P", 2000, 0, np.nan), ("QRS", 1100, 0, np.nan)]),
        annotated=[(0, 900, 2100), (1, 0, 0)],
    )
    found = peaks(
        [
            ("P", 1075, 0, 0.9),  # 150 ms away
            ("P", 1020, 0, 0.7),  # nearer: takes the mark, the one above is false
            ("P", 1600, 0, 0.2),  # false
            ("P", 3000, 0, 0.3),  # outside the annotated stretch
            ("P", 1000, 1, 0.4),  # another channel
            ("QRS", 1000, 0, 0.8),
        ]
    )
    outcomes = wave_outcomes(marked, found, "P")
    assert outcomes.probability.tolist() == [0.7, 0.9, 0.2]
    assert outcomes.correct.tolist() == [True, False, False]
    assert outcomes.n_marked == 2
    assert len(wave_outcomes(marked, found, "P", channels=["II"]).correct) == 0
    joined = WaveOutcomes.concat([outcomes, wave_outcomes(marked, found, "T")])
    assert (len(joined.correct), joined.n_marked) == (3, 2)


def test_a_label_that_was_not_looked_for_has_no_outcomes():
    marked = Annotation(spans=peaks([("QRS", 1100, 0, np.nan)], classes=("QRS",)), annotated=[(0, 0, 3000)])
    outcomes = wave_outcomes(marked, peaks([("P", 1000, 0, 0.9)]), "P")
    assert (len(outcomes.correct), outcomes.n_marked) == (0, 0)


def test_recall_counts_waves_that_were_never_predicted():
    outcomes = WaveOutcomes(np.array([0.9, 0.8, 0.3]), np.array([True, False, True]), n_marked=4)
    curve = precision_recall(outcomes)
    assert curve.threshold.tolist() == [0.3, 0.8, 0.9]
    assert curve.precision == pytest.approx([2 / 3, 1 / 2, 1])
    assert curve.recall == pytest.approx([2 / 4, 1 / 4, 1 / 4])


def test_only_false_predictions_have_no_precision():
    curve = precision_recall(WaveOutcomes(np.array([0.9, 0.8]), np.array([False, False]), n_marked=1))
    assert curve.threshold.tolist() == [0.8, 0.9]
    assert curve.precision.tolist() == curve.recall.tolist() == [0, 0]


def test_a_curve_needs_something_to_count():
    nothing = WaveOutcomes(np.empty(0), np.empty(0, dtype=bool), n_marked=3)
    for trace, message in ((precision_recall, "0 predictions"), (roc, "both kinds")):
        with pytest.raises(InvalidParameterError, match=message):
            trace(nothing)


def test_the_area_under_the_roc_curve_is_the_share_of_well_ordered_pairs():
    outcomes = WaveOutcomes(np.array([0.9, 0.6, 0.7, 0.2]), np.array([True, True, False, False]), n_marked=2)
    curve = roc(outcomes)
    assert curve.area == pytest.approx(3 / 4)
    assert (curve.false_rate[0], curve.true_rate[0], curve.false_rate[-1], curve.true_rate[-1]) == (0, 0, 1, 1)
