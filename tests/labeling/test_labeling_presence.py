"""The bonus for waves that the best labelling calls too seldom, on cases that can be counted."""

from types import SimpleNamespace

import numpy as np

from mhealth.crf import Grammar, SpanStructure
from mhealth.labeling._constraints import Targets
from mhealth.labeling._emission import SparseEmission
from mhealth.labeling._examples import Example
from mhealth.labeling._features import Features
from mhealth.labeling._presence import choose_bonuses, with_bonuses
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
    np.testing.assert_array_equal(bonuses_for([FAINT] * 3, [[4, 5]] * 3, {0: -9.0, 1: 3.0}), [0.0, 0.0])


def test_where_a_bonus_calls_more_that_is_false_nothing_is_added():
    """Two of ten such candidates show a wave: calling them all finds two and makes eight up."""
    marked = [[4, 5] if k < 2 else [] for k in range(10)]
    found = [[2, 2, 2, 2, 2, 2, 2]] * 4
    bonuses = bonuses_for([FAINT] * 10 + found, marked + [[3, 4]] * 4, {0: -9.0, 1: -1.2, 2: 1.0})
    np.testing.assert_array_equal(bonuses, [0.0, 0.0])


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
