import datetime
import sys

import edfio
import numpy as np
import pytest

from mhealth.core import Gap
from mhealth.errors import RecordingFileError
from mhealth.io import blocks, open_recording, read_recording

STEP = 2e-3  # of the calibration below: 16 bits over a range of 100


def signal(values, fs, label, unit="mV"):
    return edfio.EdfSignal(
        np.asarray(values, float), fs, label=label, physical_dimension=unit, physical_range=(-50, 50)
    )


def write_edf(path, *signals, **options):
    edfio.Edf(list(signals), **options).write(path)
    return path


@pytest.fixture
def ecg():
    return 40 * np.sin(np.arange(2500) / 50)


@pytest.fixture
def plain(tmp_path, ecg):
    start = {"recording": edfio.Recording(startdate=datetime.date(2024, 5, 1)), "starttime": datetime.time(10, 0)}
    return write_edf(tmp_path / "night.edf", signal(ecg, 250, "ECG I"), signal(-ecg, 250, "ECG II", "uV"), **start)


def make_discontinuous(path, onsets):
    """Rewrite the times that the data records of an EDF+C file state, and call it EDF+D."""
    content = bytearray(path.read_bytes())
    content[192:197] = b"EDF+D"
    for k, onset in reversed(list(enumerate(onsets))):
        old, new = (f"+{t}\x14\x14".encode() for t in (k, onset))
        place = content.index(old + b"\x00")
        assert len(new) == len(old), "times must keep their number of digits"
        content[place : place + len(old)] = new
    path.write_bytes(content)


def test_channels_units_rate_and_start_come_from_the_header(plain, ecg):
    recording = read_recording(plain)
    assert (recording.channels, recording.units, recording.fs) == (("ECG I", "ECG II"), ("mV", "uV"), 250.0)
    assert (recording.name, recording.start) == ("night", datetime.datetime(2024, 5, 1, 10))
    np.testing.assert_allclose(recording.signals, np.stack([ecg, -ecg], axis=1), atol=STEP)


@pytest.mark.parametrize("seconds", [0.1, 0.77, 3.0, 60.0])
def test_pieces_join_to_the_whole(plain, seconds):
    joined = np.concatenate([piece.signals for piece in blocks(plain, seconds, start=1.5, stop=8.2)])
    np.testing.assert_array_equal(joined, read_recording(plain).signals[375:2050])


@pytest.mark.parametrize(("fs", "seconds"), [(256, 0.5), (100, 0.1), (128.5, 2.0)])
def test_data_records_of_any_length_are_read(tmp_path, fs, seconds):
    values = 40 * np.sin(np.arange(round(fs * seconds) * 7) / 9)
    path = write_edf(tmp_path / "rec.edf", signal(values, fs, "ECG"), data_record_duration=seconds)
    recording = read_recording(path)
    assert (recording.fs, recording.n_samples) == (fs, len(values))
    np.testing.assert_allclose(recording.signals[:, 0], values, atol=STEP)
    joined = np.concatenate([piece.signals for piece in blocks(path, 0.33, start=0.2)])
    np.testing.assert_array_equal(joined, recording.signals[round(0.2 * fs) :])


def test_channels_of_several_rates_are_read_by_those_of_one_rate(tmp_path, ecg):
    path = write_edf(tmp_path / "rec.edf", signal(ecg, 250, "ECG"), signal(ecg[::10], 25, "resp"))
    with pytest.raises(RecordingFileError, match=r"ECG at 250 Hz, resp at 25 Hz.*channels="):
        read_recording(path)
    assert read_recording(path, channels=["ecg"]).n_samples == 2500
    slow = read_recording(path, channels=["resp"])
    assert (slow.fs, slow.n_samples, open_recording(path, channels=["resp"]).n_samples) == (25.0, 250, 250)


def test_gaps_of_a_discontinuous_file_are_filled_with_nan(tmp_path, ecg):
    note = edfio.EdfAnnotation(0.5, None, "note")
    path = write_edf(tmp_path / "rec.edf", signal(ecg[:2250], 250, "ECG"), annotations=[note], data_record_duration=1)
    make_discontinuous(path, [0, 1, 2, 4, 5, 6, 7, 8, 9])
    assert open_recording(path).n_samples == 2500
    recording = read_recording(path)
    assert recording.gaps == (Gap(750, 1000),)
    assert np.isnan(recording.signals[750:1000]).all()
    np.testing.assert_allclose(np.delete(recording.signals[:, 0], slice(750, 1000)), ecg[:2250], atol=STEP)
    for start in (0.0, 2.0, 3.5, 4.0, 7.3):
        joined = np.concatenate([piece.signals for piece in blocks(path, 0.9, start=start)])
        np.testing.assert_array_equal(joined, recording.signals[round(start * 250) :])


def test_data_records_that_overlap_are_an_error(tmp_path, ecg):
    note = edfio.EdfAnnotation(0.5, None, "note")
    path = write_edf(tmp_path / "rec.edf", signal(ecg, 250, "ECG"), annotations=[note], data_record_duration=1)
    make_discontinuous(path, [0, 1, 2, 3, 3, 5, 6, 7, 8, 9])
    with pytest.raises(RecordingFileError, match=r"data record 5 starts at 3 s, after one of 1 s at 3 s"):
        read_recording(path)


def test_a_truncated_file_is_an_error(plain):
    plain.write_bytes(plain.read_bytes()[:-700])
    with pytest.raises(RecordingFileError, match=r"night\.edf is truncated or no EDF"):
        read_recording(plain)


@pytest.mark.parametrize("content", [b"", b"garbage", b"0" * 600])
def test_bytes_that_are_no_edf_are_an_error(tmp_path, content):
    (tmp_path / "rec.edf").write_bytes(content)
    with pytest.raises(RecordingFileError, match=r"rec\.edf is truncated or no EDF"):
        read_recording(tmp_path / "rec.edf")


def test_a_channel_without_calibration_is_an_error(plain):
    content = bytearray(plain.read_bytes())
    n_signals = int(content[252:256])
    physical_min = 256 + n_signals * (16 + 80 + 8)
    content[physical_min : physical_min + 8] = b"50      "  # the physical maximum
    plain.write_bytes(content)
    with pytest.raises(RecordingFileError, match=r"channel 'ECG I' has the physical range \(50.*no calibration"):
        read_recording(plain)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(RecordingFileError, match=r"none\.edf does not exist"):
        read_recording(tmp_path / "none.edf")


def test_without_edfio_the_error_names_the_extra(plain, monkeypatch):
    monkeypatch.setitem(sys.modules, "edfio", None)
    with pytest.raises(ImportError, match=r"pip install 'mhealth\[edf\]'"):
        read_recording(plain)


def test_a_stated_rate_does_not_hide_that_channels_differ(tmp_path, ecg):
    path = write_edf(tmp_path / "rec.edf", signal(ecg, 250, "ECG"), signal(ecg[::10], 25, "resp"))
    with pytest.raises(RecordingFileError, match="several sampling rates"):
        read_recording(path, fs=500)
    assert read_recording(path, channels=["ECG"], fs=500).duration == 5.0
