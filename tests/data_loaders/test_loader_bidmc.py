import gzip
import shutil
import warnings

import acceptance_score
import numpy as np
import pytest

from data_loaders import Bidmc
from mhealth.errors import InvalidParameterError, RecordingFileError
from mhealth.io._wfdb_package import wfdb_package

N_SAMPLES = 1001
MARKS = {1: [101, 401, 700], 2: [110, 390]}  # counted from 1, as in the tables
TABLE = "breaths ann1 [signal sample no], breaths ann2 [signal sample no]\n101,110\n401,390\n700,NaN\n"
FIX = "bidmc_01\nMIMIC II matched wdb ID: s01182\nOriginal: http://physionet.org/mimic2wdb/matched/s01182/x.hea\n"
HEADER = "<age>: 88 <source>: https://physionet.org/physiobank/database/mimic2wdb/matched/s01182/ <x>: y"


def signals(n_channels=3):
    return np.sin(np.arange(N_SAMPLES)[:, None] / 50 + np.arange(n_channels))


def write_tables(folder, name="bidmc_01", *, zipped=False, table=TABLE, fix=FIX, fs=125, channels="RESP, PLETH, II"):
    """Write a record as `bidmc_csv` holds it; times and samples have five digits there."""
    folder.mkdir(exist_ok=True, parents=True)
    rows = [f"{k / fs:.5g}," + ",".join(f"{x:.5g}" for x in row) for k, row in enumerate(signals())]
    text = "\n".join([f"Time [s], {channels}", *rows]) + "\n"
    path = folder / f"{name}_Signals.csv"
    if zipped:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    (folder / f"{name}_Breaths.csv").write_text(table)
    if fix:
        (folder / f"{name}_Fix.txt").write_text(fix)
    return folder


def write_wfdb(folder, name="bidmc01", *, marks=MARKS, fs=125):
    """Write a record as the publisher's script does, with the header of the monitor's numbers beside it."""
    wfdb = wfdb_package()
    rows = sorted((mark - 1, f"ann{who}") for who, samples in marks.items() for mark in samples)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # wfdb's use of pandas
        wfdb.wrsamp(
            name,
            fs=fs,
            units=["pm", "NU", "mV"],
            sig_name=["RESP,", "PLETH,", "II,"],
            p_signal=signals(),
            fmt=["16"] * 3,
            comments=[HEADER],
            write_dir=str(folder),
        )
        if rows:
            samples, notes = (list(column) for column in zip(*rows, strict=True))
            wfdb.wrann(name, "breath", np.array(samples), ['"'] * len(rows), aux_note=notes, write_dir=str(folder))
    shutil.copy(folder / f"{name}.hea", folder / f"{name}n.hea")
    return folder


@pytest.mark.parametrize("annotator", [1, 2])
@pytest.mark.parametrize("layout", ["tables", "zipped", "inner folder", "wfdb"])
def test_both_layouts_hold_the_same(tmp_path, layout, annotator):
    if layout == "wfdb":
        data = Bidmc(write_wfdb(tmp_path), annotator)
        assert data.records == ["bidmc01"]
    else:
        folder = write_tables(tmp_path / "bidmc_csv", zipped=layout == "zipped")
        data = Bidmc(str(folder if layout == "inner folder" else tmp_path), annotator)
        assert data.records == ["bidmc_01"]
    ((recording, annotation, subject),) = data
    assert (recording.name, recording.fs) == (data.records[0], 125.0)
    assert (recording.channels, recording.units) == (("RESP", "PLETH", "II"), ("pm", "NU", "mV"))
    np.testing.assert_allclose(recording.signals, signals(), atol=1e-4)  # five digits, or 16 bits
    assert subject == recording.subject == data.subject(recording.name) == "s01182"
    ends = [mark - 1 for mark in MARKS[annotator]]
    spans = annotation.spans
    assert spans.offset.tolist() == ends
    assert set(spans.onset) == set(spans.peak) == {-1}
    assert {spans.classes[code] for code in spans.label} == {"inspiration"}
    assert (set(spans.channel), spans.channels, spans.fs) == ({0}, recording.channels, 125.0)
    assert annotation.annotated.tolist() == [[0, ends[0], ends[-1] + 1]]


def test_marks_are_of_the_channel_resp_wherever_it_is(tmp_path):
    _, annotation, _ = Bidmc(write_tables(tmp_path, channels="V, ABP, RESP")).load("bidmc_01")
    assert set(annotation.spans.channel) == {2}
    assert annotation.annotated[:, 0].tolist() == [2]


def test_the_rate_is_what_the_file_says(tmp_path):
    recording, _, _ = Bidmc(write_tables(tmp_path / "tables", fs=50)).load("bidmc_01")
    assert recording.fs == 50
    recording, annotation, _ = Bidmc(write_wfdb(tmp_path, fs=250)).load("bidmc01")
    assert recording.fs == annotation.spans.fs == 250


def test_tables_are_taken_where_both_layouts_are_present(tmp_path):
    write_wfdb(tmp_path)
    assert Bidmc(tmp_path).records == ["bidmc01"]
    write_tables(tmp_path / "bidmc_csv")
    assert Bidmc(tmp_path).records == ["bidmc_01"]


