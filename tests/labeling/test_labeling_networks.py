"""Streams above a causal network, in time; and none above one that reads whole recordings. Without TensorFlow."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labeling_cases import LEADS, TINY, ecg, pushed, rows, waves
from sklearn.base import clone
from strategies import chunkings, cut

from mhealth.errors import InvalidParameterError
from mhealth.labeling import EcgLabeler, NetworkEmission
from mhealth.labeling._ecg_task import ECG
from mhealth.labeling._network_emission import read_by_network
from mhealth.nn import Layout, Network

NETWORK = Path(__file__).parents[1] / "data" / "tcn" / "float.npz"
LATEST = 2.0
"""Seconds after its end by which a wave is reported."""


@pytest.fixture(scope="module")
def labeler() -> EcgLabeler:
    network = Network.from_bytes(NETWORK.read_bytes())
    emission = NetworkEmission(architecture="tcn", network=network)
    recordings, annotations = zip(*(ecg(seed) for seed in range(6)), strict=True)
    return EcgLabeler(emission=emission, training=TINY).fit(recordings, annotations, groups=list("abcdab"))


@pytest.fixture(scope="module")
def whole_only(labeler) -> EcgLabeler:
    """The labeler above a network that looks ahead of what it tells of."""
    layout = Layout(stride=2, before=1100, after=1150, alignment=32)
    network = Network(name="unet", graph=b"", layout=layout, block=8192)
    other = clone(labeler)
    other.model_ = replace(labeler.model_, task=read_by_network(ECG, network))
    return other


def test_waves_are_found(labeler):
    recording, truth = ecg(31, duration=30.0, leads=("II",))
    assert labeler.score([recording], [truth]) > 0.9


@given(data=st.data())
@settings(max_examples=5)
def test_any_chunking_gives_the_batch_labels(labeler, data):
    recording, _ = ecg(32, duration=12.0, leads=("I", "II"))
    signals = recording.signals.copy()
    signals[1500:1504, 0] = np.nan
    cuts = data.draw(chunkings(len(signals)))
    stream = labeler.open(fs=recording.fs, channels=recording.channels)
    assert rows(pushed(stream, cut(signals, cuts))) == rows(labeler.label(replace(recording, signals=signals)))


@pytest.mark.parametrize("fs", [100.0, 250.0, 500.0])
@pytest.mark.parametrize("channels", [("II",), LEADS])
def test_every_wave_is_reported_within_two_seconds_of_its_end(labeler, fs, channels):
    recording, _ = ecg(5, fs=fs, duration=12.0, leads=channels)
    stream = labeler.open(fs=fs, channels=channels)
    late = []
    for chunk in np.array_split(recording.signals, 600):
        late += [(stream.position - offset) / fs for offset in waves(stream.push(chunk)).offset.tolist()]
    assert len(late) > 20 * len(channels)
    assert max(late) <= LATEST + 0.02  # the chunk's length


def test_a_stream_pickles_in_the_middle(labeler):
    recording, _ = ecg(7, duration=12.0, leads=("II",))
    stream = labeler.open(fs=recording.fs, channels=recording.channels)
    before = rows(stream.push(recording.signals[:1111]))
    stream = pickle.loads(pickle.dumps(stream))
    after = rows(pushed(stream, [recording.signals[1111:]]))
    assert before + after == rows(labeler.label(recording))


def test_a_network_that_reads_whole_recordings_does_not_stream(whole_only):
    with pytest.raises(InvalidParameterError, match=r"'unet' reads whole recordings .* \d\d s late\. Use label\("):
        whole_only.open(fs=250.0, channels=("II",))


def test_what_a_causal_network_looks_ahead_is_taken_from_the_lag(labeler, whole_only):
    def context(of):
        return of.model_.task.front_end.features.context

    assert context(labeler).late == pytest.approx(0.464)
    assert context(labeler).lookahead == pytest.approx(ECG.front_end.features.lookahead + 0.464)
    assert context(whole_only).late == 0.0
