"""Altered copies of ECG leads: marks stay on the waves, and what was drawn is what comes out."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

from mhealth.labeling import _augment
from mhealth.labeling._augment import _cut, _draw_heart, _Heart, _reshape, _Shape, _warp, augmented
from mhealth.labeling._examples import LeadCase, lead_cases
from mhealth.simulate import synthetic_ecg

FS = 250.0


def case_of(seed=0, **parameters) -> LeadCase:
    """A minute of a clean lead with all its marks."""
    recording, truth = synthetic_ecg(fs=FS, duration=60, leads=("II",), heart_rate=70, seed=seed, **parameters)
    return next(lead_cases(recording, truth))


@pytest.fixture
def case() -> LeadCase:
    return case_of()


@pytest.fixture
def hills() -> LeadCase:
    """P, QRS and T as half sines on a slope, with known edges, in three beats."""
    lead = np.linspace(0.0, 3.0, 750)
    waves, labels = [], []
    for beat in range(3):
        for label, first, length in (("P", 20, 25), ("QRS", 60, 25), ("T", 110, 50)):
            start = 250 * beat + first
            lead[start : start + length] += np.sin(np.linspace(0, np.pi, length))
            waves.append((start, start + length // 2, start + length - 1))
            labels.append(label)
    return LeadCase(
        samples=lead.astype(np.float32), fs=FS, waves=np.array(waves, float), labels=labels, annotated=(0, 750)
    )


def untouched(case: LeadCase) -> _Heart:
    return _Heart([_Shape() for _ in case.labels], np.ones(len(case.labels)), fibrillating=False)


def test_waves_get_the_size_that_was_drawn_above_their_chord(hills):
    sizes = {"P": 0.5, "QRS": -1.5, "T": 2.0}
    (signal,), labels = _reshape(hills, [_Shape(size=sizes[label]) for label in hills.labels])
    assert labels == hills.labels
    for (onset, peak, offset), label in zip(hills.waves.astype(int), hills.labels, strict=True):
        chord = np.interp(peak, [onset, offset], hills.samples[[onset, offset]])
        height = hills.samples[peak] - chord
        assert signal[peak] - chord == pytest.approx(sizes[label] * height, abs=1e-5)
        assert signal[onset] == pytest.approx(hills.samples[onset], abs=1e-6)
        assert signal[offset] == pytest.approx(hills.samples[offset], abs=1e-6)
    between = slice(50, 60)
    np.testing.assert_allclose(signal[between], hills.samples[between], atol=1e-6)


def test_a_wave_of_no_size_loses_its_mark(hills):
    shapes = [_Shape(size=0.0 if label == "P" else 1.0) for label in hills.labels]
    (signal,), labels = _reshape(hills, shapes)
    assert labels == [None, "QRS", "T"] * 3
    np.testing.assert_allclose(np.diff(signal[21:44], n=2), 0, atol=1e-6)  # a straight line


def test_a_wave_without_both_edges_stays_as_it_is(hills):
    hills.waves[1, 0] = np.nan
    (signal,), _ = _reshape(hills, [_Shape(size=3.0)] * 9)
    np.testing.assert_allclose(signal[60:85], hills.samples[60:85], atol=1e-6)
    assert np.abs(signal[110:160] - hills.samples[110:160]).max() > 1


def test_waves_and_gaps_last_as_long_as_was_drawn(hills):
    heart = untouched(hills)
    durations = {"P": 0.5, "QRS": 2.0, "T": 1.5}
    heart.shapes = [_Shape(duration=durations[label]) for label in hills.labels]
    heart.gaps = np.array([2.0, 0.5, 0.25] * 3)
    _, waves, annotated = _warp(hills.samples[None].astype(float), hills, heart)
    lengths = (hills.waves[:, 2] - hills.waves[:, 0]) * [durations[label] for label in hills.labels]
    np.testing.assert_allclose(waves[:, 2] - waves[:, 0], lengths, atol=1e-9)
    gaps = (hills.waves[1:, 0] - hills.waves[:-1, 2]) * heart.gaps[:-1]
    np.testing.assert_allclose(waves[1:, 0] - waves[:-1, 2], gaps, atol=1e-9)
    assert annotated[0] == 0
    assert annotated[1] > waves[-1, 2]


def test_marks_stay_on_the_waves_when_time_is_warped(hills, rng):
    heart = untouched(hills)
    heart.shapes = [_Shape(duration=d) for d in rng.uniform(0.5, 2.0, 9)]
    heart.gaps = rng.uniform(0.2, 3.0, 9)
    (signal,), waves, _ = _warp(hills.samples[None].astype(float), hills, heart)
    before, after = hills.waves.ravel(), waves.ravel()
    there = np.interp(after, np.arange(len(signal)), signal)
    # Half of what the signal changes in a sample at the steepest edge.
    np.testing.assert_allclose(there, hills.samples[before.astype(int)], atol=0.07)


def test_marks_stay_on_the_peaks_of_whole_copies(case, monkeypatch):
    """Without noise the QRS complex of a copy is still where its mark says, whatever became of rhythm and shape."""
    monkeypatch.setattr(_augment, "_wearing", lambda n, *_: np.zeros(n))
    monkeypatch.setattr(_augment, "_fibrillation", lambda n, *_: np.zeros(n))
    n_waves = 0
    for seed in range(30):
        copy = augmented(case, np.random.default_rng(seed), [])
        for (onset, peak, offset), label in zip(copy.waves, copy.labels, strict=True):
            assert 0 <= onset <= peak <= offset < len(copy.samples)
            assert copy.annotated[0] <= onset
            assert offset <= copy.annotated[1]
            if label != "QRS":
                continue
            first, last = int(onset), int(np.ceil(offset)) + 1
            part = copy.samples[first:last].astype(float)
            above = np.abs(part - np.linspace(part[0], part[-1], len(part)))
            middle = above[max(0, int(peak) - first - 3) : int(peak) - first + 4]
            n_waves += 1
            assert middle.max() > 0.5 * above.max()
    assert n_waves > 1000


def test_copies_are_sorted_and_their_waves_do_not_overlap(case):
    for seed in range(20):
        copy = augmented(case, np.random.default_rng(seed), [])
        assert len(copy.labels) == len(copy.waves)
        assert (copy.waves[1:, 0] >= copy.waves[:-1, 2] - 1e-9).all()
        assert np.isfinite(copy.samples).all()
        assert 100.0 <= copy.fs <= 2000.0
        assert copy.fs % 5 == 0


def test_a_detached_lead_has_no_marks(case):
    """About three in a hundred copies show noise alone; they are annotated, so that noise is learned as none."""
    bare = [seed for seed in range(100) if not augmented(case, np.random.default_rng(seed), []).labels]
    assert 1 <= len(bare) <= 10
    copy = augmented(case, np.random.default_rng(bare[0]), [])
    assert copy.annotated[1] > copy.annotated[0]
    assert copy.waves.shape == (0, 3)
    assert 0 < np.ptp(copy.samples) < 2 * np.ptp(case.samples)


def test_fibrillating_atria_make_no_p_waves(case, rng):
    hearts = [_draw_heart(case, rng) for _ in range(60)]
    fibrillating = [heart for heart in hearts if heart.fibrillating]
    assert 1 <= len(fibrillating) <= 20
    for heart in fibrillating:
        assert all(shape.size == 0 for shape, label in zip(heart.shapes, case.labels, strict=True) if label == "P")
        assert np.std(np.log(heart.gaps)) > 0.1  # irregular


def test_gaps_are_drawn_within_bounds_and_conducted_p_waves_alike(case, rng):
    hearts = [_draw_heart(case, rng) for _ in range(60)]
    for heart in hearts:
        assert ((heart.gaps >= 0) & (heart.gaps <= 24)).all()
    p_waves = [k for k, label in enumerate(case.labels[:-1]) if label == "P"]
    seconds = (case.waves[np.array(p_waves) + 1, 0] - case.waves[p_waves, 2]) / case.fs
    longest = max(float((heart.gaps[p_waves] * seconds).max()) for heart in hearts)
    assert 0.2 < longest < 0.36


def test_a_wave_that_is_cut_loses_its_mark(hills):
    class Draws:
        """Cuts 20 % off the start, in a T wave, and 18 % off the end, in another."""

        def __init__(self):
            self.shares = [0.2, 0.18]

        def random(self):
            return 0.0

        def uniform(self, low, high):
            return self.shares.pop(0)

    (signal,), waves, labels, annotated = _cut(hills.samples[None], hills.waves, hills.labels, hills.annotated, Draws())
    np.testing.assert_array_equal(signal, hills.samples[150:615])
    assert labels == ["P", "QRS", "T", "P", "QRS"]
    np.testing.assert_array_equal(waves, hills.waves[3:8] - 150)
    assert annotated == (160 - 150, 610 - 150)  # behind the one, before the other


def test_hard_wearing_is_noisier(case):
    noise = [(np.random.default_rng(9).standard_normal(50_000).astype(np.float32), 360.0)]
    draws = [np.random.default_rng(seed) for seed in range(150)]
    usual, hard = (
        np.mean([_augment._wearing(2500, FS, deepcopy(draw), noise, wearing).std() > 0.12 for draw in draws])
        for wearing in (_augment.USUAL, _augment.HARD)
    )
    assert hard > 1.5 * usual > 0


def test_the_same_seed_draws_the_same_copy(case):
    noise = [(np.random.default_rng(9).standard_normal(50_000).astype(np.float32), 360.0)]
    one, other, third = (augmented(case, np.random.default_rng(seed), noise) for seed in (3, 3, 4))
    for name in ("samples", "waves", "labels", "annotated", "fs"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.samples.shape != third.samples.shape or not np.array_equal(one.samples, third.samples)


def test_a_case_is_not_changed_by_its_copies(case):
    before = replace(case, samples=case.samples.copy(), waves=case.waves.copy(), labels=list(case.labels))
    for seed in range(5):
        augmented(case, np.random.default_rng(seed), [])
    np.testing.assert_array_equal(case.samples, before.samples)
    np.testing.assert_array_equal(case.waves, before.waves)
    assert case.labels == before.labels


def test_missing_samples_stay_missing(case, monkeypatch):
    monkeypatch.setattr(_augment, "_cut", lambda *parts: parts[:4])
    case.samples[1000:1100] = np.nan
    copies = [augmented(case, np.random.default_rng(seed), []) for seed in range(150)]
    assert any(not copy.labels for copy in copies)  # a detached lead among them
    assert all(np.isnan(copy.samples).sum() > 3 for copy in copies)
