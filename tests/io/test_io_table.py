import datetime
import gzip
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mhealth.core import Gap
from mhealth.errors import InvalidParameterError, MissingExtraError, RecordingFileError
from mhealth.io import _table, blocks, open_recording, read_recording


def write_csv(path, *lines):
    text = "\n".join(lines) + "\n"
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8") as file:
        file.write(text)
    return path


def regular(n=1000, fs=250.0, form="{:.6f}"):
    return [f"{form.format(k / fs)},{k},{-k}" for k in range(n)]


@pytest.fixture
def two_leads(tmp_path):
    return write_csv(tmp_path / "rec.csv", "time,ECG [mV],resp (Ohm)", *regular())


def test_rate_names_and_units_come_from_the_table(two_leads):
    recording = read_recording(two_leads)
    assert (recording.fs, recording.channels, recording.units) == (250.0, ("ECG", "resp"), ("mV", "Ohm"))
    np.testing.assert_array_equal(recording.signals, np.stack([np.arange(1000), -np.arange(1000)], axis=1))
    assert (recording.name, recording.start, recording.gaps) == ("rec", None, ())


@pytest.mark.parametrize("suffix", [".csv.gz", ".csv"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_other_separators_and_gzip_are_read(tmp_path, suffix, separator):
    lines = [line.replace(",", separator) for line in ("t,a,b", *regular())]
    recording = read_recording(write_csv(tmp_path / f"rec{suffix}", *lines))
    assert (recording.fs, recording.channels, recording.name) == (250.0, ("a", "b"), "rec")


@pytest.mark.parametrize(
    ("head", "per_second"), [("time_ms", 1e3), ("Time [ms]", 1e3), ("timestamp (us)", 1e6), ("Seconds", 1), ("T", 1)]
)
def test_the_unit_of_the_time_column_is_understood(tmp_path, head, per_second):
    lines = [f"{k / 250 * per_second:.6f},{k}" for k in range(500)]
    assert open_recording(write_csv(tmp_path / "rec.csv", f"{head},ECG", *lines)).fs == 250.0


@pytest.mark.parametrize("zone", ["", "Z", "+02:00"])
def test_iso_dates_give_rate_and_start(tmp_path, zone):
    begin = datetime.datetime(2024, 2, 29, 23, 59, 59)
    dates = [(begin + datetime.timedelta(milliseconds=4 * k)).isoformat(timespec="milliseconds") for k in range(1000)]
    recording = read_recording(
        write_csv(tmp_path / "rec.csv", "timestamp,ECG", *[f"{d}{zone},{k}" for k, d in enumerate(dates)]), start=2.0
    )
    assert recording.fs == 250.0
    assert recording.start.replace(tzinfo=None) == begin + datetime.timedelta(seconds=2)
    assert (recording.start.tzinfo is None) == (zone == "")


@given(
    fs=st.sampled_from([100.0, 125.0, 128.0, 250.0, 256.0, 300.0, 360.0, 500.0, 512.0, 1000.0]),
    form=st.sampled_from(["{:.3f}", "{:.6f}", "{:.5g}", "{!r}"]),
    n=st.integers(200, 3000),
)
def test_rounded_times_still_give_the_rate(tmp_path_factory, fs, form, n):
    if form == "{:.5g}":
        n = min(n, int(99 * fs))
    path = write_csv(tmp_path_factory.mktemp("t") / "rec.csv", "time,a,b", *regular(n, fs, form))
    recording = read_recording(path)
    assert (recording.fs, recording.n_samples, recording.gaps) == (fs, n, ())


def test_times_that_are_too_coarse_are_an_error_that_names_the_remedy(tmp_path):
    path = write_csv(tmp_path / "rec.csv", "time,a,b", *regular(form="{:.0f}"))
    with pytest.raises(RecordingFileError, match=r"gives no sampling rate.*--fs"):
        read_recording(path)
    assert read_recording(path, fs=250).n_samples == 1000


def test_times_that_become_too_coarse_later_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(_table, "_ROWS", 1000)
    path = write_csv(tmp_path / "rec.csv", "time,a,b", *regular(6000, 250, "{:.4g}"))
    with pytest.raises(RecordingFileError, match=r"does not fit the sampling rate of 250 Hz.*--fs"):
        read_recording(path)


@given(
    lost=st.lists(st.tuples(st.integers(1, 980), st.integers(1, 40)), min_size=1, max_size=3),
    rows=st.integers(50, 1500),
)
def test_missing_rows_are_filled_with_nan_wherever_the_file_is_cut(tmp_path_factory, lost, rows):
    kept = np.ones(1000, dtype=bool)
    for first, n in lost:
        kept[first : min(first + n, 999)] = False
    lines = [line for line, keep in zip(regular(), kept, strict=True) if keep]
    path = write_csv(tmp_path_factory.mktemp("g") / "rec.csv", "time,a,b", *lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_table, "_ROWS", rows)
        if rows < 200:  # the head that tells the rate may then be mostly gaps
            patch.setattr(_table, "_ROWS", 200)
        recording = read_recording(path)
        joined = np.concatenate([piece.signals for piece in blocks(path, 0.77)])
    assert recording.fs == 250.0
    np.testing.assert_array_equal(np.isnan(recording.signals[:, 0]), ~kept)
    np.testing.assert_array_equal(recording.signals[kept, 0], np.arange(1000)[kept])
    np.testing.assert_array_equal(joined, recording.signals)
    inside = np.zeros(1000, dtype=bool)
    for start, stop in recording.gaps:
        inside[start:stop] = True
    np.testing.assert_array_equal(inside, ~kept)


def test_a_long_gap_is_one_gap_and_needs_no_memory_in_pieces(tmp_path):
    lines = regular(500) + [f"{3600 + k / 250:.6f},{k},{k}" for k in range(500)]
    path = write_csv(tmp_path / "rec.csv", "time,a,b", *lines)
    assert read_recording(path).gaps == (Gap(500, 900_000),)
    assert max(piece.n_samples for piece in blocks(path, 60)) == 15_000


def test_time_that_runs_backwards_is_an_error_that_says_where(tmp_path):
    lines = regular()
    lines[700] = "1.0,5,5"
    with pytest.raises(RecordingFileError, match=r"rec\.csv: time runs backwards by 1\.796 s at row 701"):
        read_recording(write_csv(tmp_path / "rec.csv", "time,a,b", *lines))


def test_time_that_runs_backwards_between_pieces_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(_table, "_ROWS", 500)
    lines = regular(500) + regular(500)
    with pytest.raises(RecordingFileError, match=r"backwards.*row 501"):
        read_recording(write_csv(tmp_path / "rec.csv", "time,a,b", *lines))


def test_text_in_a_cell_is_an_error_that_says_where(tmp_path):
    lines = regular()
    lines[41] = lines[41].replace(",41,", ",high,")
    path = write_csv(tmp_path / "rec.csv", "time,ECG,b", *lines)
    with pytest.raises(RecordingFileError, match=r"column 'ECG' has 'high' in row 42.*--channels"):
        read_recording(path)
    assert read_recording(path, channels=["b"]).n_samples == 1000


def test_text_in_the_time_column_is_an_error_that_says_where(tmp_path):
    lines = regular()
    lines[41] = "noon,1,1"
    with pytest.raises(RecordingFileError, match=r"'time' has 'noon' in row 42|row 42.*'noon'"):
        read_recording(write_csv(tmp_path / "rec.csv", "time,a,b", *lines))


def test_an_infinite_cell_is_an_error_that_says_where(tmp_path):
    lines = regular()
    lines[3] = "0.012,inf,0"
    with pytest.raises(RecordingFileError, match="'a' has 'inf' in row 4"):
        read_recording(write_csv(tmp_path / "rec.csv", "time,a,b", *lines))


def test_an_empty_cell_is_missing_data(tmp_path):
    lines = regular()
    lines[3] = "0.012,,0"
    recording = read_recording(write_csv(tmp_path / "rec.csv", "time,a,b", *lines))
    assert np.isnan(recording.signals[3, 0])
    assert recording.gaps == ()


def test_without_time_column_the_error_names_fs(tmp_path):
    path = write_csv(tmp_path / "rec.csv", "ECG,resp", "1,2", "3,4")
    with pytest.raises(RecordingFileError, match=r"no time column.*\['ECG', 'resp'\].*--fs"):
        open_recording(path)
    assert read_recording(path, fs=100).duration == 0.02


def test_a_table_without_header_names_its_columns_by_position(tmp_path):
    recording = read_recording(write_csv(tmp_path / "rec.csv", "1,2", "3,4"), fs=100)
    assert recording.channels == ("0", "1")
    np.testing.assert_array_equal(recording.signals, [[1, 2], [3, 4]])


def test_a_missing_column_is_an_error_that_lists_those_there(two_leads):
    with pytest.raises(InvalidParameterError, match=r"no channel 'II'.*0: 'ECG', 1: 'resp'"):
        read_recording(two_leads, channels=["II"])


def test_columns_of_one_name_are_addressed_by_position(tmp_path):
    path = write_csv(tmp_path / "rec.csv", "time,ECG,ECG", *regular())
    assert read_recording(path).keys == ("0", "1")
    assert read_recording(path, channels=["1"]).signals[1, 0] == -1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([""], "empty recording"),
        (["time,ECG"], "empty recording: it has no rows"),
        (["time,ECG", "0.0,1"], "gives no sampling rate"),
        (["time", "0.0", "0.1"], "has no channel"),
        (["time,ECG", *[f"{k / 100},{k},9,9" if k == 50 else f"{k / 100},{k}" for k in range(99)]], "no readable CSV"),
        (["time,ECG", *[f"{k / 100},{k},9" for k in range(99)]], "more cells than the 2 columns"),
    ],
)
def test_tables_without_content_are_errors_that_name_the_file(tmp_path, lines, message):
    with pytest.raises(RecordingFileError, match=rf"rec\.csv.*{message}"):
        read_recording(write_csv(tmp_path / "rec.csv", *lines))


