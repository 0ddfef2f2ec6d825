from collections import Counter

import acceptance_score
import numpy as np
import pytest

from data_loaders import Ludb, Mitdb, Nstdb, Qtdb
from data_loaders.qtdb import annotated_runs
from mhealth.core import ECG_WAVES, Spans
from mhealth.errors import RecordingFileError
from mhealth.io import read_bracket_annotation

ALL = [("ludb", Ludb), ("qtdb", Qtdb), ("mitdb", Mitdb), ("nstdb", Nstdb)]


def waves_of(spans, channel):
    """Return rows (label, onset, peak, offset), sorted."""
    of = spans.select(spans.channel == channel)
    codes = zip(of.label.tolist(), of.onset.tolist(), of.peak.tolist(), of.offset.tolist(), strict=True)
    return sorted((of.classes[code], *points) for code, *points in codes)


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the scorer imports wfdb, which calls pandas in an old way
def test_ludb_marks_are_those_of_the_scorer(data_dir):
    score = acceptance_score.load(data_dir)
    n_waves = 0
    for recording, annotation, subject in Ludb(data_dir / "ludb"):
        assert (recording.fs, len(recording.channels), subject) == (500.0, 12, f"ludb-{recording.name}")
        assert np.isnan(annotation.spans.probability).all()
        for channel, lead in enumerate(recording.channels):
            expected = score.expert_waves(data_dir / "ludb" / "data" / recording.name, lead)
            assert waves_of(annotation.spans, channel) == sorted(expected)
            marks = [mark for wave in expected for mark in wave[1:] if mark >= 0]
            rows = annotation.annotated[annotation.annotated[:, 0] == channel]
            assert rows.tolist() == ([[channel, min(marks), max(marks) + 1]] if marks else [])
            n_waves += len(expected)
    assert n_waves > 40_000


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_qtdb_marks_and_runs_are_those_of_the_scorer(data_dir):
    score = acceptance_score.load(data_dir)
    data = Qtdb(data_dir / "qtdb")
    assert len(data.records) >= 78
    for name in data.records:
        expected = score.expert_waves(data_dir / "qtdb" / name, "q1c")
        spans = read_bracket_annotation(data.path(name), "q1c", fs=250.0, channels=("a",))
        assert waves_of(spans, 0) == sorted(expected)
        assert annotated_runs(spans).tolist() == [[a, b + 1] for a, b in score.annotated_runs(expected)]


@pytest.mark.realdata
def test_qtdb_marks_hold_for_both_channels(data_dir):
    recording, annotation, subject = Qtdb(data_dir / "qtdb").load("sel100")
    assert (recording.fs, recording.channels, subject) == (250.0, ("MLII", "V5"), "mitdb-100")
    assert waves_of(annotation.spans, 0) == waves_of(annotation.spans, 1) != []
    rows = annotation.annotated
    np.testing.assert_array_equal(rows[rows[:, 0] == 0][:, 1:], rows[rows[:, 0] == 1][:, 1:])


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_mitdb_beats_are_those_of_the_scorer(data_dir):
    score = acceptance_score.load(data_dir)
    data = Mitdb(data_dir / "mitdb")
    for name in ("100", "207", "232"):
        recording, annotation, _ = data.load(name)
        marks = score.wfdb.rdann(data_dir / "mitdb" / name, "atr")
        beats = [s for s, c in zip(marks.sample, marks.symbol, strict=True) if c in score.BEATS]
        assert waves_of(annotation.spans, 0) == [("QRS", -1, beat, -1) for beat in beats]
        assert waves_of(annotation.spans, 1) == waves_of(annotation.spans, 0)
        assert len(annotation.annotated) == 0
        assert recording.fs == 360.0


@pytest.mark.realdata
def test_ventricular_flutter_is_told(data_dir):
    data = Mitdb(data_dir / "mitdb")
    assert data.flutter("100") == []
    assert data.flutter("207")[0] == (14665, 18350)
    assert len(data.flutter("207")) == 6


