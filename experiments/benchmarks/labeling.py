"""What labeling costs: whole, stage by stage, and through the command line."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks._measure import child_peak_memory, state_size
from experiments.benchmarks._signals import FS, LEADS, in_records, real_ecg
from mhealth.core import Recording
from mhealth.crf import Potentials, SpanDecoder
from mhealth.dsp import Resampler
from mhealth.labeling import load
from mhealth.labeling._ecg_task import ECG
from mhealth.labeling._features import Features, FeatureStream, RawFeatures, code

__all__ = ["CommandLine", "Label", "Stages", "Stream", "blocks_of", "raw_features"]

BLOCK = 60.0
"""Seconds that `EcgLabeler.label` takes at a time."""


class Label:
    """`EcgLabeler.label` with samples in memory, the model loaded, kernels compiled, probabilities included."""

    params = (("one lead", "12 leads fused"), ("long", "records"))
    param_names = ("leads", "signal")
    timer = time.process_time
    minutes = 10.0
    model = "ecg"

    def setup(self, leads: str, signal: str) -> None:
        """Read the signal, load the model and compile."""
        names = ("ii",) if leads == "one lead" else LEADS
        recording = real_ecg(names, minutes=self.minutes)
        self.recordings = [recording] if signal == "long" else in_records(recording)
        self.lead_hours = sum(r.duration for r in self.recordings) / 3600 * len(names)
        self.labeler = load(self.model)
        self.labeler.set_params(leads="independent" if leads == "one lead" else "fused")
        self.labeler.label(recording.slice(0, int(10 * FS)))

    def time_label(self, leads: str, signal: str) -> None:
        """Label everything."""
        for recording in self.recordings:
            self.labeler.label(recording)


class Stages:
    """One lead, each stage on its own, fed in blocks with what the stage before made of the signal."""

    timer = time.process_time
    minutes = 10.0
    model = "ecg"

    def setup(self) -> None:
        """Run all stages once, which compiles them, and keep what passes between them."""
        recording = real_ecg(("ii",), minutes=self.minutes)
        self.lead_hours = recording.duration / 3600
        self.end = recording.duration
        labeler = load(self.model)
        self.parts = labeler.model_
        self.decoder = SpanDecoder(grammar=self.parts.task.grammar, weights=self.parts.weights, lag=labeler.lag)
        self.samples = blocks_of(recording)
        self.resampled = self.time_resample()
        self.time_quality()
        self.candidates = self.time_segment()
        self.raw = self.time_features()
        self.features = self.time_codes()
        self.nodes = self._nodes(self.time_emission())
        self.time_decoder()

    def time_resample(self) -> list[NDArray[np.float32]]:
        """To the internal rate."""
        stream = Resampler(rate=ECG.front_end.rate).open(fs=FS)
        return [*(stream.push(block) for block in self.samples), stream.flush()]

    def time_quality(self) -> None:
        """Find what cannot be used."""
        stream = self.parts.task.front_end.quality.open(fs=FS)
        for block in self.samples:
            stream.push(block)
        stream.flush()

    def time_segment(self) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Propose candidates."""
        stream = self.parts.task.front_end.segmenter.open_lead()
        found = [*(stream.push(block) for block in self.resampled), stream.flush()]
        return [(part.position, part.running_scale) for part in found]

    def time_features(self) -> list[RawFeatures]:
        """Cut windows, follow the beats, average them."""
        stream = FeatureStream(self.parts.task.front_end.features)
        raw = []
        for block, (positions, scale) in zip(self.resampled, self.candidates, strict=False):
            stream.push(block)
            raw.append(stream.describe(positions, scale))
        return [*raw, stream.flush(*self.candidates[-1])]

    def time_codes(self) -> list[Features]:
        """Code the windows by batch-OMP."""
        return [code(raw, self.parts.dictionaries, self.parts.n_nonzero) for raw in self.raw]

    def time_emission(self) -> list[NDArray[np.float32]]:
        """Turn codes into potentials."""
        return [self.parts.emission.outputs(features) for features in self.features]

    def time_decoder(self) -> None:
        """Decode spans with a fixed lag, marginals included."""
        stream = self.decoder.open()
        for times, potentials in self.nodes:
            stream.push(times, potentials)
        stream.close_stretch(self.end)

    def _nodes(self, outputs: list[NDArray[np.float32]]) -> list[tuple[NDArray[np.float64], Potentials]]:
        """Return nodes as the labeler hands them to the decoder: the start of the stretch, then the candidates."""
        n_states = self.parts.task.grammar.n_states
        nodes = [(np.zeros(1), Potentials.zeros(1, n_states, np.float32))]
        for features, rows in zip(self.features, outputs, strict=True):
            inside = features.positions > 0
            columns = np.split(rows[inside, : 4 * n_states], 4, axis=1)
            nodes.append((features.positions[inside] / ECG.front_end.rate, Potentials(*columns)))
        return nodes


