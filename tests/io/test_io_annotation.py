import numpy as np
import pytest
import wfdb_reference
from hypothesis import given
from hypothesis import strategies as st

from mhealth.core import Spans
from mhealth.errors import AnnotationError, RecordingFileError
from mhealth.io import read_annotation, read_bracket_annotation
from mhealth.io._annotation_file import SYMBOLS, encode_annotation
from mhealth.io._brackets import encode_brackets

CLASSES = ("P", "QRS", "T", "unusable")


def spans_of(*rows, channels=("II",)):
    """Build spans of rows (onset, peak, offset, label text)."""
    table = [(a, b, c, CLASSES.index(label), 0, np.nan) for a, b, c, label in rows]
    return Spans.from_rows(table, fs=250.0, channels=channels, classes=CLASSES)


@given(
    st.lists(
        st.tuples(
            st.integers(1, 1 << 30), st.sampled_from([s for s in SYMBOLS.values() if s != " "]), st.integers(-128, 127)
        ),
        max_size=20,
    )
)
def test_what_is_encoded_is_decoded_here_and_by_wfdb(tmp_path_factory, marks):
    # from sample 1 on: wfdb takes a note at sample 0 for a statement of the time resolution
    marks = sorted(marks, key=lambda mark: mark[0])
    base = tmp_path_factory.mktemp("ann") / "rec"
    base.with_suffix(".tst").write_bytes(encode_annotation(marks))
    samples, symbols = read_annotation(base, "tst")
    assert list(zip(samples.tolist(), symbols, strict=True)) == [mark[:2] for mark in marks]
    if marks:
        assert wfdb_reference.rdann(base, "tst") == marks


@pytest.mark.realdata
def test_real_annotations_decode_as_by_wfdb(data_dir):
    for base, extension in (
        ("ludb/data/1", "ii"), ("ludb/data/100", "v6"), ("qtdb/sel100", "q1c"), ("qtdb/sel100", "atr"),
        ("qtdb/sele0704", "q1c"), ("mitdb/207", "atr"), ("nstdb/118e00", "atr"),
    ):  # fmt: skip
        samples, symbols = read_annotation(data_dir / base, extension)
        expected = wfdb_reference.rdann(data_dir / base, extension)
        assert list(zip(samples.tolist(), symbols, strict=True)) == [mark[:2] for mark in expected]


@pytest.mark.parametrize(("content", "message"), [(b"\x01", "odd"), (b"\x05\x04", "truncated"), (b"", "truncated")])
def test_a_file_that_is_no_annotation_is_an_error(tmp_path, content, message):
    (tmp_path / "rec.atr").write_bytes(content)
    with pytest.raises(RecordingFileError, match=message):
        read_annotation(tmp_path / "rec", "atr")


def test_a_missing_annotation_is_an_error(tmp_path):
    with pytest.raises(RecordingFileError, match=r"rec\.atr does not exist"):
        read_annotation(tmp_path / "rec", "atr")


def read_marks(folder, *marks):
    (folder / "rec.ii").write_bytes(encode_annotation([(*mark, 0) for mark in marks]))
    spans = read_bracket_annotation(folder / "rec", "ii", fs=250.0, channels=("II",))
    return [
        (spans.classes[code], *points)
        for code, *points in zip(
            *(x.tolist() for x in (spans.label, spans.onset, spans.peak, spans.offset)), strict=True
        )
    ]


def test_brackets_become_waves(tmp_path):
    marks = [(10, "("), (15, "p"), (20, ")"), (30, "("), (33, "N"), (36, ")"), (50, "("), (60, "t"), (70, ")")]
    assert read_marks(tmp_path, *marks) == [("P", 10, 15, 20), ("QRS", 30, 33, 36), ("T", 50, 60, 70)]


def test_a_bracket_that_is_left_out_is_minus_one(tmp_path):
    marks = [(15, "p"), (20, ")"), (30, "("), (33, "V"), (50, "("), (60, "t"), (80, "t"), (90, ")")]
    expected = [("P", -1, 15, 20), ("QRS", 30, 33, -1), ("T", 50, 60, -1), ("T", -1, 80, 90)]
    assert read_marks(tmp_path, *marks) == expected


