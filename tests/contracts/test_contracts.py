"""What every stage promises: parameters as given, streams that are independent, pickle and do not mind the chunks."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, fields, is_dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, clone
from strategies import chunkings, cut, damage, damaged

import mhealth.crf
import mhealth.labeling
import mhealth.sparse
from mhealth.crf import ECG_GRAMMAR, Potentials, SpanDecoder, SpanWeights
from mhealth.dsp import BREATH_RATES, BreathQuality, Resampler, RunningScale, SignalQuality
from mhealth.errors import StreamError
from mhealth.labeling import TrainingSettings
from mhealth.labeling._ecg_task import ECG
from mhealth.segmentation import BreathSegmenter, EcgSegmenter, quasi_periodic_segmenter
from mhealth.simulate import synthetic_ecg
from mhealth.sparse import Window

FS = 250.0
SECONDS = 10.0


@dataclass(frozen=True)
class Stage:
    """A causal stage: its settings, how a stream is opened, and how many channels it takes."""

    settings: object
    open: Callable
    n_channels: int = 1

    def __repr__(self) -> str:
        return f"{type(self.settings).__name__}-{self.n_channels}"


STAGES = [
    Stage(s := Resampler(rate=200.0), lambda s=s: s.open(fs=FS)),
    Stage(s := RunningScale(), lambda s=s: s.open(fs=FS)),
    Stage(s := SignalQuality(), lambda s=s: s.open(fs=FS)),
    Stage(s := EcgSegmenter(), lambda s=s: s.open_lead()),
    Stage(s, lambda s=s: s.open(fs=FS)),
    Stage(s, lambda s=s: s.open(fs=FS, channels=("I", "II")), 2),
    Stage(s := Resampler(rate=10.0, zero_crossings=10, rates=BREATH_RATES), lambda s=s: s.open(fs=FS)),
    Stage(s := BreathQuality(), lambda s=s: s.open(fs=FS)),
    Stage(s := BreathSegmenter(), lambda s=s: s.open_lead()),
    Stage(s, lambda s=s: s.open(fs=FS)),
    Stage(s, lambda s=s: s.open(fs=FS, channels=("RIP", "RESP")), 2),
    Stage(s := quasi_periodic_segmenter(shortest_period=0.3), lambda s=s: s.open(fs=FS)),
]
SETTINGS = [
    Resampler(),
    RunningScale(),
    SignalQuality(),
    EcgSegmenter(),
    BreathQuality(),
    BreathSegmenter(),
    quasi_periodic_segmenter(shortest_period=0.3),
    Window(before=0.1, after=0.2, n_points=10),
    ECG_GRAMMAR,
    TrainingSettings(),
    ECG.front_end,
]


def signals(n_channels: int) -> np.ndarray:
    recording, _ = synthetic_ecg(fs=FS, duration=SECONDS, leads=("I", "II")[:n_channels], seed=1)
    return recording.signals if n_channels > 1 else recording.signals[:, 0]


def arrays(result) -> list[np.ndarray]:
    """Return the arrays of a result: an array, a named tuple or a dataclass of parallel arrays."""
    if isinstance(result, np.ndarray):
        return [result]
    if is_dataclass(result):
        return [
            getattr(result, item.name) for item in fields(result) if isinstance(getattr(result, item.name), np.ndarray)
        ]
    return list(result)


def joined(parts) -> list[np.ndarray]:
    return [np.concatenate(columns) for columns in zip(*(arrays(part) for part in parts), strict=True)]


def run(stream, chunks) -> list[np.ndarray]:
    return joined([*(stream.push(chunk) for chunk in chunks), stream.flush()])


def assert_same(first, second) -> None:
    assert len(first) == len(second) > 0
    for one, other in zip(first, second, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("stage", STAGES, ids=repr)
@given(data=st.data())
@settings(max_examples=8)
def test_any_chunking_gives_the_batch_result(stage, data):
    lead = signals(stage.n_channels)
    columns = damaged(lead.reshape(len(lead), -1), FS, data.draw(damage(SECONDS, stage.n_channels)))
    lead = columns.reshape(lead.shape)
    assert_same(run(stage.open(), cut(lead, data.draw(chunkings(len(lead))))), run(stage.open(), [lead]))


@pytest.mark.parametrize("stage", STAGES, ids=repr)
def test_streams_are_independent_and_pickle_in_the_middle(stage):
    lead = signals(stage.n_channels)
    expected = run(stage.open(), [lead])
    one, other = stage.open(), stage.open()
    first = [one.push(lead[:1111])]
    other.push(lead[::-1][:1700].copy())
    copied = pickle.loads(pickle.dumps(one))
    for stream in (one, copied, copy.deepcopy(copied)):
        assert_same(joined([*first, stream.push(lead[1111:]), stream.flush()]), expected)


@pytest.mark.parametrize("stage", STAGES, ids=repr)
def test_chunks_are_checked_and_left_alone(stage):
    lead = signals(stage.n_channels).copy()
    lead[500:600] = np.nan
    before = lead.copy()
    lead.flags.writeable = False
    stream = stage.open()
    stream.push(lead[:700], start=0)
    assert stream.position == 700
    np.testing.assert_array_equal(lead, before)
    with pytest.raises(StreamError, match="700"):
        stream.push(lead[700:], start=701)
    stream.push(lead[700:], start=700)
    stream.flush()
    with pytest.raises(StreamError, match="ended"):
        stream.push(lead)
    with pytest.raises(StreamError, match="ended"):
        stream.flush()


@pytest.mark.parametrize("stage", STAGES, ids=repr)
@pytest.mark.parametrize("n_samples", [0, 1, 2, 7])
@pytest.mark.parametrize("value", [0.0, 1.0, np.nan])
def test_empty_flat_and_missing_input_is_defined(stage, n_samples, value):
    lead = np.full((n_samples, 2)[: stage.n_channels], value, np.float32)
    for column in run(stage.open(), [lead]):
        assert len(column) <= n_samples


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda item: type(item).__name__)
def test_settings_are_frozen_values(settings):
    assert settings == copy.deepcopy(settings) == pickle.loads(pickle.dumps(settings))
    assert hash(settings) == hash(copy.deepcopy(settings))
    assert repr(settings).startswith(type(settings).__name__)
    assert type(settings)(**{item.name: getattr(settings, item.name) for item in fields(settings)}) == settings
    with pytest.raises(FrozenInstanceError):
        setattr(settings, fields(settings)[0].name, None)


def estimators() -> list[type]:
    """Return every estimator that a package lists."""
    packages = (mhealth.sparse, mhealth.crf, mhealth.labeling)
    listed = {getattr(package, name) for package in packages for name in package.__all__}
    found = (item for item in listed if isinstance(item, type) and issubclass(item, BaseEstimator))
    return sorted(found, key=lambda cls: cls.__name__)


def test_the_estimators_are_found():
    assert {cls.__name__ for cls in estimators()} >= {"EcgLabeler", "SpanCRF", "LinearChainCRF", "SparseEncoder"}


@pytest.mark.parametrize("cls", estimators(), ids=lambda cls: cls.__name__)
def test_estimators_keep_parameters_as_they_are_given(cls):
    names = list(cls._get_param_names())
    marks = {name: object() for name in names}
    made = cls(**marks)  # nothing is checked, copied or computed before fit
    assert made.get_params(deep=False) == marks
    assert set(vars(made)) == set(names)
    other = cls().set_params(**marks)
    assert other.get_params(deep=False) == marks


@pytest.mark.parametrize("cls", estimators(), ids=lambda cls: cls.__name__)
def test_a_clone_equals_its_estimator_and_its_text_shows_the_class(cls):
    made = cls()
    assert repr(clone(made).get_params()) == repr(made.get_params())
    assert repr(made).startswith(cls.__name__)
    assert not [name for name in vars(clone(made)) if name.endswith("_")]


def test_a_decoder_is_a_stage_over_nodes(rng):
    n, n_states = 300, ECG_GRAMMAR.n_states
    decoder = SpanDecoder(grammar=ECG_GRAMMAR, weights=SpanWeights.zeros(ECG_GRAMMAR), lag=0.5)
    times = np.cumsum(rng.uniform(0.02, 0.08, n))
    potentials = Potentials(*rng.normal(size=(4, n, n_states)))
    one, whole = decoder.open(), decoder.open()
    parts = [one.push(times[:120], Potentials(*(part[:120] for part in potentials)))]
    copied = pickle.loads(pickle.dumps(one))
    expected = joined([whole.push(times, potentials), whole.close_stretch(times[-1] + 1)])
    for stream in (one, copied):
        rest = stream.push(times[120:], Potentials(*(part[120:] for part in potentials)))
        assert_same(joined([*parts, rest, stream.close_stretch(times[-1] + 1)]), expected)
