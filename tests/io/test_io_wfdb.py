import numpy as np
import pytest

from mhealth.core import Gap
from mhealth.errors import InvalidParameterError, RecordingFileError
from mhealth.io import blocks, open_recording, read_recording


def write_record(folder, samples, *, name="rec", fs="250", gains=None, channels=("I", "II"), length=None):
    """Write int16 samples (n, n_channels) as WFDB format 16."""
    samples = np.asarray(samples, dtype="<i2")
    gains = gains or ["200/mV"] * len(channels)
    length = len(samples) if length is None else length
    lines = [f"{name} {len(channels)} {fs} {length}"]
    lines += [f"{name}.dat 16 {gain} 16 0 0 0 0 {c}" for gain, c in zip(gains, channels, strict=True)]
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n")
    (folder / f"{name}.dat").write_bytes(samples.tobytes())
    return folder / name


@pytest.fixture
def ramp():
    return np.stack([np.arange(1000), -np.arange(1000)], axis=1)


@pytest.mark.parametrize("suffix", ["", ".hea", ".dat"])
def test_a_record_is_read_with_and_without_suffix(tmp_path, ramp, suffix):
    base = write_record(tmp_path, ramp)
    recording = read_recording(f"{base}{suffix}")
    np.testing.assert_array_equal(recording.signals, (ramp / 200).astype(np.float32))
    assert (recording.fs, recording.channels, recording.units) == (250.0, ("I", "II"), ("mV", "mV"))
    assert recording.name == "rec"


def test_the_header_alone_tells_everything_but_samples(tmp_path, ramp):
    info = open_recording(write_record(tmp_path, ramp), channels=["ii"])
    assert (info.channels, info.fs, info.n_samples, info.duration) == (("II",), 250.0, 1000, 4.0)


@pytest.mark.parametrize("seconds", [0.004, 0.35, 1.0, 60.0])
def test_pieces_join_to_the_whole(tmp_path, ramp, seconds):
    base = write_record(tmp_path, ramp)
    pieces = list(blocks(base, seconds, start=0.5, stop=3.1))
    joined = np.concatenate([piece.signals for piece in pieces])
    np.testing.assert_array_equal(joined, read_recording(base).signals[125:775])
    assert max(len(piece.signals) for piece in pieces) <= max(1, round(seconds * 250))


def test_the_samples_that_wfdb_calls_invalid_become_nan(tmp_path, ramp):
    ramp[10, 0] = -32768
    recording = read_recording(write_record(tmp_path, ramp))
    assert np.isnan(recording.signals[10, 0])
    assert np.isnan(recording.signals).sum() == 1


def test_channels_are_found_by_name_in_any_case_and_by_position(tmp_path, ramp):
    base = write_record(tmp_path, ramp)
    for wanted in (["II", "i"], ["1", "0"], [1, 0]):
        assert read_recording(base, channels=wanted, stop=1).channels == ("II", "I")
    np.testing.assert_array_equal(read_recording(base, channels=[1, 0]).signals, read_recording(base).signals[:, ::-1])


def test_a_channel_that_is_not_there_is_an_error_that_lists_those_that_are(tmp_path, ramp):
    with pytest.raises(InvalidParameterError, match=r"no channel 'V9'.*0: 'I', 1: 'II'"):
        read_recording(write_record(tmp_path, ramp), channels=["V9"])


def test_channels_of_one_name_are_addressed_by_position(tmp_path, ramp):
    base = write_record(tmp_path, ramp, channels=("ECG", "ECG"))
    assert read_recording(base).keys == ("0", "1")
    assert read_recording(base, channels=["1"]).signals[1, 0] < 0
    with pytest.raises(InvalidParameterError, match=r"not unique.*by position"):
        read_recording(base, channels=["ECG"])


def test_a_missing_record_names_the_formats(tmp_path):
    with pytest.raises(RecordingFileError, match=r"nothing does not exist.*WFDB.*EDF.*CSV.*Parquet"):
        read_recording(tmp_path / "nothing")


