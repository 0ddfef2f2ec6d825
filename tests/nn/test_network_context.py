"""What a network says around a candidate, and what it learns from marks; with a network that needs no LiteRT."""

import numpy as np
import pytest

from mhealth.labeling._ecg_task import ECG
from mhealth.labeling._examples import LeadCase
from mhealth.labeling._network import NetworkContext, stretches
from mhealth.nn import Layout, Network


class Spelled:
    """The stream of a network whose logits spell out the first of `stride` samples, once all of them are there."""

    def __init__(self, stride) -> None:
        self._stride = stride
        self._waiting = np.empty(0, np.float32)

    def push(self, chunk) -> np.ndarray:
        self._waiting = np.concatenate([self._waiting, chunk])
        n = len(self._waiting) // self._stride * self._stride
        done, self._waiting = self._waiting[: n : self._stride], self._waiting[n:]
        return np.stack([np.zeros_like(done), done, -done, 2 * done], axis=1)

    def flush(self) -> np.ndarray:
        missing = -len(self._waiting) % self._stride
        return self.push(np.repeat(self._waiting[-1:], missing))


class SpellingNetwork(Network):
    """A network that spells out the lead."""

    def open(self) -> Spelled:
        return Spelled(self.layout.stride)


@pytest.fixture
def context() -> NetworkContext:
    layout = Layout(stride=2, before=0, after=0, alignment=2)
    return NetworkContext(network=SpellingNetwork(name="spelling", graph=b"", layout=layout, block=64))


def described(context, samples, positions, cuts=()) -> np.ndarray:
    """Describe candidates once the whole lead is there, pushed in chunks."""
    tracker = context.open(rate=250.0, warm_up=484)
    buffer = np.empty(0, np.float32)
    for part in np.split(samples, cuts):
        buffer = np.concatenate([buffer, part])
        tracker.push(buffer, 0, len(part), ended=False)
    tracker.push(buffer, 0, 0, ended=True)
    assert tracker.followed == len(samples)
    dense = np.full((len(positions), context.n_dense), np.nan, np.float32)
    limits, scale = np.asarray(positions), np.ones(len(positions), np.float32)
    tracker.describe(buffer, 0, np.asarray(positions), limits, scale, [], dense)
    return dense


def test_a_candidate_is_described_by_the_log_odds_around_it(context):
    samples = np.zeros(1000, np.float32)
    samples[500:502] = 2.0  # the output of samples 500 and 501 alone
    near = described(context, samples, [500, 520, 600])[:, :33].reshape(3, 11, 3)
    # in units of four; sample 500 lies half a sample before the middle of its output, a quarter of the way to the last
    np.testing.assert_array_equal(near[0, 5], 0.75 * np.array([0.5, -0.5, 1.0]))
    assert np.flatnonzero(near[0].any(axis=1)).tolist() == [5]
    assert np.flatnonzero(near[1].any(axis=1)).tolist() == [0]  # 80 ms before
    assert not near[2].any()


def test_farther_off_mean_probabilities_count(context):
    samples = np.zeros(1000, np.float32)
    samples[500:] = 20.0  # certainly the last class
    before, after, *_ = described(context, samples, [500])[0, 33:].reshape(4, 3)
    assert before[2] < 0.3
    assert after[2] > 0.99
    assert described(context, samples, [500]).max() <= 2.0  # what is certain is bounded


def test_chunks_do_not_matter(context, rng):
    samples = rng.normal(0, 3, 1001).astype(np.float32)
    positions = np.arange(0, 1001, 7)
    np.testing.assert_array_equal(
        described(context, samples, positions, cuts=[0, 1, 2, 333, 334, 900]), described(context, samples, positions)
    )


def test_beyond_the_ends_the_first_and_last_outputs_count(context):
    samples = np.full(600, 1.0, np.float32)
    found = described(context, samples, [0, 300, 599])
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[2], found[1])


def plain_description(logits, positions, stride) -> np.ndarray:
    """Return what logits say around candidates, as NumPy does it in float64."""
    logits = logits.astype(np.float64)
    odds = np.clip(logits[:, 1:] - logits[:, :1], -8, 8) / 4
    probability = np.exp(logits)[:, 1:] / np.exp(logits).sum(axis=1, keepdims=True)
    middles = np.arange(len(logits)) * stride + (stride - 1) / 2
    at = positions[:, None] + np.arange(-20, 21, 4)
    near = np.stack([np.interp(at, middles, column) for column in odds.T], axis=-1)
    means = []
    for start, stop in ((-38, 0), (0, 38), (-100, -38), (38, 100)):
        rows = (positions[:, None] + np.arange(start, stop + 1, max(4, stride))) // stride
        means.append(probability[np.clip(rows, 0, len(logits) - 1)].mean(axis=1))
    return np.concatenate([near.reshape(len(positions), -1), *means], axis=1)


@pytest.mark.parametrize("stride", [1, 2, 4, 8])
def test_a_network_of_any_stride_is_read_as_plain_numpy_reads_it(stride, rng):
    layout = Layout(stride=stride, before=0, after=0, alignment=stride)
    context = NetworkContext(network=SpellingNetwork(name="spelling", graph=b"", layout=layout, block=64))
    samples = rng.normal(0, 4, 1000).astype(np.float32)
    spelled = Spelled(stride)
    logits = np.concatenate([spelled.push(samples), spelled.flush()])
    positions = np.arange(0, 1000, 3)
    np.testing.assert_allclose(
        described(context, samples, positions), plain_description(logits, positions, stride), rtol=1e-5, atol=1e-6
    )  # float32 beside float64


def case(**changes) -> LeadCase:
    waves = np.array([[100, 110, 120], [130, 140, 150], [np.nan, 220, 240]], np.float64)
    lead = {"samples": np.zeros(500), "fs": 500.0, "waves": waves, "labels": ["P", "QRS", "T"], "annotated": (80, 300)}
    return LeadCase(**{**lead, "samples": np.zeros(500, np.float32), **changes})


def test_marks_become_classes_of_samples_at_250_hz():
    (found,) = stretches(case(), ECG)
    assert len(found.lead) == len(found.classes) == len(found.known) == 250
    assert np.flatnonzero(found.classes == 1).tolist() == list(range(50, 60))
    assert np.flatnonzero(found.classes == 2).tolist() == list(range(65, 75))
    assert np.flatnonzero(found.classes == 3).tolist() == list(range(110, 120))  # its onset is not marked


def test_nothing_is_known_outside_the_annotated_stretch_nor_where_an_edge_may_lie():
    waves = np.array([[100, 110, 120], [130, 140, 150], [np.nan, 400, 440]], np.float64)
    (found,) = stretches(case(waves=waves, annotated=(80, 460)), ECG)
    assert not found.known[:40].any()
    assert not found.known[230:].any()
    assert not found.known[200 - 62 : 200].any()
    assert found.known[40:138].all()
    assert found.known[200:230].all()


def test_missing_samples_cut_a_lead():
    samples = np.zeros(500, np.float32)
    samples[200:210] = np.nan
    parts = list(stretches(case(samples=samples, fs=250.0), ECG))
    assert [len(part.lead) for part in parts] == [200, 290]
    assert not any(np.isnan(part.lead).any() for part in parts)
    assert np.flatnonzero(parts[1].classes == 3).tolist() == list(range(10, 30))


def test_a_stretch_in_which_nothing_is_annotated_is_left_out():
    samples = np.zeros(500, np.float32)
    samples[310:320] = np.nan
    (part,) = stretches(case(samples=samples, fs=250.0), ECG)
    assert len(part.lead) == 310