class Stream:
    """What a stream keeps of one lead."""

    minutes = 1.0
    model = "ecg"
    unit = "bytes"

    def setup(self) -> None:
        """Read the signal, and run into it."""
        recording = real_ecg(("ii",), minutes=self.minutes)
        self.stream = load(self.model).open(fs=recording.fs, channels=recording.channels)
        for second in np.array_split(recording.signals, max(1, int(recording.duration))):
            self.stream.push(second)

    def track_state(self) -> int:
        """Size of the pickled stream, without the model that all leads share."""
        return state_size(self.stream)


class CommandLine:
    """`mhealth label` on a single-lead WFDB file at 500 Hz."""

    params = ((1.0, 24.0),)
    param_names = ("hours",)
    timeout = 3600
    minutes = 26.5  # all of LUDB's records that are at hand; the file repeats them
    model = "ecg"
    unit = "MB"

    def setup(self, hours: float) -> None:
        """Write the file."""
        self.folder = tempfile.TemporaryDirectory(prefix="mhealth-bench-")
        self.record = Path(self.folder.name) / "long"
        write_wfdb(real_ecg(("ii",), minutes=min(self.minutes, hours * 60)), self.record, hours=hours)

    def track_peak_memory(self, hours: float) -> float:
        """Largest resident memory of the process."""
        label = ("-c", "from mhealth.cli import main; main()", "label", str(self.record), "--quiet")
        out = self.record.with_suffix(".csv")
        peak = child_peak_memory([sys.executable, *label, "--model", self.model, "--out", str(out)])
        if not out.stat().st_size:
            raise RuntimeError(f"{out} is empty.")
        return peak

    def teardown(self, hours: float) -> None:
        """Remove the file."""
        self.folder.cleanup()


def blocks_of(recording: Recording) -> list[NDArray[np.float32]]:
    """Return the first lead in the blocks that `label` takes."""
    lead = np.ascontiguousarray(recording.signals[:, 0])
    return np.split(lead, range(int(BLOCK * FS), len(lead), int(BLOCK * FS)))


def raw_features(model: str, *, minutes: float) -> Sequence[RawFeatures]:
    """Return the windows of one lead, before coding."""
    stages = Stages()
    stages.minutes, stages.model = minutes, model
    stages.setup()
    return stages.raw


def write_wfdb(recording: Recording, path: Path, *, hours: float) -> None:
    """Write the first lead as a WFDB record of 16-bit samples in µV, repeated until it is `hours` long."""
    period = np.round(recording.signals[:, 0] * 1000).astype("<i2")
    samples = np.resize(period, round(hours * 3600 * recording.fs))
    samples.tofile(path.with_suffix(".dat"))
    checksum = int(samples.sum(dtype=np.int64) & 0xFFFF)
    signed = checksum - 0x10000 if checksum >= 0x8000 else checksum
    path.with_suffix(".hea").write_text(
        f"{path.name} 1 {recording.fs:g} {len(samples)}\n"
        f"{path.name}.dat 16 1000(0)/mV 16 0 {samples[0]} {signed} 0 II\n",
        encoding="ascii",
    )
