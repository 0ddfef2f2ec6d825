"""Our figures of breaths are those of the project's acceptance scorer, where it lies beside the real recordings."""

import importlib.util
import os
import warnings
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from data_loaders import Bidmc
from mhealth.core import Spans
from mhealth.metrics import score_breaths, score_second_annotator

DATA = Path(os.environ.get("MHEALTH_DATA") or Path(__file__).parents[3] / "shared" / "data")
SCORER = DATA.parent / "acceptance" / "score.py"

PEOPLE = {"f1_0.5s": 97.277, "f1_1s": 99.015, "count_error_pct": 1.911}
"""How far the second annotator agrees with the first on the 40 recordings at hand (all 53: .973, .990, 1.9 %)."""


def distorted(annotation, n_samples, rng):
    """Breaths with every kind of error: moved, lost, doubled, invented, in other channels and out of range."""
    marks = annotation.spans
    ends = marks.offset[rng.random(len(marks)) < 0.9]
    ends = np.concatenate([ends, ends[rng.random(len(ends)) < 0.1]])
    ends = ends + np.rint(rng.normal(20, rng.choice([10, 60, 150], size=len(ends)))).astype(int)
    ends = np.concatenate([ends, rng.integers(0, n_samples, size=10), [0, 5, n_samples - 1]]).clip(0, n_samples - 1)
    resp = marks.channels.index("RESP")
    rows = [(max(end - 100, 0), end, end, 0, resp, 0.5) for end in ends]
    rows += [(end, -1, end + 150, 1, resp, 0.5) for end in ends]
    rows += [(end, end, end + 50, 0, 1 - min(resp, 1), 0.5) for end in ends[::3]]
    return Spans.from_rows(rows, fs=marks.fs, channels=marks.channels, classes=("inspiration", "expiration"))


def printed(who, scores):
    """Return the lines in which the scorer prints these scores."""
    return [
        f"{who:18s} {row.tolerance_s} s: Se {row.sensitivity:.2f} PPV {row.ppv:.2f} F1 {row.f1:.2f} "
        f"error {row.mean_ms:+.0f} ±{row.sd_ms:.0f} ms"
        for row in scores.to_frame().itertuples()
    ]


@pytest.mark.realdata
class TestAcceptanceScorer:
    __test__ = SCORER.is_file()

    def test_bidmc_figures_are_the_scorers(self, data_dir, tmp_path, rng, capsys):
        first, second = (Bidmc(data_dir / "bidmc", annotator) for annotator in (1, 2))
        cases, pairs, subjects = [], [], []
        for recording, annotation, subject in first:
            prediction = distorted(annotation, recording.n_samples, rng)
            prediction.to_frame().to_csv(tmp_path / f"{recording.name}.csv", index=False)
            cases.append((annotation, prediction))
            pairs.append((annotation, second.annotation(recording.name, recording)))
            subjects.append(subject)
        found, people = score_breaths(cases, subjects=subjects), score_second_annotator(pairs, subjects=subjects)

        specification = importlib.util.spec_from_file_location("acceptance_score", SCORER)
        scorer = importlib.util.module_from_spec(specification)
        figures = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # wfdb's use of pandas
            specification.loader.exec_module(scorer)
            scorer.bidmc(Namespace(data=data_dir / "bidmc", predictions=tmp_path, records=None), figures)
        ours = found.summary() | people.summary("human_")
        assert figures == {name: ours[name] for name in figures}
        assert set(ours) - set(figures) == {"human_f1_1s"}  # which the scorer only prints
        lines = capsys.readouterr().out.splitlines()
        assert lines[:4] == printed("found", found) + printed("second annotator", people)
        assert 50 < figures["f1_0.5s"] < figures["f1_1s"] < 95  # the distortion shows
        assert figures["count_error_pct"] > 1
        if len(first.records) == 40:
            assert people.summary() == PEOPLE
