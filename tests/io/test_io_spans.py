import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mhealth.core import Spans
from mhealth.errors import InvalidParameterError, RecordingFileError, UnwritableOutputError
from mhealth.io import SpanWriter, read_annotation, read_spans, write_spans
from mhealth.io._writing import COLUMNS

CLASSES = ("P", "QRS", "T", "unusable")


@pytest.fixture
def spans():
    rows = [(10, 15, 20, 1, 0, 0.91236), (12, 18, 25, 0, 1, 0.5), (30, -1, 60, 3, 0, np.nan)]
    return Spans.from_rows(rows, fs=360.0, channels=("MLII", "V5"), classes=CLASSES)


def as_rows(spans):
    codes = zip(spans.channel.tolist(), spans.label.tolist(), strict=True)
    points = zip(spans.onset.tolist(), spans.peak.tolist(), spans.offset.tolist(), strict=True)
    return [(spans.channels[c], spans.classes[k], *p) for (c, k), p in zip(codes, points, strict=True)]


def test_csv_has_exactly_the_documented_columns(tmp_path, spans):
    write_spans(spans, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        "channel,label,onset,peak,offset,onset_s,offset_s,probability",
        "MLII,QRS,10,15,20,0.027778,0.055556,0.9124",
        "V5,P,12,18,25,0.033333,0.069444,0.5000",
        "MLII,unusable,30,-1,60,0.083333,0.166667,",
    ]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_spans_are_read_back(tmp_path, spans, suffix):
    write_spans(spans, tmp_path / f"out{suffix}")
    back = read_spans(tmp_path / f"out{suffix}")
    assert as_rows(back) == as_rows(spans)
    assert back.fs == 360.0
    np.testing.assert_allclose(back.probability, spans.probability, atol=5e-5)


@given(
    fs=st.sampled_from([100.0, 125.0, 128.0, 250.0, 256.41, 360.0, 500.0, 1000.0, 2000.0]),
    onset=st.integers(1, 10_000_000),
    length=st.integers(1, 5000),
)
def test_the_rate_is_recovered_from_samples_and_seconds(tmp_path_factory, fs, onset, length):
    path = tmp_path_factory.mktemp("rate") / "out.csv"
    rows = [(onset, onset, onset + length, 0, 0, 0.5)]
    write_spans(Spans.from_rows(rows, fs=fs, channels=("I",), classes=("P",)), path)
    latest = (onset + length) / fs
    assert read_spans(path).fs == pytest.approx(fs, rel=2e-6 / latest, abs=1e-6)
    if latest > 1 and fs.is_integer():
        assert read_spans(path).fs == fs


def test_channels_of_one_name_are_written_by_position(tmp_path):
    spans = Spans.from_rows([(1, 2, 3, 0, 1, 0.5)], fs=250.0, channels=("ECG", "ECG"), classes=("P",))
    write_spans(spans, tmp_path / "out.csv")
    assert read_spans(tmp_path / "out.csv").channels == ("1",)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_no_spans_are_a_table_with_a_head(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    write_spans(Spans.empty(fs=250.0, channels=("I",), classes=CLASSES), path)
    assert len(read_spans(path, fs=250.0)) == 0
    with pytest.raises(RecordingFileError, match=r"does not tell its sampling rate.*fs="):
        read_spans(path)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_writing_as_they_come_gives_the_same_file(tmp_path, spans, suffix):
    write_spans(spans, tmp_path / f"whole{suffix}")
    with SpanWriter(tmp_path / f"parts{suffix}") as writer:
        for k in range(len(spans)):
            writer.write(spans.select([k]))
            writer.write(spans.select([]))
    assert writer.paths == [tmp_path / f"parts{suffix}"]
    assert as_rows(read_spans(writer.paths[0])) == as_rows(read_spans(tmp_path / f"whole{suffix}"))


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".atr"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RecordingFileError, OSError])
def test_an_interrupted_writer_leaves_nothing_and_keeps_what_was_there(tmp_path, spans, suffix, error):
    path = tmp_path / f"out{suffix}"
    path.write_text("before")
    with pytest.raises(error) as raised, SpanWriter(path) as writer:  # noqa: PT012
        writer.write(spans)
        raise error("stopped")
    assert raised.type is error
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "before"


