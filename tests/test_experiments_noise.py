"""What is done to recordings, what is left of the truth, and what quality control makes of it."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from experiments._experiment import find
from experiments._ludb import unpacked
from experiments._runner import carry_out, finished
from experiments.noise import _measure
from experiments.noise._disturb import COPIES, Condition, conditions, disturbed, halves, repeated
from mhealth.cli._terminal import Terminal
from mhealth.cli._training import Case
from mhealth.core import ECG_WAVES, UNUSABLE, Recording, Spans
from mhealth.labeling import load
from mhealth.metrics import score_delineation
from mhealth.simulate import synthetic_ecg


@pytest.fixture(scope="module")
def case() -> Case:
    recording, annotation = synthetic_ecg(fs=250, duration=10, leads=("II", "V5"), seed=3)
    return repeated(Case("simulated", "r", recording, annotation, "s", ""))


@pytest.fixture(scope="module")
def noise() -> list[Recording]:
    rng = np.random.default_rng(5)
    return [
        Recording(
            signals=rng.standard_normal((60000, 2)).astype(np.float32), fs=360.0, channels=("a", "b"),
            units=("mV", "mV"), name=name,
        )
        for name in ("em", "ma", "bw")
    ]  # fmt: skip


def done(case: Case, kind: str, level: float, noise: list[Recording], seed: int = 1):
    return disturbed(case, Condition(kind=kind, level=level), noise, np.random.default_rng(seed))


def test_a_record_is_repeated_and_its_last_copy_is_marked():
    recording, annotation = synthetic_ecg(fs=250, duration=10, leads=("II",), seed=3)
    again = repeated(Case("simulated", "r", recording, annotation, "s", ""))
    n = recording.n_samples
    assert again.recording.n_samples == COPIES * n
    np.testing.assert_array_equal(again.recording.signals[-n:], again.recording.signals[:n])
    np.testing.assert_array_equal(again.annotation.spans.onset, annotation.spans.onset + (COPIES - 1) * n)
    np.testing.assert_array_equal(again.annotation.annotated[:, 1:], annotation.annotated[:, 1:] + (COPIES - 1) * n)


def test_noise_is_as_loud_as_it_is_called_and_the_same_at_every_level(case, noise):
    added = [done(case, "em", level, noise).recording.signals - case.recording.signals for level in (0.0, 20.0)]
    np.testing.assert_allclose(added[0], 10 * added[1], atol=1e-4)
    qrs = case.annotation.spans.of(label="QRS", channel="II")
    sizes = [np.ptp(case.recording.signals[a:b, 0]) for a, b in zip(qrs.onset, qrs.offset, strict=True)]
    assert added[0][:, 0].std() == pytest.approx(np.mean(sizes) / np.sqrt(8), rel=1e-3)
    assert abs(np.corrcoef(added[0].T)[0, 1]) < 0.1  # another piece in each lead


def test_labelers_learn_from_one_half_of_the_noise_and_are_tested_with_the_other(noise):
    first, second = halves(noise, second=False), halves(noise, second=True)
    for whole, a, b in zip(noise, first, second, strict=True):
        np.testing.assert_array_equal(np.concatenate([a.signals, b.signals]), whole.signals)


def test_noise_alone_has_no_heart_and_no_marks(case, noise):
    alone = done(case, "ma alone", 0.0, noise)
    assert len(alone.annotation.spans) == 0
    np.testing.assert_array_equal(alone.annotation.annotated, case.annotation.annotated)
    assert abs(np.corrcoef(alone.recording.signals[:, 0], case.recording.signals[:, 0])[0, 1]) < 0.1


@pytest.mark.parametrize("kind", ["dropout", "lead off"])
def test_what_is_lost_is_lost_for_the_asked_share_and_not_expected(case, noise, kind):
    made = done(case, kind, 30.0, noise)
    signals, n = made.recording.signals, made.recording.n_samples
    for channel in range(2):
        own = [(start, stop) for c, start, stop in made.faults if c == channel]
        assert 0.28 <= sum(b - a for a, b in own) / n <= 0.38
        assert all(b < a for (_, b), (a, _) in pairwise(own))
        for start, stop in own:
            gone = signals[start:stop, channel]
            assert np.isnan(gone).all() if kind == "dropout" else np.ptp(gone) == 0
            spans = made.annotation.spans
            touched = (spans.channel == channel) & (spans.onset < stop) & (spans.offset > start)
            assert not touched.any()
    assert made.faults != done(case, kind, 30.0, noise, seed=2).faults


def test_a_clipped_lead_shows_the_asked_share_of_its_qrs_complexes(case, noise):
    made = done(case, "clipped", 25.0, noise)
    qrs = case.annotation.spans.of(label="QRS", channel="V5")
    sizes = [np.ptp(case.recording.signals[a:b, 1]) for a, b in zip(qrs.onset, qrs.offset, strict=True)]
    assert np.abs(made.recording.signals[:, 1]).max() == pytest.approx(0.25 * np.mean(sizes), rel=1e-5)
    assert len(made.annotation.spans) == len(case.annotation.spans)


def test_conditions_begin_clean_and_end_with_noise_alone():
    names = [condition.name for condition in conditions({"em": [6, 0], "clipped": [50]})]
    assert names == ["clean", "em 6", "em 0", "clipped 50", "em alone"]


def test_without_quality_control_a_labeler_labels_what_is_flat_noisy_or_railed(case, noise):
    labeler = load("ecg").set_params(leads="independent")
    blind = _measure._without_quality(labeler)
    for kind, level in (("lead off", 40.0), ("ma", -12.0)):
        recording = done(case, kind, level, noise).recording
        assert len(labeler.label(recording).of(label=UNUSABLE))
        assert not len(blind.label(recording).of(label=UNUSABLE))
    missing = done(case, "dropout", 40.0, noise).recording
    assert len(blind.label(missing).of(label=UNUSABLE))
    assert labeler.model_.task.front_end.quality != _measure._BLIND


def test_what_is_called_unusable_is_missed_or_not_expected(case):
    one = disturbed(case, Condition(kind="clean"), [], np.random.default_rng(0))
    marks = case.annotation.spans
    start, stop = case.annotation.annotated[0, 1:].tolist()
    half = (start + stop) // 2
    unusable = Spans.from_rows(
        [(start, -1, half, 0, 0, np.nan)], fs=250.0, channels=marks.channels, classes=(UNUSABLE,)
    )
    usable = marks.select((marks.channel == 1) | (marks.onset >= half))
    left = _measure._scored([case], [one], [_measure._Found(usable, marks, unusable)])
    scores = {way: unpacked(left[way]) for way in _measure.WAYS}
    assert scores["ignored"].macro() == 100
    assert scores["heeded"].macro() == 100
    assert scores["shown"].macro() < 90
    annotated, called, lost, *false = left["seconds"]["s"]
    assert called == pytest.approx((half - start) / 250, abs=1)  # and the waves that reach into it
    assert annotated == pytest.approx(2 * (stop - start) / 250, abs=0.5)
    assert (lost, false) == (0, [0, 0])


def test_waves_in_what_is_lost_are_counted(case, noise):
    made = done(case, "lead off", 40.0, noise)
    none = Spans.empty(fs=250.0, channels=("II", "V5"), classes=ECG_WAVES)
    found = _measure._Found(none, case.annotation.spans, none)
    left = _measure._scored([case], [made], [found])
    *_, shown, ignored = left["seconds"]["s"]
    assert shown == 0
    spans = case.annotation.spans
    inside = [
        any(c == channel and start <= peak < stop for c, start, stop in made.faults)
        for channel, peak in zip(spans.channel.tolist(), spans.peak.tolist(), strict=True)
    ]
    assert ignored == sum(inside) > 0


def test_quality_control_is_laid_over_what_peers_find(case, monkeypatch):
    flat = replace(case.recording, signals=case.recording.signals.copy())
    flat.signals[4000:6000, 0] = 0.0
    monkeypatch.setattr(_measure, "delineate", lambda arm, recordings, progress: [case.annotation.spans])
    (found,) = _measure._by_peer("neurokit2-dwt", [flat], Run())
    kept, everything = (own.of(channel="II").peak for own in (found.shown, found.ignored))
    gone = np.setdiff1d(everything, kept)
    assert len(found.shown.of(channel="V5")) == len(found.ignored.of(channel="V5"))
    assert len(found.unusable) >= 1
    assert len(gone)
    assert ((gone >= 3900) & (gone < 6100)).all()


class Run:
    """A run of which only the progress is needed."""

    @staticmethod
    def progress(what: str, done: int, total: int) -> None:
        """Nothing."""


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore:The least populated class")
def test_the_experiment_runs_from_recordings_to_what_is_prevented(data_dir, tmp_path):
    experiment = find("noise")
    fewer = {"records": 5, "folds": 2, "leads": ["ii"], "n_resamples": 10}
    fewer["levels"] = {"em": [6], "ma": [-6], "lead off": [20], "clipped": [50]}
    outcome = carry_out(
        experiment, data=data_dir, out=tmp_path, settings=experiment.settings_of(quick=True) | fewer, seed=0,
        quick=True, command="test", terminal=Terminal(quiet=True),
    )  # fmt: skip
    assert outcome is not None
    manifest, results = finished(tmp_path)
    assert {path.split("/")[0] for path in manifest["inputs"]} == {"ludb", "nstdb"}
    assert len(results["left_out"]) == 5
    assert 50 < outcome.metrics["f1.sparse.clean"] <= 100
    assert outcome.metrics["lost.sparse.ma -6"] > 0
    assert outcome.metrics["false_ignored.sparse.ma alone"] > 0
    assert set(outcome.figures) == {"f1", "unusable", "false", "nothing"}
    assert len(outcome.tables["conditions"]) == 5 + 2
    assert (tmp_path / "models" / "sparse-1.npz").is_file()


def test_scores_of_nothing_expected_are_undefined_and_not_zero():
    recording, annotation = synthetic_ecg(fs=250, duration=5, leads=("II",), seed=3)
    none = Spans.empty(fs=recording.fs, channels=recording.channels, classes=ECG_WAVES)
    assert np.isnan(score_delineation([(replace(annotation, spans=none), none)]).macro())