def test_bytes_that_are_no_text_are_an_error(tmp_path):
    (tmp_path / "rec.csv").write_bytes(b"\xff\xfe\x00\x81" * 100)
    with pytest.raises(RecordingFileError, match="no CSV text"):
        read_recording(tmp_path / "rec.csv")


def test_a_file_of_another_kind_lists_the_formats(tmp_path):
    (tmp_path / "rec.mat").write_text("x")
    with pytest.raises(RecordingFileError, match=r"rec\.mat.*WFDB.*EDF.*CSV.*Parquet"):
        read_recording(tmp_path / "rec.mat")


@pytest.mark.parametrize("bounds", [(0.5, 3.3), (0.0, 0.004), (3.9, 99.0)])
def test_a_part_is_the_same_samples_as_in_the_whole(two_leads, bounds):
    part = read_recording(two_leads, start=bounds[0], stop=bounds[1])
    whole = read_recording(two_leads).signals
    np.testing.assert_array_equal(part.signals, whole[round(bounds[0] * 250) : round(bounds[1] * 250)])


def test_a_start_past_the_end_is_an_error(two_leads):
    with pytest.raises(RecordingFileError, match="no samples from 99 s on"):
        read_recording(two_leads, start=99)


def parquet(path, **columns):
    pd.DataFrame(columns).to_parquet(path)
    return path


