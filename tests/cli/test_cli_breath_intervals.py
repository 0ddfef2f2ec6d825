"""`mhealth intervals` on labels of breaths, alone and beside waves."""

import io

import numpy as np
import pandas as pd
import pytest

from mhealth.core import Spans
from mhealth.intervals import breath_intervals
from mhealth.io import write_spans

FS = 10.0
CLASSES = ("inspiration", "expiration", "QRS")
PHASES = [row for t in range(0, 1200, 40) for row in ((t, t + 15, t + 15, 0, 0, 0.9), (t + 15, -1, t + 40, 1, 0, 0.9))]
BEATS = [(t - 1, t, t + 1, 2, 1, 0.9) for t in range(8, 1200, 8)]


@pytest.fixture
def write(tmp_path):
    """Return a function that writes labels and returns their path."""

    def write(rows, name="labels.csv"):
        write_spans(Spans.from_rows(rows, fs=FS, channels=("RESP", "II"), classes=CLASSES), tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture
def record(tmp_path):
    """The belt that was labelled, in a file with other channels: 2 ohm up in 1.5 s, down in 2.5 s."""
    seconds = np.arange(1201) / FS
    belt = np.interp(seconds % 4, [0, 1.5, 4], [0, 2, 0])
    table = pd.DataFrame({"time": seconds, "II [mV]": 0 * seconds, "RESP [ohm]": belt})
    table.to_csv(tmp_path / "night.csv", index=False)
    return tmp_path / "night.csv"


def summarised(output, channel):
    lines = (line.split() for line in output.splitlines())
    return {cells[1]: cells[2:] for cells in lines if cells and cells[0] == channel}


def read(text):
    return pd.read_csv(io.StringIO(text))


def test_breaths_are_summarised_from_their_labels(mhealth, write):
    result = mhealth("intervals", write(PHASES))
    assert result.exit_code == 0, result.output
    found = summarised(result.stdout, "RESP")
    assert found["breath_rate_bpm"][:2] == ["30", "15.00"]
    assert found["ie_ratio"][:2] == ["30", "0.60"]
    assert found["stretch"] == ["0", "–", "–", "–", "–"]
    assert "30 breaths, 0 pauses" in result.stdout
    assert "qt_ms" not in result.stdout


def test_the_signal_adds_what_depends_on_the_size_of_a_breath(mhealth, write, record):
    labels = write(PHASES)
    found = summarised(mhealth("intervals", labels, "--signal", record).stdout, "RESP")
    assert found["stretch"][:2] == ["30", "2.00"]
    assert found["expiratory_velocity"][:2] == ["30", "0.80"]
    breaths = read(mhealth("intervals", labels, "--signal", record, "--breaths").stdout)
    assert set(breaths["unit"]) == {"ohm"}
    np.testing.assert_allclose(breaths["minute_ventilation"], 30, rtol=1e-5)


def test_every_breath_is_printed_or_written_as_the_library_has_it(mhealth, write, tmp_path):
    labels = write(PHASES)
    printed = mhealth("intervals", labels, "--breaths").stdout
    assert mhealth("intervals", labels, "--out", tmp_path / "breaths.csv", "--quiet").exit_code == 0
    assert (tmp_path / "breaths.csv").read_text() == printed
    spans = Spans.from_rows(PHASES, fs=FS, channels=("RESP",), classes=CLASSES)
    expected = breath_intervals(spans).to_frame()
    assert list(read(printed)) == list(expected)
    np.testing.assert_allclose(read(printed)["cycle_s_minus_before"], expected["cycle_s_minus_before"])


def test_minutes_are_printed(mhealth, write):
    minutes = read(mhealth("intervals", write(PHASES), "--minutes").stdout)
    assert minutes["minute"].tolist() == [0, 1]
    np.testing.assert_allclose(minutes["rate_bpm"], 15)


def test_waves_beside_breaths_give_both_summaries_and_sinus_arrhythmia(mhealth, write):
    result = mhealth("intervals", write([*PHASES, *BEATS]))
    assert result.exit_code == 0, result.output
    heart, lungs = summarised(result.stdout, "II"), summarised(result.stdout, "RESP")
    assert heart["heart_rate_bpm"][1] == "75.00"
    assert lungs["breath_rate_bpm"][1] == "15.00"
    assert lungs["rsa_ms"][:2] == ["29", "0.00"]  # the first breath holds the first beat
    assert "heart_rate_bpm" not in lungs
    assert "cycle_s" not in heart


def test_where_labels_hold_both_the_table_must_be_named(mhealth, write, tmp_path):
    labels = write([*PHASES, *BEATS])
    for option in ("--out", "--plot"):
        result = mhealth("intervals", labels, option, tmp_path / "x")
        assert result.exit_code == 1
        assert "--beats, --breaths, --minutes" in result.stderr
    assert len(read(mhealth("intervals", labels, "--beats").stdout)) == len(BEATS)
    result = mhealth("intervals", labels, "--minutes", "--out", tmp_path / "minutes.csv")
    assert "2 minutes" in result.stderr
    assert len(pd.read_csv(tmp_path / "minutes.csv")) == 2
    assert "one of these" in mhealth("intervals", labels, "--beats", "--minutes").stderr


@pytest.mark.parametrize(("rows", "option"), [(PHASES, "--beats"), (BEATS, "--breaths"), (BEATS, "--minutes")])
def test_what_the_labels_cannot_give_is_refused(mhealth, write, rows, option):
    result = mhealth("intervals", write(rows), option)
    assert result.exit_code == 1
    assert f"no {option}" in result.stderr


def test_a_signal_is_refused_where_it_is_of_no_use_or_not_the_one(mhealth, write, record, tmp_path):
    assert "of use for breaths only" in mhealth("intervals", write(BEATS), "--signal", record).stderr
    text = record.read_text().replace("RESP", "ABD")
    (tmp_path / "other.csv").write_text(text)
    assert "no channel 'RESP'" in mhealth("intervals", write(PHASES), "--signal", tmp_path / "other.csv").stderr
    result = mhealth("intervals", write(PHASES), "--signal", record, "--out", record)
    assert "choose another --out" in result.stderr
    assert record.read_text().startswith("time,II [mV]")


def test_breaths_are_plotted(mhealth, write, record, tmp_path):
    result = mhealth("intervals", write(PHASES), "--signal", record, "--plot", tmp_path / "trend.png")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "trend.png").read_bytes().startswith(b"\x89PNG")


def test_the_help_shows_how_to_measure_breaths(mhealth):
    examples = mhealth("intervals", "--help").stdout.split("Examples")[1]
    assert "--signal" in examples
    assert "breathing by the minute" in examples
