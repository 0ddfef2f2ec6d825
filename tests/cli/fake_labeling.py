"""Labelers for tests of the command line alone: a QRS, or an inspiration, wherever a channel rises through 0.5.

It takes the place of `mhealth.labeling`, whose accuracy other tests judge: here files, options and errors matter.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mhealth.core import Spans
from mhealth.errors import ModelFileError

CLASSES = ("P", "QRS", "T", "unusable")
BREATH_CLASSES = ("inspiration", "expiration", "pause", "unusable")


def is_ecg_channel(name, unit):
    return name.upper().startswith(("II", "V", "ECG"))


def is_respiration_channel(name, unit):
    return name.upper().startswith(("RESP", "ABD"))


class Stream:
    classes, label = CLASSES, 1

    def __init__(self, fs, channels):
        self.fs, self.channels = fs, channels
        self.position = 0
        self.last = np.full(len(channels), np.inf)

    def push(self, chunk, *, start=None):
        before = np.vstack([self.last, chunk[:-1]])
        rows = [
            (self.position + int(s), self.position + int(s) + 2, self.position + int(s) + 4, self.label, int(c), 0.75)
            for s, c in zip(*np.nonzero((before < 0.5) & (chunk >= 0.5)), strict=True)
        ]
        self.position += len(chunk)
        self.last = chunk[-1]
        return Spans.from_rows(rows, fs=self.fs, channels=self.channels, classes=self.classes)

    def flush(self):
        return Spans.empty(fs=self.fs, channels=self.channels, classes=self.classes)


class BreathStream(Stream):
    """All channels rise with inspiration, of which the labeler is fairly sure, unless it is told otherwise."""

    classes, label = BREATH_CLASSES, 0

    def __init__(self, fs, channels, polarity):
        super().__init__(fs, channels)
        sign, certainty = {"auto": (1, 0.75), "up": (1, 1.0), "down": (-1, 1.0)}[polarity]
        self.polarity = dict.fromkeys(channels, (sign, certainty))


class Labeler:
    fitted_on = None

    def set_params(self, **params):
        for name, value in params.items():
            assert hasattr(self, name)
            setattr(self, name, value)
        return self

    def fit(self, recordings, annotations, groups=None, progress=lambda stage, done, total: None):
        assert len(recordings) == len(annotations) == len(groups)
        progress("learning", 0, 1)
        self.fitted_on = sorted(set(groups))
        progress("learning", 1, 1)
        return self

    def label(self, recording):
        stream = self.open_recorded(fs=recording.fs, channels=recording.channels)
        return Spans.concat([stream.push(recording.signals), stream.flush()])

    def save(self, path, training=()):
        Path(path).write_text(json.dumps({"fitted_on": self.fitted_on, "training": list(training)}))


@dataclass(frozen=True)
class NetworkEmission:
    architecture: str
    checkpoint: Path | None = None
    log_dir: Path | None = None
    network: Path | None = None
    keep: Path | None = None
    precision: str = "float32"
    wearing: str = "usual"


class EcgLabeler(Labeler):
    def __init__(self, leads="fused", lag=1.5, emission=None, budget=None, noise=None, random_state=None):
        self.leads, self.lag, self.noise, self.random_state = leads, lag, noise, random_state
        self.emission, self.budget = emission, budget

    def save(self, path, training=()):
        if self.emission is None:
            return super().save(path, training)
        return Path(path).write_text(str(self.emission))

    def open_recorded(self, *, fs, channels):
        return Stream(fs, tuple(channels))


class BreathLabeler(Labeler):
    def __init__(self, polarity="auto", lag=3.0, budget=None, random_state=None):
        self.polarity, self.lag, self.budget, self.random_state = polarity, lag, budget, random_state

    def open_recorded(self, *, fs, channels):
        return BreathStream(fs, tuple(channels), self.polarity)


def load(name):
    known = {"ecg": EcgLabeler, "respiration": BreathLabeler}
    if name not in known:
        raise ModelFileError(f"{name} is no model.")
    return known[name]()


@dataclass(frozen=True)
class Manifest:
    name: str
    training: list
    scores: dict


def pretrained_models():
    return [Manifest("ecg", [f"record{k}" for k in range(20)], {"ludb": {"macro": 97.5}})]


def begin_worker(stop):
    """Take the place of `mhealth.labeling` in a worker process too."""
    import sys

    from mhealth.cli import _label

    sys.modules["mhealth.labeling"] = sys.modules[__name__]
    _label._begin_worker(stop)
