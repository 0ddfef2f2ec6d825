"""The report is one safe file that tells what was found."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from mhealth.core import Recording, Spans
from mhealth.errors import InvalidParameterError
from mhealth.intervals import ecg_intervals
from mhealth.report import html_report

FS = 100.0


class Balance(HTMLParser):
    """Checks that every tag is closed, and keeps what tags say."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def parsed(path):
    page = Balance()
    page.feed(path.read_text(encoding="utf-8"))
    assert page.open == []
    return page


class OnDisk:
    """A long recording that counts what is read of it."""

    name, fs, channels = "night", FS, ("II",)
    duration = 24 * 3600.0
    read = 0

    def slice(self, start, stop):
        self.read += stop - start
        return Recording(signals=np.zeros((stop - start, 1)), fs=FS, channels=("II",))


@pytest.fixture
def case(rng):
    recording = Recording(
        signals=rng.normal(size=(1500, 1)), fs=FS, channels=("<II>",), name="<script>alert(1)</script>"
    )
    rows = [(80 * k, 80 * k + 4, 80 * k + 8, 0, 0, 0.9) for k in range(1, 15)] + [(1250, -1, 1400, 1, 0, np.nan)]
    return recording, Spans.from_rows(rows, fs=FS, channels=("<II>",), classes=("QRS", "unusable"))


def test_the_report_tells_counts_intervals_and_unusable_stretches(case, tmp_path):
    recording, spans = case
    path = tmp_path / "report.html"
    html_report(recording, spans, ecg_intervals(spans), path, model="ecg")
    text = " ".join(parsed(path).text)
    assert "not a medical device" in text
    assert "Labelled by model ecg" in text
    assert re.search(r"Heart rate\s+75\s+1/min", text)
    assert re.search(r"<II>\s+14\s+10\.0 %", text)
    assert "0:12.5" in text
    assert "0:14.0" in text


def test_a_beat_without_p_wave_has_no_pr_in_the_report(case, tmp_path):
    recording, spans = case
    html_report(recording, spans, ecg_intervals(spans), tmp_path / "r.html")
    assert re.search(r"PR\s+–\s+ms", " ".join(parsed(tmp_path / "r.html").text))


def test_text_is_escaped_and_nothing_is_loaded_from_elsewhere(case, tmp_path):
    recording, spans = case
    html_report(recording, spans, ecg_intervals(spans), tmp_path / "r.html", model='"><i>')
    page = parsed(tmp_path / "r.html")
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe"}
    assert any('"><i>' in text for text in page.text)
    assert all(attrs["src"].startswith("data:image/png;base64,") for tag, attrs in page.tags if tag == "img")
    assert "http" not in (tmp_path / "r.html").read_text()


def test_a_day_is_not_read_to_report_it(tmp_path):
    recording = OnDisk()
    spans = Spans.from_rows(
        [(80 * k, 80 * k + 4, 80 * k + 8, 0, 0, 0.9) for k in range(1, 20_000)]
        + [(5000 * k, -1, 5000 * k + 100, 1, 0, np.nan) for k in range(1, 200)],
        fs=FS,
        channels=("II",),
        classes=("QRS", "unusable"),
    )
    html_report(recording, spans, ecg_intervals(spans), tmp_path / "r.html")
    assert 0 < recording.read <= 4 * 10 * FS
    assert (tmp_path / "r.html").stat().st_size < 2_000_000
    assert "and 169 more" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_no_waves_at_all_are_reported_as_such(tmp_path):
    recording = Recording(signals=np.zeros((300, 1)), fs=FS, channels=("II",))
    none = Spans.empty(fs=FS, channels=("II",), classes=("P", "QRS", "T", "unusable"))
    html_report(recording, none, ecg_intervals(none), tmp_path / "r.html")
    text = " ".join(parsed(tmp_path / "r.html").text)
    assert "No heartbeat was found." in text
    assert "None: the whole recording could be used." in text


def test_an_empty_range_is_refused(case, tmp_path):
    recording, spans = case
    with pytest.raises(InvalidParameterError, match="start=5"):
        html_report(recording, spans, ecg_intervals(spans), tmp_path / "r.html", start=5, stop=5)
    assert not (tmp_path / "r.html").exists()