def test_parquet_is_read_like_csv(tmp_path):
    times = np.delete(np.arange(1000), slice(300, 320)) / 250
    path = parquet(tmp_path / "rec.parquet", **{"time": times, "ECG [mV]": np.arange(980.0)})
    recording = read_recording(path)
    assert (recording.fs, recording.channels, recording.units) == (250.0, ("ECG",), ("mV",))
    assert recording.gaps == (Gap(300, 320),)
    assert open_recording(path, fs=250).n_samples == 980


def test_parquet_dates_give_rate_and_start(tmp_path):
    times = pd.date_range("2024-05-01 10:00", periods=500, freq="2ms")
    recording = read_recording(parquet(tmp_path / "rec.parquet", timestamp=times, ECG=np.zeros(500)))
    assert (recording.fs, recording.start) == (500.0, datetime.datetime(2024, 5, 1, 10))


def test_parquet_columns_of_one_name_are_told_apart(tmp_path):
    arrays = [pa.array(np.arange(3.0) + k) for k in (10, 20, 30)]
    pq.write_table(pa.table(arrays, names=["b", "a", "b"]), tmp_path / "rec.parquet")
    recording = read_recording(tmp_path / "rec.parquet", channels=[2, 1], fs=100)
    np.testing.assert_array_equal(recording.signals[0], [30, 20])


def test_text_in_parquet_is_an_error(tmp_path):
    with pytest.raises(RecordingFileError, match="'ECG' has 'b' in row 2"):
        read_recording(parquet(tmp_path / "rec.parquet", ECG=["1", "b"]), fs=100)


def test_a_truncated_parquet_file_is_an_error(tmp_path):
    path = parquet(tmp_path / "rec.parquet", ECG=np.zeros(100))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RecordingFileError, match="truncated or no Parquet"):
        read_recording(path)


@pytest.mark.realdata
def test_a_publishers_csv_with_rounded_times_is_read(data_dir):
    recording = read_recording(data_dir / "bidmc" / "bidmc_csv" / "bidmc_01_Signals.csv.gz")
    assert (recording.fs, recording.n_samples, recording.gaps) == (125.0, 60001, ())
    assert recording.channels == ("RESP", "PLETH", "V", "AVR", "II")


def test_without_pyarrow_the_error_names_the_extra(tmp_path, monkeypatch):
    path = parquet(tmp_path / "rec.parquet", ECG=np.zeros(100))
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mhealth\[parquet\]'"):
        read_recording(path, fs=100)


def test_a_folder_is_no_recording(tmp_path):
    with pytest.raises(RecordingFileError, match="is a folder; name one recording in it"):
        read_recording(tmp_path)
