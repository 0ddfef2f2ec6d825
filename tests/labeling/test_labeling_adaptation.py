"""A labeler that has learned a few marks more."""

from dataclasses import replace

import numpy as np
import pytest
from labeling_cases import rows, waves

from mhealth.core import Annotation
from mhealth.errors import AnnotationError, InvalidParameterError, NotFittedError
from mhealth.labeling import BreathLabeler, EcgLabeler, load
from mhealth.labeling._adaptation import adapt
from mhealth.labeling._examples import examples, lead_cases
from mhealth.labeling._training import TrainingSettings, coded
from mhealth.simulate import synthetic_ecg, synthetic_respiration

LATE = 10
"""Samples by which somebody marks the onset of QRS later than others do: 40 ms."""


@pytest.fixture(scope="module")
def person():
    """A recording, and marks of its first ten seconds by somebody with a habit of their own."""
    recording, truth = synthetic_ecg(fs=250, duration=30, leads=("II",), seed=1)
    spans = truth.spans
    onset = np.where(spans.label == spans.classes.index("QRS"), spans.onset + LATE, spans.onset)
    shifted = replace(spans, onset=onset)
    seen = shifted.select(shifted.offset < 2500)
    return recording, shifted, Annotation(spans=seen, annotated=np.array([[0, 0, 2500]]))


def onsets(labeler, recording, truth) -> float:
    """Return the mean distance of the onsets of QRS that are found from those that are marked, behind the marks."""
    found, marked = (spans.of(label="QRS").onset for spans in (labeler.label(recording), truth))
    marked = marked[(marked > 2600) & (marked < 7000)]
    nearest = found[np.abs(found[:, None] - marked).argmin(axis=0)]
    return float((nearest - marked).mean())


def test_a_labeler_takes_over_a_habit_from_ten_beats(person):
    recording, truth, marks = person
    general = load("ecg")
    before = onsets(general, recording, truth)
    after = onsets(general.adapted([recording], [marks], strength=1.0), recording, truth)
    assert before < -0.6 * LATE
    assert abs(after) < 0.3 * LATE


def test_the_first_labeler_stays_as_it_is(person):
    recording, _, marks = person
    general = load("ecg")
    before = {name: array.copy() for name, array in general.model_.emission.to_arrays().items()}
    new = general.set_params(lag=1.0).adapted([recording], [marks], strength=1.0)
    assert type(new) is EcgLabeler
    assert new.lag == 1.0
    for name, array in general.model_.emission.to_arrays().items():
        np.testing.assert_array_equal(array, before[name])
    for name in ("of_dense", "of_codes", "threshold", "second", "second_threshold"):
        np.testing.assert_array_equal(getattr(new.model_.emission, name), before[name])
    assert not np.array_equal(new.model_.emission.last, before["last"])
    new.model_.check()


def test_the_stronger_the_price_the_shorter_the_way(person):
    recording, _, marks = person
    general = load("ecg")
    ways = [
        np.linalg.norm(general.adapted([recording], [marks], strength=strength).model_.emission.last
                       - general.model_.emission.last)
        for strength in (1.0, 100.0, 1e8)
    ]  # fmt: skip
    assert ways[0] > 2 * ways[1] > 1e3 * ways[2]
    held = general.adapted([recording], [marks], strength=1e12)
    assert rows(waves(held.label(recording))) == rows(waves(general.label(recording)))


def test_no_weights_nearby_are_better(person, rng):
    recording, _, marks = person
    model, strength = load("ecg").model_, 10.0
    cases = ((0, list(examples(case, model.task))) for case in lead_cases(recording, marks))
    data = coded(cases, model.dictionaries, TrainingSettings(n_nonzero=model.n_nonzero), model.task)
    steps = []
    found = adapt(model, data, strength=strength, progress=lambda stage, done, total: steps.append((done, total)))
    assert steps[0] == (1, 100)

    def objective(other) -> float:
        """Return likelihood less price, of weights on the way from the model to `other` and beyond."""
        from mhealth.crf import SpanStructure
        from mhealth.labeling._training import loss_of_outputs

        emission, structure = other.emission, SpanStructure(grammar=model.task.grammar)
        sequences = np.arange(len(data))
        is_node = data.is_node(sequences)
        first = np.maximum(data.dense @ emission.of_dense + emission.threshold + codes_times(data, emission), 0)
        second = np.maximum(first @ emission.second + emission.second_threshold, 0)
        out = np.zeros((len(is_node), len(emission.bias)), np.float32)
        out[is_node] = second @ emission.last + emission.bias
        loss, _, _ = loss_of_outputs(out, structure.vector(other.weights), data, sequences, structure, 0.1)
        moved = [
            emission.last - model.emission.last, emission.bias - model.emission.bias,
            structure.vector(other.weights) - structure.vector(model.weights),
        ]  # fmt: skip
        return loss * is_node.sum() + strength / 2 * sum(float((part.astype(float) ** 2).sum()) for part in moved)

    best = objective(found)
    assert best < objective(model) - 1.0
    for size in (0.01, 0.03):
        for _ in range(5):
            last = found.emission.last + rng.normal(0, size, found.emission.last.shape).astype(np.float32)
            assert objective(replace(found, emission=replace(found.emission, last=last))) > best
    between = (found.emission.last + model.emission.last) / 2
    assert objective(replace(found, emission=replace(found.emission, last=between))) > best


def codes_times(data, emission):
    """Return the codes times the first layer's atoms, by a loop."""
    out = np.zeros((len(data.dense), len(emission.threshold)))
    for row, (columns, values) in enumerate(zip(data.columns, data.values, strict=True)):
        for column, value in zip(columns, values, strict=True):
            if column >= 0:
                out[row] += value * emission.of_codes[column]
    return out


def test_breaths_can_be_adapted_too():
    recording, truth = synthetic_respiration(fs=25, duration=60, seed=0)
    assert type(load("respiration").adapted([recording], [truth])) is BreathLabeler


def test_what_cannot_be_adapted(person):
    recording, _, marks = person
    general = load("ecg")
    with pytest.raises(NotFittedError):
        EcgLabeler().adapted([recording], [marks])
    with pytest.raises(AnnotationError, match="1 recordings, 0 annotations"):
        general.adapted([recording], [])
    nothing = Annotation(spans=marks.spans.select(slice(0, 0)), annotated=np.empty((0, 3), np.int64))
    with pytest.raises(AnnotationError, match="No annotated stretch"):
        general.adapted([recording], [nothing])
    for strength in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(InvalidParameterError, match="strength"):
            general.adapted([recording], [marks], strength=strength)