@pytest.mark.realdata
def test_noise_has_no_marks_and_noisy_ecg_those_of_its_record(data_dir):
    data = Nstdb(data_dir / "nstdb")
    for recording, annotation, subject in data:
        assert (recording.fs, set(recording.units)) == (360.0, {"mV"})
        assert len(annotation.annotated) == 0
        if recording.name in ("em", "ma", "bw"):
            assert (len(annotation.spans), subject) == (0, f"nstdb-{recording.name}")
        else:
            assert (len(annotation.spans), subject) == (2 * 2278, "mitdb-118")


@pytest.mark.realdata
def test_one_person_has_one_subject_across_data_sets(data_dir):
    mitdb, qtdb = Mitdb(data_dir / "mitdb"), Qtdb(data_dir / "qtdb")
    assert mitdb.subject("201") == mitdb.subject("202") == "mitdb-201"
    for record, subject in (
        ("sel223", "mitdb-223"),
        ("sel30", "qtdb-30"),
        ("sel302", "qtdb-302"),
        ("sel16265", "qtdb-16265"),
        ("sele0104", "qtdb-e0104"),
        ("sel808", "qtdb-808"),
    ):
        assert qtdb.subject(record) == subject


@pytest.mark.realdata
def test_rhythm_groups_are_large_enough_for_five_folds(data_dir):
    data = Ludb(data_dir / "ludb")
    groups = Counter(data.stratum(name) for name in data.records)
    assert min(groups.values()) >= 5
    assert data.rhythm("8") == "Atrial fibrillation"
    assert data.stratum("8") == "atrial fibrillation or flutter"


@pytest.mark.realdata
@pytest.mark.parametrize(("folder", "dataset"), ALL)
def test_every_data_set_keeps_the_protocol(data_dir, folder, dataset):
    data = dataset(str(data_dir / folder))
    name = data.records[0]
    recording, annotation, subject = data.load(name)
    assert (recording.name, recording.subject) == (name, subject)
    assert annotation.spans.classes == ECG_WAVES
    assert annotation.spans.channels == recording.channels
    assert annotation.spans.fs == recording.fs
    assert len(data.hash(name)) == 64
    assert data.hash(name) != data.hash(data.records[1])
    assert data.stratum(name)
    assert data.licence == "ODC-By 1.0"
    assert "20" in data.citation or "19" in data.citation


@pytest.mark.parametrize(("folder", "dataset"), ALL)
def test_an_empty_folder_is_an_error_that_says_where_to_fetch(tmp_path, folder, dataset):
    with pytest.raises(RecordingFileError, match=rf"physionet\.org/content/{folder}/.*{dataset.__name__}\.fetch\("):
        dataset(tmp_path)


def test_a_record_without_its_files_is_an_error_that_lists_them(tmp_path):
    (tmp_path / "RECORDS").write_text("sel100\n")
    with pytest.raises(RecordingFileError, match=r"lacks sel100\.hea, sel100\.dat, sel100\.q1c of qtdb"):
        Qtdb(tmp_path).load("sel100")


def test_runs_end_where_beats_were_skipped():
    peaks = [100, 200, 300, 900, 1000]
    rows = [(p - 10, p, p + 10, 1, 0, np.nan) for p in peaks]
    rows += [(140, 150, 160, 2, 0, np.nan), (350, 360, 370, 2, 0, np.nan), (500, 510, 520, 0, 0, np.nan)]
    spans = Spans.from_rows(rows, fs=250.0, channels=("I",), classes=ECG_WAVES)
    assert annotated_runs(spans).tolist() == [[90, 371], [890, 1011]]


def test_there_is_no_run_without_marks():
    assert annotated_runs(Spans.empty(fs=250.0, channels=("I",), classes=ECG_WAVES)).shape == (0, 2)
