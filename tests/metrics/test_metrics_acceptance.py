"""Our figures are those of the project's acceptance scorer, where that file lies beside the real recordings."""

import importlib.util
import os
import warnings
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from data_loaders.ludb import Ludb
from data_loaders.mitdb import Mitdb
from data_loaders.qtdb import Qtdb
from mhealth.core import Spans
from mhealth.metrics import score_best_channel, score_delineation, score_qrs

DATA = Path(os.environ.get("MHEALTH_DATA") or Path(__file__).parents[3] / "shared" / "data")
SCORER = DATA.parent / "acceptance" / "score.py"


def distorted(marks, n_samples, rng):
    """Predictions with every kind of error: moved, lost, doubled and invented waves, and lost points."""
    kept = marks.select(rng.random(len(marks)) < 0.9)
    doubled = kept.select(rng.random(len(kept)) < 0.1)
    waves = Spans.concat([kept, doubled])
    columns = {}
    for point in ("onset", "peak", "offset"):
        position = getattr(waves, point).copy()
        spread = rng.choice([0.005, 0.03, 0.1], size=len(waves)) * waves.fs
        moved = np.maximum(position + np.rint(rng.normal(0, spread)).astype(int), 0)
        columns[point] = np.where((position < 0) | (rng.random(len(waves)) < 0.02), -1, moved)
    lost = np.all([column < 0 for column in columns.values()], axis=0)
    rows = list(zip(*(c[~lost] for c in columns.values()), waves.label[~lost], waves.channel[~lost], strict=True))
    for _ in range(max(3, len(waves) // 10)):
        peak = int(rng.integers(50, n_samples - 50))
        label, channel = int(rng.integers(len(marks.classes))), int(rng.integers(len(marks.channels)))
        rows.append((peak - 20, peak, peak + 25, label, channel))
    rows = [(*row, np.nan) for row in rows]
    return Spans.from_rows(rows, fs=marks.fs, channels=marks.channels, classes=marks.classes)


@pytest.mark.realdata
class TestAcceptanceScorer:
    __test__ = SCORER.is_file()

    @pytest.fixture
    def judged(self, data_dir, tmp_path, rng):
        """Return cases and subjects of a data set with distorted predictions, and the scorer's figures for them."""

        def judge(dataset, names):
            cases, subjects = [], []
            for name in names:
                recording, annotation, subject = dataset.load(name)
                prediction = distorted(annotation.spans, recording.n_samples, rng)
                prediction.to_frame().to_csv(tmp_path / f"{name}.csv", index=False)
                cases.append((annotation, prediction))
                subjects.append(subject)
            records = tmp_path / "records.txt"
            records.write_text("\n".join(names))
            specification = importlib.util.spec_from_file_location("acceptance_score", SCORER)
            scorer = importlib.util.module_from_spec(specification)
            specification.loader.exec_module(scorer)
            figures = {}
            arguments = Namespace(data=dataset.folder, predictions=tmp_path, channels=None, records=records)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # wfdb's use of pandas
                getattr(scorer, dataset.database)(arguments, figures)
            assert len(figures) >= 3
            return cases, subjects, figures

        return judge

    def test_ludb_figures_are_the_scorers(self, judged, data_dir):
        dataset = Ludb(data_dir / "ludb")
        fibrillation = [n for n in dataset.records if dataset.stratum(n).startswith("atrial fibrillation")]
        names = sorted({*dataset.records[::10], *fibrillation[:6]})
        cases, subjects, figures = judged(dataset, names)
        leads = score_delineation(cases, subjects=subjects)
        lead_two = score_delineation(cases, subjects=subjects, channels=["II"]).summary("lead II")
        assert leads.summary("all leads") | {k: v for k, v in lead_two.items() if "lead II" in k} == figures
        assert 0 < figures["false_p_per_beat"] < 2
        assert figures["all leads.tight.macro"] < figures["all leads.150ms.macro"] < 95

    def test_qtdb_figures_are_the_scorers(self, judged, data_dir):
        dataset = Qtdb(data_dir / "qtdb")
        cases, subjects, figures = judged(dataset, dataset.records[::8])
        first = score_delineation(cases, subjects=subjects, channels=[0]).summary("ch0")
        first.pop("false_p_per_beat", None)  # the scorer gives it for LUDB only
        assert first | score_best_channel(cases, subjects=subjects).summary("best") == figures

    def test_mitdb_figures_are_the_scorers(self, judged, data_dir):
        dataset = Mitdb(data_dir / "mitdb")
        with_flutter = [name for name in dataset.records if dataset.flutter(name)]
        names = sorted({*dataset.records[::8], *with_flutter})
        cases, subjects, figures = judged(dataset, names)
        excluded = [dataset.flutter(name) for name in names]
        assert score_qrs(cases, excluded=excluded, subjects=subjects).summary() == {
            key: value for key, value in figures.items() if key.startswith("qrs.")
        }