def test_u_waves_and_their_brackets_are_skipped(tmp_path):
    marks = [(60, "t"), (70, "("), (75, "u"), (80, ")"), (85, "u"), (90, "p"), (95, ")")]
    assert read_marks(tmp_path, *marks) == [("T", -1, 60, -1), ("P", -1, 90, 95)]


def test_marks_of_other_kinds_do_not_part_a_bracket_from_its_peak(tmp_path):
    marks = [(10, "("), (11, "+"), (15, "p"), (16, "~"), (20, ")")]
    assert read_marks(tmp_path, *marks) == [("P", 10, 15, 20)]


def test_marks_can_hold_for_some_channels_only(tmp_path):
    (tmp_path / "rec.q1c").write_bytes(encode_annotation([(10, "N", 0)]))
    both = read_bracket_annotation(tmp_path / "rec", "q1c", fs=250.0, channels=("a", "b"))
    second = read_bracket_annotation(tmp_path / "rec", "q1c", fs=250.0, channels=("a", "b"), columns=[1])
    assert (both.channel.tolist(), second.channel.tolist()) == ([0, 1], [1])


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["P", "QRS", "T", "unusable"]), st.lists(st.integers(0, 3000), min_size=3, max_size=3)
        ),
        max_size=12,
    )
)
def test_waves_survive_the_way_through_a_file(tmp_path_factory, steps):
    rows, at = [], 0
    for label, (gap, rise, fall) in steps:
        onset, peak, offset = at + gap, at + gap + rise, at + gap + rise + fall
        rows.append((onset, -1 if label == "unusable" else peak, offset, label))
        at = offset
    folder = tmp_path_factory.mktemp("ann")
    (folder / "rec.ii").write_bytes(encode_brackets(spans_of(*rows)))
    spans = read_bracket_annotation(folder / "rec", "ii", fs=250.0, channels=("II",))
    waves = [row for row in rows if row[3] != "unusable"]
    read = zip(spans.onset.tolist(), spans.peak.tolist(), spans.offset.tolist(), spans.label.tolist(), strict=True)
    assert sorted((a, b, c, spans.classes[k]) for a, b, c, k in read) == sorted(waves)


def test_an_unusable_stretch_is_unreadable_noise_in_wfdb(tmp_path):
    (tmp_path / "rec.ii").write_bytes(encode_brackets(spans_of((100, -1, 5000, "unusable"))))
    assert wfdb_reference.rdann(tmp_path / "rec", "ii") == [(100, "~", -1), (5000, "~", 0)]


def test_overlapping_waves_cannot_be_brackets():
    with pytest.raises(AnnotationError, match=r"'T' at sample 15 begins before.*sample 20"):
        encode_brackets(spans_of((10, 12, 20, "QRS"), (15, 30, 40, "T")))


def test_a_wave_without_peak_cannot_be_brackets():
    with pytest.raises(AnnotationError, match="'P' at sample 10 cannot be written"):
        encode_brackets(spans_of((10, -1, 20, "P")))


def test_phases_of_breaths_are_notes_that_wfdb_reads(tmp_path):
    classes = ("inspiration", "expiration", "pause", "unusable")
    rows = [(10, 30, 30, 0), (30, -1, 70, 1), (70, -1, 2500, 2), (2500, 2600, 2600, 0), (2600, -1, 2700, 3)]
    table = [(*row, 0, np.nan) for row in rows]
    spans = Spans.from_rows(table, fs=25.0, channels=("belt",), classes=classes)
    (tmp_path / "rec.belt").write_bytes(encode_brackets(spans))
    marks = wfdb_reference.rdann(tmp_path / "rec", "belt")
    notes = wfdb_reference.notes(tmp_path / "rec", "belt")
    assert [(*mark[:2], note) for mark, note in zip(marks, notes, strict=True)] == [
        (10, "+", "(inspiration"), (30, "+", "(expiration"), (70, "+", "(pause"), (2500, "+", "(inspiration"),
        (2600, "+", "(end"), (2600, "~", ""), (2700, "~", ""),
    ]  # fmt: skip
    samples, symbols = read_annotation(tmp_path / "rec", "belt")
    assert list(zip(samples.tolist(), symbols, strict=True)) == [mark[:2] for mark in marks]
