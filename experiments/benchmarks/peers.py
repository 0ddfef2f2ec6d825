"""Other delineators on the same signal, each with the cleaning and the beats that it asks for."""

from __future__ import annotations

import importlib
import time
import warnings
from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks import _signals
from experiments.benchmarks._signals import in_records, real_ecg

__all__ = ["PEERS", "Delineate"]

Delineator = Callable[[NDArray[np.float64]], object]

FS = int(_signals.FS)  # NeuroKit2 wants an integer


def neurokit(method: str) -> Delineator:
    """Return NeuroKit2's default cleaning, default beats, and a delineator by name."""
    import neurokit2

    def delineate(lead: NDArray[np.float64]) -> object:
        cleaned = neurokit2.ecg_clean(lead, sampling_rate=FS)
        _, beats = neurokit2.ecg_peaks(cleaned, sampling_rate=FS)
        return neurokit2.ecg_delineate(cleaned, beats["ECG_R_Peaks"], sampling_rate=FS, method=method)

    return delineate


def prominence_delineator() -> Delineator:
    """Return prominence-delineator as its README uses it: beats by FastNVG on the raw signal, then cleaning."""
    importlib.import_module("vg_beat_detectors")  # find_rpeaks imports it only when it is called
    delineator = _prominence_delineator()

    def delineate(lead: NDArray[np.float64]) -> object:
        return delineator.find_waves(delineator.clean_ecg(lead), rpeaks=delineator.find_rpeaks(lead))

    return delineate


def prominence_delineator_on_sleepecg() -> Delineator:
    """Return prominence-delineator with the fastest beats that we know of instead."""
    import sleepecg

    delineator = _prominence_delineator()

    def delineate(lead: NDArray[np.float64]) -> object:
        return delineator.find_waves(delineator.clean_ecg(lead), rpeaks=sleepecg.detect_heartbeats(lead, fs=FS))

    return delineate


def _prominence_delineator():
    from prominence_delineator import ProminenceDelineator

    importlib.import_module("neurokit2")  # which cleans for it, imported only when called
    return ProminenceDelineator(sampling_frequency=FS)


PEERS: dict[str, Callable[[], Delineator]] = {
    "NeuroKit2 dwt": lambda: neurokit("dwt"),
    "NeuroKit2 prominence": lambda: neurokit("prominence"),
    "prominence-delineator": prominence_delineator,
    "prominence-delineator, beats by sleepecg": prominence_delineator_on_sleepecg,
}
"""What makes each delineator of one lead; imports its packages."""


class Delineate:
    """One lead."""

    params = (tuple(PEERS), ("long", "records"))
    param_names = ("peer", "signal")
    timer = time.process_time
    minutes = 10.0

    def setup(self, peer: str, signal: str) -> None:
        """Read the signal, import the packages and run once.

        Raises
        ------
        NotImplementedError
            If a package is missing; asv skips such a benchmark.
        """
        recording = real_ecg(("ii",), minutes=self.minutes)
        pieces = [recording] if signal == "long" else in_records(recording)
        self.leads = [piece.signals[:, 0].astype(np.float64) for piece in pieces]
        self.lead_hours = sum(piece.duration for piece in pieces) / 3600
        try:
            self.delineator = PEERS[peer]()
        except ImportError as error:
            raise NotImplementedError(f"{error.name} is missing; `make bench` installs it.") from error
        self.failures: Counter[str] = Counter()
        self._try(self.leads[0][: 10 * FS])

    def time_delineate(self, peer: str, signal: str) -> None:
        """Delineate everything; what raises is counted in `failures`.

        Raises
        ------
        RuntimeError
            If every piece fails.
        """
        self.failures = Counter()
        for lead in self.leads:
            self._try(lead)
        if self.failures.total() == len(self.leads):
            raise RuntimeError(f"all {len(self.leads)} fail: {', '.join(self.failures)}")

    def _try(self, lead: NDArray[np.float64]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                self.delineator(lead)
            except Exception as error:  # peers raise what they come across
                self.failures[type(error).__name__] += 1
