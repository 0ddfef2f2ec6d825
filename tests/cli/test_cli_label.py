"""`mhealth label`: which files come out, and what is said when something is wrong. The labels are fake."""

import io
import warnings

import fake_labeling
import pandas as pd
import pytest

from mhealth.cli import _label, _selection
from mhealth.cli._label import record_name

COLUMNS = "channel,label,onset,peak,offset,onset_s,offset_s,probability"


def onsets(path):
    return pd.read_csv(path)["onset"].tolist()


def test_labels_are_printed_as_csv_when_piped(mhealth, write_csv):
    result = mhealth("label", write_csv("a.csv"))
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == COLUMNS
    assert pd.read_csv(io.StringIO(result.stdout))["onset"].tolist() == list(range(50, 1000, 100))


def test_a_file_gets_the_same_csv_as_a_pipe(mhealth, write_csv, tmp_path):
    record = write_csv("a.csv")
    assert mhealth("label", record, "--out", tmp_path / "labels.csv").exit_code == 0
    assert (tmp_path / "labels.csv").read_text() == mhealth("label", record).stdout


def test_a_terminal_gets_a_table(capsys, recording_spans):
    table = _label._Table()
    table.write(recording_spans)
    table.print()
    shown = capsys.readouterr().out
    assert "QRS" in shown
    assert "and 10 more" in shown


@pytest.fixture
def recording_spans():
    rows = [(k, k + 1, k + 2, 1, 0, 0.5) for k in range(_label.ROWS_SHOWN + 10)]
    return fake_labeling.Spans.from_rows(rows, fs=100, channels=("II",), classes=fake_labeling.CLASSES)


def test_labels_do_not_depend_on_the_blocks_that_are_read(mhealth, write_csv, monkeypatch):
    record = write_csv("a.csv")
    whole = mhealth("label", record).stdout
    monkeypatch.setattr(_selection, "BLOCK", 0.37)
    assert mhealth("label", record).stdout == whole


def test_samples_count_from_the_start_of_the_recording(mhealth, write_csv):
    record = write_csv("a.csv")
    part = pd.read_csv(io.StringIO(mhealth("label", record, "--start", "3.2", "--stop", "7").stdout))
    assert part["onset"].tolist() == [350, 450, 550, 650]
    assert part["onset_s"].tolist() == [3.5, 4.5, 5.5, 6.5]


def test_the_format_follows_suffix_or_option(mhealth, write_csv, tmp_path):
    record = write_csv("a.csv")
    assert mhealth("label", record, "--out", tmp_path / "x.parquet").exit_code == 0
    assert mhealth("label", record, "--out", tmp_path / "folder", "--format", "parquet").exit_code == 0
    for path in (tmp_path / "x.parquet", tmp_path / "folder" / "a.parquet"):
        assert ",".join(pd.read_parquet(path).columns) == COLUMNS
    assert mhealth("label", record, "--out", tmp_path / "folder", "--format", "wfdb").exit_code == 0
    assert (tmp_path / "folder" / "a.waves").exists()


def test_only_channels_that_look_like_an_ecg_are_labelled(mhealth, write_csv):
    record = write_csv("a.csv", channels=("PLETH", "II", "V5"))
    assert set(pd.read_csv(io.StringIO(mhealth("label", record).stdout))["channel"]) == {"II", "V5"}
    part = mhealth("label", record, "--channels", "pleth,V5", "--as", "ecg").stdout
    assert set(pd.read_csv(io.StringIO(part))["channel"]) == {"PLETH", "V5"}


def test_without_anything_to_label_the_channels_are_listed(mhealth, write_csv):
    result = mhealth("label", write_csv("a.csv", channels=("ACC", "PLETH")))
    assert result.exit_code == 1
    assert result.stdout == ""
    for text in ("'ACC'", "'PLETH'", "--channels", "--as"):
        assert text in result.stderr