def test_a_signal_file_without_header_is_an_error(tmp_path, ramp):
    write_record(tmp_path, ramp).with_suffix(".hea").unlink()
    with pytest.raises(RecordingFileError, match=r"rec\.hea does not exist.*signal file"):
        read_recording(tmp_path / "rec.dat")


def test_a_header_without_signal_file_is_an_error(tmp_path, ramp):
    write_record(tmp_path, ramp).with_suffix(".dat").unlink()
    with pytest.raises(RecordingFileError, match=r"rec\.hea names the signal file rec\.dat"):
        read_recording(tmp_path / "rec")


def test_a_truncated_signal_file_is_an_error_that_says_what_can_be_read(tmp_path, ramp):
    base = write_record(tmp_path, ramp, length=2000)
    with pytest.raises(RecordingFileError, match=r"truncated: its 4000 bytes hold 1000 samples.*stop=4\.000"):
        read_recording(base)
    assert read_recording(base, stop=4.0).n_samples == 1000


def test_an_absurd_length_is_refused_before_anything_is_allocated(tmp_path, ramp):
    base = write_record(tmp_path, ramp, length=10**15)
    with pytest.raises(RecordingFileError, match=r"truncated.*1000000000000000"):
        read_recording(base)


def test_a_header_without_length_is_an_error_that_says_what_it_should_be(tmp_path, ramp):
    with pytest.raises(RecordingFileError, match=r"no number of samples; its files hold 1000.*fourth field"):
        read_recording(write_record(tmp_path, ramp, length=0))


@pytest.mark.parametrize("fs", ["0", "-360", "nan", "fast"])
def test_a_rate_that_is_no_positive_number_is_an_error(tmp_path, ramp, fs):
    with pytest.raises(RecordingFileError, match=rf"rec\.hea: sampling rate '{fs}'.*Correct the header"):
        read_recording(write_record(tmp_path, ramp, fs=fs))


def test_the_rate_is_read_past_the_counter_frequency(tmp_path, ramp):
    assert read_recording(write_record(tmp_path, ramp, fs="250/360")).fs == 250.0


def test_a_calibration_of_zero_is_an_error(tmp_path, ramp):
    with pytest.raises(RecordingFileError, match=r"channel 'II' has gain '0/mV'.*Correct the header"):
        read_recording(write_record(tmp_path, ramp, gains=["200/mV", "0/mV"]))


def test_a_gain_that_is_no_number_is_an_error(tmp_path, ramp):
    with pytest.raises(RecordingFileError, match=r"gain 'x' of channel 'I' is no number"):
        read_recording(write_record(tmp_path, ramp, gains=["x", "200"]))


def test_an_uncalibrated_channel_is_read_as_wfdb_defines_with_a_warning_and_no_unit(tmp_path, ramp):
    base = write_record(tmp_path, ramp, gains=["200/mV", "0"])
    with pytest.warns(UserWarning, match=r"II not calibrated.*--units"):
        recording = read_recording(base)
    assert recording.units == ("mV", "")
    np.testing.assert_array_equal(recording.signals[:, 1], (ramp[:, 1] / 200).astype(np.float32))
    assert read_recording(base, units="mV").units == ("mV", "mV")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\x00\x01garbage", "no WFDB header"),
        ("rec two 250 1000\n", "no WFDB header"),
        ("rec 2 250 -5\n", "number of samples '-5'"),
        ("rec 0 250 0\n", "no signals"),
        ("rec 2 250 1000\nrec.dat 16 200 16 0 0 0 0 I\n", "announces 2 signals but describes 1"),
        ("rec 1 250 1000\nrec.dat 99 200 16 0 0 0 0 I\n", r"rec.*cannot be read|no readable WFDB"),
    ],
)
def test_a_garbage_header_is_an_error_that_names_the_file(tmp_path, ramp, text, message):
    base = write_record(tmp_path, ramp)
    base.with_suffix(".hea").write_text(text, encoding="latin-1")
    with pytest.raises(RecordingFileError, match=message):
        read_recording(base)


