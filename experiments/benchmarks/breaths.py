"""What labeling breaths costs, and what NeuroKit2 takes to find them."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks._measure import state_size
from experiments.benchmarks._signals import BREATH_FS, real_respiration
from mhealth.labeling import load

__all__ = ["PEERS", "LabelBreaths", "PeerBreaths", "StreamBreaths"]

Finder = Callable[[NDArray[np.float64]], object]


class LabelBreaths:
    """`BreathLabeler.label` with samples in memory, the model loaded, kernels compiled, probabilities included."""

    timer = time.process_time
    minutes = 60.0
    model = "respiration"

    def setup(self) -> None:
        """Read the signal, load the model and compile."""
        self.recording = real_respiration(minutes=self.minutes)
        self.hours = self.recording.duration / 3600
        self.labeler = load(self.model)
        self.labeler.label(self.recording.slice(0, int(60 * BREATH_FS)))

    def time_label(self) -> None:
        """Label everything."""
        self.labeler.label(self.recording)


class StreamBreaths:
    """What a stream keeps of one channel, second by second."""

    minutes = 8.0
    model = "respiration"
    unit = "bytes"

    def setup(self) -> None:
        """Read the signal."""
        self.signal = real_respiration(minutes=self.minutes).signals
        self.stream = load(self.model).open(fs=BREATH_FS, channels=["RESP"])

    def track_peak_state(self) -> int:
        """Largest size of the pickled stream after any second, without the model that all channels share."""
        seconds = np.split(self.signal, range(int(BREATH_FS), len(self.signal), int(BREATH_FS)))
        sizes = []
        for second in seconds:
            self.stream.push(second)
            sizes.append(state_size(self.stream))
        return max(sizes)


def rsp_process() -> Finder:
    """Return NeuroKit2's one call with its defaults: cleaning, peaks, rate, phase, symmetry, volume per time."""
    import neurokit2

    return lambda signal: neurokit2.rsp_process(signal, sampling_rate=int(BREATH_FS))


def biosppy() -> Finder:
    """Return NeuroKit2's best finder of breaths on BIDMC, cleaning and peaks alone."""
    import neurokit2

    def find(signal: NDArray[np.float64]) -> object:
        cleaned = neurokit2.rsp_clean(signal, sampling_rate=int(BREATH_FS), method="biosppy")
        return neurokit2.rsp_findpeaks(cleaned, sampling_rate=int(BREATH_FS), method="biosppy")

    return find


PEERS: dict[str, Callable[[], Finder]] = {
    "NeuroKit2 rsp_process": rsp_process,
    "NeuroKit2 rsp_clean and rsp_findpeaks, biosppy": biosppy,
}
"""What makes each finder of breaths; imports its packages."""


class PeerBreaths:
    """The same signal."""

    params = (tuple(PEERS),)
    param_names = ("peer",)
    timer = time.process_time
    minutes = 60.0

    def setup(self, peer: str) -> None:
        """Read the signal, import the packages and run once.

        Raises
        ------
        NotImplementedError
            If a package is missing; asv skips such a benchmark.
        """
        self.signal = real_respiration(minutes=self.minutes).signals[:, 0].astype(np.float64)
        try:
            self.find = PEERS[peer]()
        except ImportError as error:
            raise NotImplementedError(f"{error.name} is missing; `make bench` installs it.") from error
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.find(self.signal[: int(60 * BREATH_FS)])

    def time_find(self, peer: str) -> None:
        """Find the breaths."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.find(self.signal)
