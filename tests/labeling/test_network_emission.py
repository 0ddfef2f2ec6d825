"""A network in place of the sparse codes: trained, saved, loaded, at work in batches and streams."""

import json
from dataclasses import replace

import numpy as np
import pytest
from labeling_cases import ecg, rows
from sklearn.base import clone

from mhealth.core import Spans
from mhealth.errors import InvalidParameterError
from mhealth.labeling import EcgLabeler, NetworkEmission, load
from mhealth.labeling._augment import HARD
from mhealth.labeling._ecg_task import ECG

pytest.importorskip("tensorflow", reason="networks are trained with TensorFlow (extra cnn)")
pytest.importorskip("ai_edge_litert", reason="networks run on LiteRT (extra litert)")

# Keras' own, where it writes a file.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def labeler():
    from mhealth.nn import NetworkTraining

    cases = [ecg(seed, duration=20.0, leads=("II",)) for seed in range(6)]
    emission = NetworkEmission(architecture="tcn", training=NetworkTraining(n_passes=40, batch_size=4), n_augmented=2)
    labeler = EcgLabeler(emission=emission)
    return labeler.fit([recording for recording, _ in cases], [truth for _, truth in cases])


def test_waves_are_found(labeler):
    recording, truth = ecg(31, duration=30.0, leads=("II",))
    assert labeler.score([recording], [truth]) > 0.9


def test_a_stream_gives_the_batch_labels(labeler):
    recording, _ = ecg(32, duration=20.0, leads=("I", "II"))
    stream = labeler.open(fs=recording.fs, channels=recording.channels)
    parts = [stream.push(part) for part in np.array_split(recording.signals, 37)]
    assert rows(Spans.concat([*parts, stream.flush()])) == rows(labeler.label(recording))


def test_a_saved_network_labels_the_same(labeler, tmp_path):
    recording, _ = ecg(33, duration=20.0)
    labeler.save(tmp_path / "tcn.npz")
    loaded = load(tmp_path / "tcn.npz")
    assert loaded.emission.architecture == "tcn"
    learned = json.loads((tmp_path / "tcn.json").read_text())["n_parameters"]
    assert learned > loaded.emission.network.n_parameters > 10_000
    assert rows(loaded.label(recording)) == rows(labeler.label(recording))


def test_above_a_trained_network_only_the_crf_is_learned(labeler, tmp_path):
    labeler.save(tmp_path / "tcn.npz")
    loaded = load(tmp_path / "tcn.npz")
    stages = []
    case = [ecg(seed, duration=20.0, leads=("II",)) for seed in range(2)]
    again = clone(loaded).fit(*zip(*case, strict=True), progress=lambda stage, done, total: stages.append(stage))
    assert again.model_.task.front_end.features.context.network.graph == loaded.emission.network.graph
    assert not any("network" in stage for stage in stages)


def test_a_network_that_is_kept_serves_again_in_whole_numbers(tmp_path):
    from mhealth.nn import NetworkTraining, load_keras

    cases = [ecg(seed, duration=20.0, leads=("II",)) for seed in range(4)]
    training = NetworkTraining(n_passes=40, batch_size=4)
    path = tmp_path / "tcn.keras"
    first = NetworkEmission(architecture="tcn", training=training, n_augmented=1, keep=path)
    of_float = EcgLabeler(emission=first).fit(*zip(*cases, strict=True))
    assert load_keras(path).count_params() > 10_000
    again = NetworkEmission(architecture="tcn", network=path)
    of_file, of_int8 = (
        EcgLabeler(emission=emission).fit(*zip(*cases, strict=True))
        for emission in (again, replace(again, precision="int8"))
    )
    recording, truth = ecg(35, duration=20.0, leads=("II",))
    large, small = (one.model_.task.front_end.features.context.network.graph for one in (of_float, of_int8))
    assert len(small) < 0.7 * len(large)
    assert rows(of_file.label(recording)) == rows(of_float.label(recording))
    # Not only the network has become smaller, but the layers above it too, which tell on four leads.
    assert of_int8.score([recording], [truth]) > of_float.score([recording], [truth]) - 0.15
    with pytest.raises(InvalidParameterError, match=r"tcn\.keras' is a tcn, not a unet"):
        EcgLabeler(emission=NetworkEmission(architecture="unet", network=path)).fit(*zip(*cases, strict=True))


def test_copies_are_as_noisy_as_is_wished():
    assert NetworkEmission().worn(ECG) is ECG
    assert NetworkEmission(wearing="hard").worn(ECG).augmented.keywords == {"wearing": HARD}
    with pytest.raises(InvalidParameterError, match="wearing='soft' must be 'usual' or 'hard'"):
        NetworkEmission(wearing="soft")


@pytest.mark.parametrize(
    ("architecture", "precision", "sizes"),
    [("tcn", "int8", (16, 16)), ("tcn", "float32", (64, 32)), ("unet", "int8", (64, 32))],
)
def test_layers_above_a_network_for_microcontrollers_are_small(architecture, precision, sizes):
    settings = NetworkEmission(architecture=architecture, precision=precision).settings
    assert (settings.n_first, settings.n_second) == sizes


def test_a_precision_that_is_not_there_is_refused():
    with pytest.raises(InvalidParameterError, match="precision='int4' must be 'float32' or 'int8'"):
        NetworkEmission(precision="int4")
    with pytest.raises(InvalidParameterError, match=r"converted already and keeps its precision. Give its .keras"):
        replace(load("tcn").emission, precision="int8")


def test_a_file_that_could_not_be_written_is_refused_before_the_training():
    with pytest.raises(InvalidParameterError, match=r"keep='a.h5' must end in .keras"):
        NetworkEmission(keep="a.h5")


def test_above_a_u_net_recordings_are_labelled_piece_by_piece_but_not_live():
    from mhealth.nn import to_network, unet

    small = to_network(unet(1024, widths=(4, 6, 8), dilations=(2,)), block=1024)
    labeler = EcgLabeler(emission=NetworkEmission(architecture="unet", network=small))
    cases = [ecg(seed, duration=20.0, leads=("II",)) for seed in range(3)]
    labeler.fit([recording for recording, _ in cases], [truth for _, truth in cases])
    recording, _ = ecg(34, duration=20.0, leads=("I", "II"))
    stream = labeler.open_recorded(fs=recording.fs, channels=recording.channels)
    parts = [stream.push(part) for part in np.array_split(recording.signals, 23)]
    assert rows(Spans.concat([*parts, stream.flush()])) == rows(labeler.label(recording))
    with pytest.raises(InvalidParameterError, match="reads whole recordings and cannot stream"):
        labeler.open(fs=250.0, channels=("II",))


def test_an_architecture_that_is_not_there_is_refused():
    with pytest.raises(InvalidParameterError, match="architecture='rnn' must be 'unet' or 'tcn'"):
        NetworkEmission(architecture="rnn")