def test_channels_of_one_name_are_reported_by_their_position_in_the_file(mhealth, write_csv):
    record = write_csv("a.csv", channels=("PLETH", "ECG", "ECG"))
    both = pd.read_csv(io.StringIO(mhealth("label", record).stdout))
    assert set(both["channel"]) == {1, 2}
    one = pd.read_csv(io.StringIO(mhealth("label", record, "--channels", "2").stdout))
    assert set(one["channel"]) == {2}


def test_every_record_gets_a_file_named_after_it(mhealth, write_csv, tmp_path):
    records = [write_csv(f"r{k}.csv", n_samples=300 * (k + 1)) for k in range(3)]
    result = mhealth("label", *records, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["r0.csv", "r1.csv", "r2.csv"]
    assert [len(onsets(tmp_path / "out" / f"r{k}.csv")) for k in range(3)] == [3, 6, 9]
    assert "3 of 3 records" in result.stderr


def test_several_records_need_a_folder(mhealth, write_csv, tmp_path):
    records = [write_csv("a.csv"), write_csv("b.csv")]
    assert "--out FOLDER" in mhealth("label", *records).stderr
    (tmp_path / "file.csv").write_text("")
    assert "is a file" in mhealth("label", *records, "--out", tmp_path / "file.csv").stderr


def test_two_records_of_one_name_are_refused_and_both_named(mhealth, write_csv, tmp_path):
    first, second = write_csv("a.csv", folder=tmp_path / "one"), write_csv("a.csv", folder=tmp_path / "two")
    result = mhealth("label", first, second, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert str(first) in result.stderr
    assert str(second) in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_recording_is_not_overwritten_by_its_labels(mhealth, write_csv, tmp_path):
    record = write_csv("a.csv")
    before = record.read_bytes()
    for out in (record, tmp_path):
        result = mhealth("label", record, "--out", out)
        assert result.exit_code == 1
        assert "overwritten" in result.stderr
    assert record.read_bytes() == before


@pytest.mark.parametrize("jobs", [1, 2])
def test_one_bad_record_does_not_stop_the_others(mhealth, write_csv, tmp_path, monkeypatch, jobs):
    monkeypatch.setattr(_label, "_begin_worker", fake_labeling.begin_worker)
    (tmp_path / "bad.csv").write_text("time,II\n0,1\n0.01,text\n")
    records = [write_csv("a.csv"), tmp_path / "bad.csv", tmp_path / "gone.edf", write_csv("b.csv")]
    result = mhealth("label", *records, "--out", tmp_path / "out", "--jobs", jobs)
    assert result.exit_code == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.csv", "b.csv"]
    assert onsets(tmp_path / "out" / "a.csv") == list(range(50, 1000, 100))
    assert "bad.csv" in result.stderr
    assert "gone.edf does not exist" in result.stderr
    assert "2 of 4 records failed" in result.stderr
    assert "Traceback" not in result.output


def test_resume_skips_what_is_there(mhealth, write_csv, tmp_path):
    records = [write_csv("a.csv"), write_csv("b.csv")]
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.csv").write_text("finished before\n")
    result = mhealth("label", *records, "--out", out, "--resume")
    assert result.exit_code == 0
    assert (out / "a.csv").read_text() == "finished before\n"
    assert len(onsets(out / "b.csv")) == 10
    assert "1 of 2 records are there already" in result.stderr
    assert mhealth("label", *records, "--out", out).exit_code == 0
    assert len(onsets(out / "a.csv")) == 10


def test_resume_knows_wfdb_annotations_of_each_channel(mhealth, write_csv, tmp_path):
    record = write_csv("a.csv", channels=("II", "V5"))
    arguments = ("label", record, "--out", tmp_path / "out", "--format", "wfdb", "--resume")
    assert mhealth(*arguments).exit_code == 0
    assert "1 of 1 records are there already" in mhealth(*arguments).stderr


def test_ctrl_c_leaves_complete_files_only(mhealth, write_csv, tmp_path, monkeypatch):
    records = [write_csv(f"r{k}.csv") for k in range(3)]
    pushed = []
    push = fake_labeling.Stream.push

    def interrupted(self, chunk):
        pushed.append(len(chunk))
        if len(pushed) == 12:
            raise KeyboardInterrupt
        return push(self, chunk)

    monkeypatch.setattr(_selection, "BLOCK", 1.0)
    monkeypatch.setattr(fake_labeling.Stream, "push", interrupted)
    result = mhealth("label", *records, "--out", tmp_path / "out")
    assert result.exit_code == 130
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["r0.csv"]
    assert len(onsets(tmp_path / "out" / "r0.csv")) == 10
    assert "none is half-written" in result.stderr


def test_workers_stop_between_blocks_when_asked(write_csv, monkeypatch, mhealth):
    monkeypatch.setattr(_label, "_stop", type("Event", (), {"is_set": lambda self: True})())
    with pytest.raises(KeyboardInterrupt):
        _label._perform_in_worker(_selection.Job(record=str(write_csv("a.csv"))))


def test_a_bad_model_is_one_error(mhealth, write_csv, tmp_path):
    result = mhealth("label", write_csv("a.csv"), write_csv("b.csv"), "--out", tmp_path / "out", "--model", "none.npz")
    assert result.exit_code == 1
    assert result.stderr.count("none.npz is no model.") == 1


def test_an_unwritable_output_is_one_error(mhealth, write_csv, tmp_path):
    (tmp_path / "file").write_text("")
    result = mhealth("label", write_csv("a.csv"), "--out", tmp_path / "file" / "out" / "a.csv")
    assert result.exit_code == 1
    assert "cannot be made" in result.stderr


def test_errors_show_a_traceback_only_for_debug(mhealth, tmp_path):
    plain = mhealth("label", tmp_path / "gone.csv", "--out", tmp_path / "x.csv")
    debug = mhealth("label", tmp_path / "gone.csv", "--out", tmp_path / "x.csv", "--debug")
    assert plain.exit_code == debug.exit_code == 1
    assert "Traceback" not in plain.output
    assert "Traceback" in debug.stderr


def test_what_we_did_not_foresee_is_called_a_bug(mhealth, write_csv, monkeypatch):
    def broken(self, chunk):
        raise ZeroDivisionError("x")

    monkeypatch.setattr(fake_labeling.Stream, "push", broken)
    result = mhealth("label", write_csv("a.csv"))
    assert result.exit_code == 1
    assert "unexpected ZeroDivisionError: x. This is a bug" in result.stderr
    assert result.stdout == ""


def test_warnings_are_notes_that_name_the_record(mhealth, write_csv, monkeypatch, tmp_path):
    push = fake_labeling.Stream.push

    def warned(self, chunk):
        warnings.warn("the gain is odd", stacklevel=1)
        return push(self, chunk)

    monkeypatch.setattr(fake_labeling.Stream, "push", warned)
    result = mhealth("label", write_csv("a.csv"), "--out", tmp_path / "x.csv")
    assert result.exit_code == 0, result.output
    assert "a.csv: the gain is odd\n" in result.stderr


def test_quiet_says_nothing(mhealth, write_csv, tmp_path):
    result = mhealth("label", write_csv("a.csv"), "--out", tmp_path / "x.csv", "--quiet")
    assert (result.exit_code, result.output) == (0, "")


def test_parquet_is_not_printed(mhealth, write_csv):
    assert "add --out FILE" in mhealth("label", write_csv("a.csv"), "--format", "parquet").stderr


def test_a_report_is_written_for_the_labelled_part(mhealth, write_csv, tmp_path):
    record = write_csv("a.csv", n_samples=6000)
    result = mhealth(
        "label", record, "--start", 10, "--stop", 40, "--out", tmp_path / "x.csv", "--report", tmp_path / "x.html"
    )
    assert result.exit_code == 0, result.output
    page = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "0:30.0 from 0:10.0 on" in page
    assert page.count("<img") == 5


@pytest.mark.parametrize(
    ("path", "name"),
    [("d/100", "100"), ("100.hea", "100"), ("a.b.edf", "a.b"), ("x.csv.gz", "x"), ("sel1.EDF", "sel1"), ("1.5", "1.5")],
)
def test_results_are_named_after_the_record(path, name):
    assert record_name(path) == name
