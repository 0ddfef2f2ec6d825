"""The bonus for waves that the best labelling calls too seldom, on cases that can be counted."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from mhealth.core import Annotation, Recording, Spans
from mhealth.crf import Grammar, SpanStructure
from mhealth.labeling import _presence
from mhealth.labeling._constraints import Targets
from mhealth.labeling._ecg_task import ECG
from mhealth.labeling._emission import SparseEmission
from mhealth.labeling._examples import Example
from mhealth.labeling._features import Features
from mhealth.labeling._presence import choose_bonuses, choose_joint, with_bonuses
from mhealth.labeling._training import TrainingSet

GRAMMAR = Grammar(
    states=("rest", "wave"), transitions=(("rest", "wave"), ("wave", "rest")), reported=(("wave", "wave"),),
    longest=(3.0, 3.0), continues=("rest",),
)  # fmt: skip
WAVE = GRAMMAR.index("wave")
TASK = SimpleNamespace(grammar=GRAMMAR, eager=("wave",))
WEIGHTS = SpanStructure(grammar=GRAMMAR).span_weights(np.zeros(SpanStructure(grammar=GRAMMAR).n_weights))
ONE_OF_EACH = np.eye(4, dtype=np.float32)


def an_emission(inside: dict[int, float]) -> SparseEmission:
    """An emission that gives a wave so much inside at a candidate with this one-hot feature; else nothing."""
    n_outputs = 6 * GRAMMAR.n_states
    last = np.zeros((4, n_outputs), np.float32)
    for feature, score in inside.items():
        last[feature, WAVE] = score
    return SparseEmission(
        of_dense=ONE_OF_EACH, of_codes=np.zeros((1, 4), np.float32), threshold=np.zeros(4, np.float32),
        second=ONE_OF_EACH, second_threshold=np.zeros(4, np.float32), last=last,
        bias=np.zeros(n_outputs, np.float32),
    )  # fmt: skip


def sequences_of(kinds: list[list[int]], marked: list[list[int]]) -> TrainingSet:
    """Sequences of candidates half a second apart with one-hot features, waves marked in some of the intervals."""
    features, examples = [], []
    for row, waves in zip(kinds, marked, strict=True):
        n = len(row)
        features.append(
            Features(np.arange(n), ONE_OF_EACH[row], np.full((n, 1), -1, np.int32), np.zeros((n, 1), np.float32))
        )
        allowed = np.full(n + 2, GRAMMAR.mask("rest"), np.uint8)
        allowed[waves] = GRAMMAR.mask("wave")
        none = np.empty(0, np.int64)
        targets = Targets(allowed, none, none, np.empty(0, np.float32))
        examples.append(Example(times=np.arange(n + 2) / 2, raw=None, targets=targets))
    return TrainingSet(features, examples, [0] * len(examples), 0.02)


def bonuses_for(kinds, marked, inside) -> np.ndarray:
    data = sequences_of(kinds, marked)
    return choose_bonuses(an_emission(inside), WEIGHTS, data, np.arange(len(data)), TASK)


FAINT = [0, 0, 0, 1, 1, 1, 0, 0, 0]
"""A wave somewhere among the three candidates of kind 1."""


def test_waves_that_are_missed_narrowly_are_called_with_a_bonus():
    """There are six places for the wave, three of score −1.2, two of −2.4, one of −3.6; without one the score is 0.

    Together they are more likely than no wave, 3 e^−1.2 + 2 e^−2.4 + e^−3.6 = 1.11 > 1; each alone is less likely, and
    is called from a bonus of 1.5 on.
    """
    bonuses = bonuses_for([FAINT] * 3, [[4, 5]] * 3, {0: -9.0, 1: -1.2})
    np.testing.assert_array_equal(bonuses, [0.0, 1.5])


def test_where_everything_is_found_nothing_is_added():
    np.testing.assert_array_equal(bonuses_for([FAINT] * 300, [[4, 5]] * 300, {0: -9.0, 1: 3.0}), [0.0, 0.0])


def test_where_a_bonus_calls_more_that_is_false_nothing_is_added():
    """A fifth of such candidates show a wave: calling them all makes up four for each that it finds."""
    marked = [[4, 5] if k < 20 else [] for k in range(100)]
    found = [[2, 2, 2, 2, 2, 2, 2]] * 40
    bonuses = bonuses_for([FAINT] * 100 + found, marked + [[3, 4]] * 40, {0: -9.0, 1: -1.2, 2: 1.0})
    np.testing.assert_array_equal(bonuses, [0.0, 0.0])


def test_of_bonuses_that_are_as_good_within_chance_the_largest_is_taken():
    """One of 400 such candidates shows no wave: calling it too costs less than the standard error, 0.13 %."""
    marked = [[4, 5]] * 399 + [[]]
    rare = [[0, 0, 0, 3, 3, 3, 0, 0, 0]]
    bonuses = bonuses_for([FAINT] * 399 + rare, marked, {0: -9.0, 1: -1.2, 3: -4.2})
    np.testing.assert_array_equal(bonuses, [0.0, 4.5])


def test_only_what_the_task_names_gets_a_bonus():
    data = sequences_of([FAINT], [[4, 5]])
    calm = SimpleNamespace(grammar=GRAMMAR, eager=())
    bonuses = choose_bonuses(an_emission({0: -9.0, 1: -1.2}), WEIGHTS, data, np.arange(1), calm)
    np.testing.assert_array_equal(bonuses, [0.0, 0.0])


def test_a_bonus_is_added_to_every_onset_and_nothing_else():
    emission = an_emission({1: 2.0})
    raised = with_bonuses(emission, np.array([0.5, 1.5], np.float32))
    features = Features(np.arange(4), ONE_OF_EACH, np.full((4, 1), -1, np.int32), np.zeros((4, 1), np.float32))
    difference = raised.outputs(features) - emission.outputs(features)
    expected = np.zeros(12)
    expected[2:4] = 0.5, 1.5
    np.testing.assert_allclose(difference, np.tile(expected, (4, 1)), atol=1e-6)
    assert not emission.bias.any()  # the first is as it was


@dataclass(frozen=True)
class JointModel:
    """What `choose_joint` needs of a model."""

    task: object
    joint: np.ndarray
    leads: tuple[str, ...] = ()


def marked_together(n_leads: int) -> tuple[Recording, Annotation]:
    """Ten seconds in which each lead shows ten P waves."""
    rows = [(k * 500 + 50, k * 500 + 75, k * 500 + 100, 0, lead, np.nan) for k in range(10) for lead in range(n_leads)]
    channels = tuple("abc"[:n_leads])
    recording = Recording(signals=np.zeros((5000, n_leads), np.float32), fs=500.0, channels=channels)
    spans = Spans.from_rows(rows, fs=500.0, channels=channels, classes=ECG.labels)
    return recording, Annotation(spans=spans, annotated=np.array([[lead, 0, 5000] for lead in range(n_leads)]))


def fewer_with_less(model, recording, groups, lag):
    """A false P wave for each tenth above −0.3, a missed one for each below."""
    surplus = round(10 * float(model.joint[ECG.grammar.index("P")])) + 3
    spans = marked_together(len(recording.channels))[1].spans
    rows = list(zip(spans.onset, spans.peak, spans.offset, spans.label, spans.channel, spans.probability, strict=True))
    false = [(k * 500 + 250, k * 500 + 275, k * 500 + 300, 0, 0, np.nan) for k in range(max(0, surplus))]
    return Spans.from_rows(rows[max(0, -surplus) :] + false, fs=500.0, channels=spans.channels, classes=ECG.classes)


def test_leads_together_get_what_finds_their_waves_best(monkeypatch):
    monkeypatch.setattr(_presence, "label_groups", fewer_with_less)
    model = JointModel(ECG, np.zeros(ECG.grammar.n_states, np.float32))
    seen = []
    joint = choose_joint(model, [marked_together(3)], lag=1.5, progress=lambda done, total: seen.append((done, total)))
    expected = np.zeros(ECG.grammar.n_states)
    expected[ECG.grammar.index("P")] = -0.3
    np.testing.assert_allclose(joint, expected, atol=1e-6)
    assert seen[-1] == (7, 7)


def test_one_lead_says_nothing_about_leads_together(monkeypatch):
    monkeypatch.setattr(_presence, "label_groups", fewer_with_less)
    model = JointModel(ECG, np.zeros(ECG.grammar.n_states, np.float32))
    assert not choose_joint(model, [marked_together(1)], lag=1.5, progress=lambda done, total: None).any()