def test_an_empty_recording_is_an_error(tmp_path):
    with pytest.raises(RecordingFileError, match="empty recording"):
        read_recording(write_record(tmp_path, np.empty((0, 2))))


@pytest.mark.parametrize("bounds", [{"start": 4.0}, {"start": -1.0}, {"start": 2.0, "stop": 2.0}])
def test_a_range_outside_the_recording_is_an_error(tmp_path, ramp, bounds):
    with pytest.raises(InvalidParameterError, match="4 s long"):
        read_recording(write_record(tmp_path, ramp), **bounds)


def test_null_segments_of_a_multi_segment_record_are_gaps(tmp_path, ramp):
    write_record(tmp_path, ramp[:400], name="one")
    write_record(tmp_path, ramp[600:], name="two")
    (tmp_path / "all.hea").write_text("all/3 2 250 1000\none 400\n~ 200\ntwo 400\n")
    recording = read_recording(tmp_path / "all")
    assert recording.gaps == (Gap(400, 600),)
    expected = (ramp / 200).astype(np.float32)
    expected[400:600] = np.nan
    np.testing.assert_array_equal(recording.signals, expected)
    pieces = list(blocks(tmp_path / "all", 2.0))
    assert [piece.gaps for piece in pieces] == [(Gap(400, 500),), (Gap(0, 100),)]


def test_a_stated_rate_and_unit_replace_those_of_the_file(tmp_path, ramp):
    recording = read_recording(write_record(tmp_path, ramp), fs=500, units="uV", stop=1.0)
    assert (recording.fs, recording.units, recording.n_samples) == (500.0, ("uV", "uV"), 500)


@pytest.mark.realdata
def test_pieces_of_a_packed_format_join_to_the_whole(data_dir):
    whole = read_recording(data_dir / "mitdb" / "100", stop=100.0)
    joined = np.concatenate([b.signals for b in blocks(data_dir / "mitdb" / "100", 7.31, stop=100.0)])
    np.testing.assert_array_equal(joined, whole.signals)


def test_channels_of_several_rates_are_read_by_those_of_one_rate(tmp_path, ramp):
    frames = np.concatenate([ramp[:, 0].reshape(-1, 4), ramp[::4, 1:]], axis=1)  # four samples of I, one of II
    base = write_record(tmp_path, frames, length=250)
    header = base.with_suffix(".hea")
    header.write_text(header.read_text().replace(".dat 16 200/mV 16 0 0 0 0 I\n", ".dat 16x4 200/mV 16 0 0 0 0 I\n"))
    with pytest.raises(RecordingFileError, match=r"several sampling rates: I at 1000 Hz, II at 250 Hz.*channels="):
        read_recording(base)
    fast = read_recording(base, channels=["I"])
    assert fast.fs == 1000.0
    np.testing.assert_array_equal(fast.signals[:, 0], (ramp[:, 0] / 200).astype(np.float32))
    joined = np.concatenate([piece.signals for piece in blocks(base, 0.0303, channels=["I"], start=0.002)])
    np.testing.assert_array_equal(joined, fast.signals[2:])


def test_a_channel_that_a_segment_lacks_is_nan_there(tmp_path, ramp):
    write_record(tmp_path, ramp[:400], name="one")
    write_record(tmp_path, ramp[400:, 1:], name="two", channels=("II",))
    write_record(tmp_path, np.empty((0, 2)), name="layout")
    layout = tmp_path / "layout.hea"
    layout.write_text(layout.read_text().replace("layout.dat", "~"))
    (tmp_path / "all.hea").write_text("all/3 2 250 1000\nlayout 0\none 400\ntwo 600\n")
    recording = read_recording(tmp_path / "all")
    expected = (ramp / 200).astype(np.float32)
    expected[400:, 0] = np.nan
    np.testing.assert_array_equal(recording.signals, expected)
    assert recording.gaps == ()
