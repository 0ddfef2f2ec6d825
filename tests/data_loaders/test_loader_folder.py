import numpy as np
import pytest

from data_loaders import Folder
from mhealth.core import ECG_WAVES, Spans
from mhealth.errors import RecordingFileError
from mhealth.io import write_spans

ROWS = [(10, 15, 20, 0, 0, 0.9), (30, 33, 40, 1, 0, 0.9), (50, 60, 70, 2, 1, 0.9)]


def write_record(folder, name, channels=("I", "II")):
    lines = [f"{name} {len(channels)} 250 500", *(f"{name}.dat 16 200/mV 16 0 0 0 0 {c}" for c in channels)]
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n")
    (folder / f"{name}.dat").write_bytes(np.zeros((500, len(channels)), "<i2").tobytes())


def labels(rows=ROWS, channels=("I", "II"), classes=(*ECG_WAVES, "unusable")):
    return Spans.from_rows(rows, fs=250.0, channels=channels, classes=classes)


def write_brackets(folder, name):
    """Write one annotation file a channel, as beside no header `write_spans` does."""
    (folder / "marks").mkdir(exist_ok=True)
    for path in write_spans(labels(), folder / "marks" / name, format="wfdb"):
        path.rename(folder / path.name)
    (folder / "marks").rmdir()


def points(annotation):
    spans = annotation.spans
    return list(
        zip(*(x.tolist() for x in (spans.onset, spans.peak, spans.offset, spans.label, spans.channel)), strict=True)
    )


@pytest.mark.parametrize("table", ["night.labels.csv", "night.csv"])
def test_the_csv_that_label_writes_holds_the_marks(tmp_path, table):
    write_record(tmp_path, "night")
    write_spans(labels([*ROWS, (100, -1, 200, 3, 0, np.nan)]), tmp_path / table)
    data = Folder(tmp_path)
    assert data.records == ["night"]
    recording, annotation, subject = data.load("night")
    assert (recording.name, recording.subject, subject) == ("night", "night", "night")
    assert points(annotation) == [row[:5] for row in ROWS]
    assert annotation.spans.classes == ECG_WAVES
    assert annotation.annotated.tolist() == [[0, 10, 41], [1, 50, 71]]


def test_brackets_a_channel_hold_the_marks(tmp_path):
    write_record(tmp_path, "night")
    write_brackets(tmp_path, "night")
    ((_, annotation, _),) = Folder(tmp_path)
    assert points(annotation) == [row[:5] for row in ROWS]
    assert annotation.spans.channels == ("I", "II")


def test_one_annotation_for_all_channels_holds_for_each(tmp_path):
    write_record(tmp_path, "night")
    one = labels([(10, 15, 20, 0, 0, 0.9)], channels=("I",))
    write_spans(one, tmp_path / "night.q1c", format="wfdb")
    ((_, annotation, _),) = Folder(tmp_path)
    assert points(annotation) == [(10, 15, 20, 0, 0), (10, 15, 20, 0, 1)]


def test_two_annotations_with_brackets_are_an_error(tmp_path):
    write_record(tmp_path, "night")
    for extension in ("q1c", "q2c"):
        write_spans(labels(ROWS[:2], channels=("I",)), tmp_path / f"night.{extension}", format="wfdb")
    with pytest.raises(RecordingFileError, match=r"several annotations.*night\.q1c, night\.q2c"):
        Folder(tmp_path)


def test_records_without_labels_are_left_out(tmp_path):
    write_record(tmp_path, "night")
    write_record(tmp_path, "day")
    write_spans(labels(), tmp_path / "night.labels.csv")
    assert Folder(tmp_path).records == ["night"]


def test_a_csv_recording_can_have_labels(tmp_path):
    (tmp_path / "walk.csv").write_text("time,I,II\n" + "".join(f"{k / 250},{k},{k}\n" for k in range(500)))
    write_spans(labels(), tmp_path / "walk.labels.csv")
    ((recording, annotation, _),) = Folder(tmp_path)
    assert (recording.fs, len(annotation.spans)) == (250.0, 3)


def test_the_table_of_stretches_tells_where_marks_are_complete_and_who_it_is(tmp_path):
    write_record(tmp_path, "night")
    write_spans(labels(), tmp_path / "night.labels.csv")
    table = "record,channel,start_s,stop_s,subject\nnight,II,0,1.0,ann\nnight,,1.2,9,ann\n"
    (tmp_path / "stretches.csv").write_text(table)
    _, annotation, subject = Folder(tmp_path).load("night")
    assert subject == "ann"
    assert annotation.annotated.tolist() == [[1, 0, 250], [0, 300, 500], [1, 300, 500]]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("record,start_s,stop_s\n", r"lacks the columns \['channel'\]"),
        ("record,channel,start_s,stop_s\nday,,0,1\n", r"names the records \['day'\]"),
        ("record,channel,start_s,stop_s\nnight,,2,1\n", r"row 1.*start_s='2'"),
        ("record,channel,start_s,stop_s\nnight,,soon,1\n", r"row 1.*start_s='soon'"),
    ],
)
def test_a_malformed_table_of_stretches_is_an_error(tmp_path, table, message):
    write_record(tmp_path, "night")
    write_spans(labels(), tmp_path / "night.labels.csv")
    (tmp_path / "stretches.csv").write_text(table)
    with pytest.raises(RecordingFileError, match=message):
        Folder(tmp_path)


def test_labels_of_a_channel_that_is_not_there_are_an_error(tmp_path):
    write_record(tmp_path, "night", channels=("V1", "V2"))
    write_spans(labels(), tmp_path / "night.labels.csv")
    with pytest.raises(RecordingFileError, match=r"night\.labels\.csv: channel 'I' is none of \('V1', 'V2'\)"):
        Folder(tmp_path).load("night")


def test_the_hash_follows_recording_and_labels(tmp_path):
    write_record(tmp_path, "night")
    write_spans(labels(), tmp_path / "night.labels.csv")
    before = Folder(tmp_path).hash("night")
    write_spans(labels(ROWS[:2]), tmp_path / "night.labels.csv")
    between = Folder(tmp_path).hash("night")
    (tmp_path / "night.dat").write_bytes(np.ones((500, 2), "<i2").tobytes())
    assert len({before, between, Folder(tmp_path).hash("night")}) == 3


@pytest.mark.parametrize("name", ["", "none"])
def test_a_folder_without_labelled_recordings_is_an_error(tmp_path, name):
    with pytest.raises(RecordingFileError, match=r"holds no recording with labels|is no folder"):
        Folder(tmp_path / name)