def test_without_the_text_about_a_record_its_name_is_the_subject(tmp_path):
    data = Bidmc(write_tables(tmp_path, fix=None))
    assert data.load("bidmc_01")[2] == "bidmc_01"


def test_a_wfdb_record_without_annotation_has_no_marks(tmp_path):
    _, annotation, _ = Bidmc(write_wfdb(tmp_path, marks={})).load("bidmc01")
    assert (len(annotation.spans), len(annotation.annotated)) == (0, 0)


def test_the_hash_follows_signals_and_marks(tmp_path):
    data = Bidmc(write_tables(tmp_path))
    before = data.hash("bidmc_01")
    write_tables(tmp_path, table=TABLE.replace("401", "402"))
    assert len({before, data.hash("bidmc_01")}) == 2


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", r"columns \[\].*ann1"),
        ("first,second\n101,110\n", r"columns \['first', 'second'\].*ann1"),
        (TABLE.replace("401", "4o1"), r"row 2.*'4o1'.*annotator 1"),
        (TABLE.replace("401", "-4"), r"row 2.*'-4'"),
        (TABLE.replace("101", "0"), r"mark at sample -1"),
        (TABLE.replace("700", "1002"), r"mark at sample 1001.*1001 samples"),
    ],
)
def test_a_malformed_table_of_marks_is_an_error_that_names_it(tmp_path, table, message):
    with pytest.raises(RecordingFileError, match=message) as raised:
        Bidmc(write_tables(tmp_path, table=table)).load("bidmc_01")
    assert "bidmc_01" in str(raised.value)


def test_marks_that_are_no_text_are_an_error(tmp_path):
    write_tables(tmp_path)
    (tmp_path / "bidmc_01_Breaths.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(RecordingFileError, match=r"bidmc_01_Breaths\.csv is no CSV text"):
        Bidmc(tmp_path).load("bidmc_01")


def test_a_table_without_respiration_is_an_error(tmp_path):
    with pytest.raises(RecordingFileError, match=r"'PLETH'.*expected one called RESP"):
        Bidmc(write_tables(tmp_path, channels="AVR, PLETH, II")).load("bidmc_01")


@pytest.mark.parametrize(
    ("content", "message"), [(b"\x00", "is no WFDB annotation"), (b"\x0a\x04\x00\x00", "no mark with the note ann1")]
)
def test_a_malformed_wfdb_annotation_is_an_error(tmp_path, content, message):
    write_wfdb(tmp_path)
    (tmp_path / "bidmc01.breath").write_bytes(content)
    with pytest.raises(RecordingFileError, match=rf"bidmc01\.breath .*{message}|bidmc01\.breath {message}"):
        Bidmc(tmp_path).load("bidmc01")


def test_a_record_without_its_files_is_an_error_that_lists_them(tmp_path):
    write_tables(tmp_path)
    (tmp_path / "bidmc_01_Signals.csv").unlink()
    with pytest.raises(RecordingFileError, match=r"lacks bidmc_01_Signals\.csv of bidmc 1\.0\.0"):
        Bidmc(tmp_path).load("bidmc_01")


def test_an_empty_folder_is_an_error_that_says_where_to_fetch(tmp_path):
    with pytest.raises(RecordingFileError, match=r"physionet\.org/content/bidmc/.*Bidmc\.fetch\("):
        Bidmc(tmp_path)


@pytest.mark.parametrize("annotator", [0, 3, "ann1"])
def test_there_are_two_annotators(tmp_path, annotator):
    with pytest.raises(InvalidParameterError, match=r"annotator=.*must be 1 or 2"):
        Bidmc(tmp_path, annotator)


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the scorer imports wfdb, which calls pandas in an old way
def test_the_marks_of_every_record_are_those_of_the_scorer(data_dir):
    pandas = acceptance_score.load(data_dir).pd
    first, second = (Bidmc(data_dir / "bidmc", annotator) for annotator in (1, 2))
    assert len(first.records) >= 40
    subjects, n_marks = {}, 0
    for recording, annotation, subject in first:
        table = pandas.read_csv(first.folder / f"{recording.name}_Breaths.csv")
        one, two = (np.sort(table.iloc[:, k].dropna().to_numpy(int) - 1) for k in (0, 1))
        np.testing.assert_array_equal(annotation.spans.offset, one)
        np.testing.assert_array_equal(second.annotation(recording.name, recording).spans.offset, two)
        assert annotation.annotated.tolist() == [[recording.channels.index("RESP"), one.min(), one.max() + 1]]
        assert (recording.fs, recording.n_samples, recording.gaps) == (125.0, 60001, ())
        assert set(recording.units) <= {"pm", "NU", "mV", "mmHg"}
        assert len(first.hash(recording.name)) == 64
        subjects.setdefault(subject, []).append(recording.name)
        n_marks += len(one)
    assert n_marks > 5000
    assert len(subjects["s03386"]) == 3  # one patient, recorded on three days
    assert all(subject.startswith("s") for subject in subjects)
    assert {first.stratum(name) for name in first.records} == {"intensive care"}