def test_nothing_appears_before_the_writer_is_closed(tmp_path, spans):
    with SpanWriter(tmp_path / "out.csv") as writer:
        writer.write(spans)
        assert not (tmp_path / "out.csv").exists()
    assert (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".atr"])
def test_an_unwritable_output_is_an_error_that_names_it(tmp_path, spans, suffix):
    with pytest.raises(UnwritableOutputError, match=r"nowhere.*cannot be written.*Choose"):
        write_spans(spans, tmp_path / "nowhere" / f"out{suffix}")


def test_a_folder_in_the_place_of_the_output_is_an_error(tmp_path, spans):
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(UnwritableOutputError, match=r"out\.csv cannot be written"):
        write_spans(spans, tmp_path / "out.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize("name", ["out.txt", "out"])
def test_an_unknown_format_lists_the_known(tmp_path, spans, name):
    with pytest.raises(InvalidParameterError, match=r"\.csv, \.parquet or \.atr.*--format"):
        write_spans(spans, tmp_path / name)


def test_wfdb_marks_of_several_channels_go_to_one_file_each(tmp_path, spans):
    paths = write_spans(spans, tmp_path / "rec", format="wfdb")
    assert [p.name for p in paths] == ["rec.mlii", "rec.v5"]
    samples, symbols = read_annotation(tmp_path / "rec", "v5")
    assert (samples.tolist(), symbols) == ([12, 18, 25], ["(", "p", ")"])


def test_wfdb_marks_of_one_channel_go_to_the_file_named(tmp_path, spans):
    one = Spans.from_rows([(10, 15, 20, 1, 0, 0.9)], fs=360.0, channels=("MLII",), classes=CLASSES)
    assert write_spans(one, tmp_path / "rec.atr") == [tmp_path / "rec.atr"]
    assert write_spans(one, tmp_path / "rec", format="wfdb") == [tmp_path / "rec.waves"]


def test_wfdb_files_of_channels_without_usable_names_are_numbered(tmp_path):
    spans = Spans.from_rows([(1, 2, 3, 0, 1, 0.5)], fs=250.0, channels=("ECG 1", "ECG-1"), classes=("P",))
    assert [p.name for p in write_spans(spans, tmp_path / "rec.atr")] == ["rec.0", "rec.1"]


def test_annotations_beside_their_recording_are_not_replaced(tmp_path, spans):
    (tmp_path / "rec.hea").write_text("rec 1 250 10\n")
    (tmp_path / "rec.v5").write_text("an expert's")
    with pytest.raises(UnwritableOutputError, match=r"rec\.v5 exists beside its recording"):
        write_spans(spans, tmp_path / "rec.atr")
    assert (tmp_path / "rec.v5").read_text() == "an expert's"
    assert not (tmp_path / "rec.mlii").exists()


def test_a_table_without_its_columns_is_an_error(tmp_path):
    (tmp_path / "out.csv").write_text("channel,label,onset\nI,P,3\n")
    with pytest.raises(RecordingFileError, match=r"lacks the columns \['peak', 'offset'\]"):
        read_spans(tmp_path / "out.csv")


def test_text_in_the_place_of_a_sample_is_an_error_that_says_where(tmp_path):
    with open(tmp_path / "out.csv", "w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, ["I", "P", 1, 2, 3, 0, 0, 1], ["I", "P", 7, "high", 9, 0, 0, 1]])
    with pytest.raises(RecordingFileError, match=r"'peak' has 'high' in row 2"):
        read_spans(tmp_path / "out.csv", fs=250.0)


def test_empty_points_are_minus_one(tmp_path):
    (tmp_path / "out.csv").write_text("channel,label,onset,peak,offset\nI,P,,2,\n")
    back = read_spans(tmp_path / "out.csv", fs=250.0)
    assert as_rows(back) == [("I", "P", -1, 2, -1)]


def test_missing_labels_are_an_error(tmp_path):
    with pytest.raises(RecordingFileError, match="does not exist"):
        read_spans(tmp_path / "none.csv")
