"""The labeler as an estimator of scikit-learn: parameters, fitting, repeating, cross-validation."""

import pickle

import numpy as np
import pytest
from labeling_cases import ecg, rows
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, cross_val_score

from mhealth.core import Annotation, Recording, Spans
from mhealth.errors import AnnotationError, InvalidParameterError, NotFittedError
from mhealth.labeling import EcgLabeler, NetworkEmission, TrainingSettings, _calibration, _labeler, load
from mhealth.labeling._calibration import identity
from mhealth.labeling._ecg_task import ECG

LIMB = ("I", "II", "III", "aVR", "aVL", "aVF")

SMALL = TrainingSettings(
    n_atoms=12,
    n_nonzero=3,
    n_first=16,
    n_second=8,
    n_epochs=2,
    fewest_steps=150,
    n_augmented=1,
    batch_size=4,
    learning_rate=1e-2,
)


def cases(seeds):
    recordings, annotations = zip(*(ecg(seed, duration=10.0, leads=("II",)) for seed in seeds), strict=True)
    return list(recordings), list(annotations)


def weights(labeler):
    model = labeler.model_
    return [*model.emission.to_arrays().values(), *model.weights, *(d.atoms for d in model.dictionaries)]


@pytest.fixture(scope="module")
def small():
    return EcgLabeler(training=SMALL).fit(*cases(range(4)))


def test_a_clone_has_the_same_parameters_and_has_learned_nothing(small):
    noise = [ecg(0, leads=("I",))[0]]
    network = NetworkEmission(architecture="tcn", n_augmented=2)
    labeler = EcgLabeler(leads="independent", lag=None, emission=network, training=SMALL, noise=noise, random_state=3)
    parameters = labeler.get_params()
    assert parameters == {
        "leads": "independent", "lag": None, "emission": network, "budget": None, "training": SMALL, "noise": noise,
        "random_state": 3,
    }  # fmt: skip
    assert parameters["noise"] is noise
    copied = clone(labeler).get_params()
    assert copied.pop("noise")[0].name == parameters.pop("noise")[0].name
    assert copied == parameters
    assert not hasattr(clone(small), "model_")
    labeler.set_params(lag=1.0, leads="fused")
    assert (labeler.lag, labeler.leads) == (1.0, "fused")
    with pytest.raises(ValueError, match="lagg"):
        labeler.set_params(lagg=1.0)


def test_its_text_names_what_differs_from_the_defaults():
    assert repr(EcgLabeler()) == "EcgLabeler()"
    assert repr(EcgLabeler(lag=None)) == "EcgLabeler(lag=None)"


@pytest.mark.parametrize(
    "bad", [{"leads": "both"}, {"lag": 0}, {"lag": -1.0}, {"lag": np.nan}, {"lag": np.inf}, {"budget": "m0"}]
)
def test_parameters_are_stored_as_given_and_checked_when_used(small, bad):
    labeler = EcgLabeler(**bad)
    assert labeler.get_params().items() >= bad.items()
    (name,) = bad
    with pytest.raises(InvalidParameterError, match=name):
        labeler.fit([], [])
    labeler.model_ = small.model_
    with pytest.raises(InvalidParameterError, match=name):
        labeler.label(ecg(0)[0])


def test_nothing_can_be_labelled_before_fit():
    recording, annotation = ecg(0)
    for call in (
        lambda: EcgLabeler().label(recording),
        lambda: EcgLabeler().open(fs=250.0, channels=("II",)),
        lambda: EcgLabeler().score([recording], [annotation]),
    ):
        with pytest.raises(NotFittedError, match="fit"):
            call()


def test_fit_returns_the_labeler_and_keeps_its_parameters():
    labeler = EcgLabeler(training=SMALL)
    assert labeler.fit(*cases(range(2))) is labeler
    assert labeler.get_params() == EcgLabeler(training=SMALL).get_params()


def test_the_same_seed_gives_the_same_weights_and_another_does_not(small):
    again = EcgLabeler(training=SMALL).fit(*cases(range(4)))
    for first, second in zip(weights(small), weights(again), strict=True):
        np.testing.assert_array_equal(first, second)
    other = EcgLabeler(training=SMALL, random_state=1).fit(*cases(range(4)))
    assert not np.array_equal(other.model_.emission.last, small.model_.emission.last)


def test_a_second_fit_forgets_the_first(small):
    labeler = EcgLabeler(training=SMALL).fit(*cases([7, 8]))
    labeler.fit(*cases(range(4)))
    for first, second in zip(weights(small), weights(labeler), strict=True):
        np.testing.assert_array_equal(first, second)


def test_fit_and_label_leave_their_inputs_alone():
    recordings, annotations = cases(range(2))
    recordings[0].signals[100:110] = np.nan
    copies = [recording.signals.copy() for recording in recordings]
    points = [np.stack([a.spans.onset, a.spans.peak, a.spans.offset]) for a in annotations]
    for recording in recordings:
        recording.signals.flags.writeable = False
    labeler = EcgLabeler(training=SMALL).fit(recordings, annotations)
    labeler.label(recordings[0])
    for recording, before in zip(recordings, copies, strict=True):
        np.testing.assert_array_equal(recording.signals, before)
    for annotation, before in zip(annotations, points, strict=True):
        spans = annotation.spans
        np.testing.assert_array_equal(np.stack([spans.onset, spans.peak, spans.offset]), before)


def test_cross_validation_by_subject_works(rng):
    recordings, annotations = cases(range(6))
    groups = ["a", "b", "c", "a", "b", "c"]
    settings = TrainingSettings(
        n_atoms=16,
        n_first=32,
        n_second=16,
        n_epochs=20,
        fewest_steps=150,
        n_augmented=0,
        batch_size=2,
        learning_rate=1e-2,
    )
    scores = cross_val_score(
        EcgLabeler(training=settings), recordings, annotations, groups=groups, cv=GroupKFold(3), error_score="raise"
    )
    assert scores.shape == (3,)
    assert (scores > 0.6).all()
    assert (scores <= 1).all()


def test_a_fitted_labeler_can_be_pickled(small):
    recording, _ = ecg(5)
    assert rows(pickle.loads(pickle.dumps(small)).label(recording)) == rows(small.label(recording))


def test_subjects_held_out_calibrate_the_probabilities(small):
    """With five subjects one is held out; it tells how far marginals of leads alone and together can be trusted."""
    np.testing.assert_array_equal(small.model_.calibration, identity(3))
    recordings, annotations = zip(*(ecg(seed, duration=40.0, leads=LIMB) for seed in range(5)), strict=True)
    seen = []
    labeler = EcgLabeler(training=SMALL)
    labeler.fit(recordings, annotations, progress=lambda *step: seen.append(step))
    maps = labeler.model_.calibration
    assert maps.shape == identity(3).shape
    assert (np.diff(maps) >= 0).all()
    qrs = ECG.classes.index("QRS")
    assert not np.array_equal(maps[0, qrs], identity(3)[0, qrs])
    assert not np.array_equal(maps[0, qrs], maps[1, qrs])
    assert any("calibrating" in stage for stage, _, _ in seen)
    assert all(0 < done <= total for _, done, total in seen)


def test_the_map_of_leads_together_starts_from_their_marginals(monkeypatch, small):
    given = [ecg(seed, duration=40.0, leads=LIMB) for seed in range(4)]

    def fitted(*ways):
        monkeypatch.setattr(_calibration, "_ways", lambda model, cases: [[way] * len(cases) for way in ways])
        return _calibration.calibrate(small.model_, given, lag=1.5, progress=lambda done, total: None)

    alone, together = [[0], [1]], [[0, 1]]
    np.testing.assert_array_equal(fitted(alone, together), [fitted(alone)[0], fitted(together)[0]])


def test_recordings_with_one_lead_calibrate_leads_alone_only(small):
    given = [ecg(0, leads=LIMB[:1]), ecg(1, duration=60.0, leads=LIMB), ecg(2, leads=LIMB[:1])]
    maps = _calibration.calibrate(small.model_, given, lag=1.5, progress=lambda done, total: None)
    np.testing.assert_array_equal(
        maps[1], _calibration.calibrate(small.model_, given[1:2], lag=1.5, progress=lambda done, total: None)[1]
    )


def test_probabilities_are_calibrated_for_leads_that_decide_as_they_will(monkeypatch):
    """What leads together add to their scores is chosen before, and changes their marginals."""
    chosen, calibrated = np.linspace(0.0, -1.0, ECG.grammar.n_states, dtype=np.float32), []
    monkeypatch.setattr(_labeler, "choose_joint", lambda *given, **more: chosen)
    monkeypatch.setattr(
        _labeler, "calibrate", lambda model, *given, **more: [calibrated.append(model.joint), identity(3)][1]
    )
    recordings, annotations = zip(*(ecg(seed, leads=LIMB) for seed in range(5)), strict=True)
    model = EcgLabeler(training=SMALL).fit(recordings, annotations).model_
    assert calibrated[0] is chosen
    assert model.joint is chosen


def test_what_does_not_belong_together_is_refused():
    recordings, annotations = cases(range(2))
    with pytest.raises(AnnotationError, match="2 recordings, 1 annotations and 2 groups"):
        EcgLabeler(training=SMALL).fit(recordings, annotations[:1])
    with pytest.raises(AnnotationError, match="3 groups"):
        EcgLabeler(training=SMALL).fit(recordings, annotations, groups=["a", "b", "c"])


@pytest.mark.parametrize("what", ["no recording", "no stretch", "only missing samples", "a second"])
def test_without_an_annotated_stretch_there_is_nothing_to_learn(what):
    recordings, annotations = cases(range(2))
    if what == "no recording":
        recordings, annotations = [], []
    elif what == "no stretch":
        annotations = [Annotation(spans=a.spans, annotated=np.empty((0, 3))) for a in annotations]
    elif what == "only missing samples":
        recordings = [Recording(signals=np.full_like(r.signals, np.nan), fs=250, channels=("II",)) for r in recordings]
    else:
        empty = Spans.empty(fs=250, channels=("II",), classes=("P", "QRS", "T"))
        recordings = [r.slice(0, 20) for r in recordings]
        annotations = [Annotation(spans=empty, annotated=[(0, 0, 20)])] * 2
    with pytest.raises(AnnotationError, match="annotated"):
        EcgLabeler(training=SMALL).fit(recordings, annotations)


def test_marks_beside_the_annotated_stretch_and_without_edges_are_learned_from():
    recordings, annotations = cases(range(3))
    for k, annotation in enumerate(annotations):
        spans = annotation.spans
        onset = np.where(np.arange(len(spans)) % 3 == k, -1, spans.onset)
        lacking = Spans(
            onset=onset, peak=spans.peak, offset=spans.offset, label=spans.label, channel=spans.channel,
            probability=spans.probability, fs=spans.fs, channels=spans.channels, classes=spans.classes,
        )  # fmt: skip
        annotations[k] = Annotation(spans=lacking, annotated=[(0, 300, 900), (0, 1100, 2100)])
    labeler = EcgLabeler(training=SMALL).fit(recordings, annotations)
    assert len(labeler.label(recordings[0]))


@pytest.mark.parametrize("missing", [True, False])
def test_recorded_noise_may_miss_samples(missing):
    noise = ecg(9, leads=("I",))[0]
    if missing:
        noise.signals[1000:1500] = np.nan
    labeler = EcgLabeler(training=SMALL, noise=[noise]).fit(*cases(range(3)))
    assert all(np.isfinite(array).all() for array in labeler.model_.emission.to_arrays().values())


def test_load_gives_a_labeler_whose_parameters_can_be_chosen(small, tmp_path):
    small.save(tmp_path / "small.npz")
    labeler = load(tmp_path / "small.npz").set_params(leads="independent")
    assert labeler.leads == "independent"
    assert len(labeler.label(ecg(3)[0]))
