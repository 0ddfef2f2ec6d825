"""Delineators by rules, of other packages: their waves as spans, from whichever environment has the packages.

They pin other versions than ours, so `make bench` puts them into an environment of their own. Where this one lacks a
package, that one is asked: ``python -m experiments._peers PEER IN.npz OUT.npz``.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mhealth.core import ECG_WAVES, Recording, Spans
from mhealth.errors import MHealthError

__all__ = ["PEERS", "delineate", "interpreter"]

Waves = list[tuple[int, int, int, int]]
"""Onset, peak, offset, label (index into `ECG_WAVES`) of each wave of a lead."""

_ROOT = Path(__file__).parents[1]
_BENCH = _ROOT / ".venv" / "bench" / "bin" / "python"

_PACKAGES = {
    "neurokit2-dwt": ("neurokit2",),
    "neurokit2-prominence": ("neurokit2",),
    "prominence-delineator": ("prominence_delineator", "vg_beat_detectors", "neurokit2"),
}
"""What each imports."""

PEERS = tuple(_PACKAGES)


def interpreter(peer: str) -> str | None:
    """Return the Python that has what a peer needs: this one, that of `make bench`, or none."""
    if all(importlib.util.find_spec(package) for package in _PACKAGES[peer]):
        return sys.executable
    return str(_BENCH) if _BENCH.exists() else None


def delineate(
    peer: str, recordings: Sequence[Recording], progress: Callable[[str, int, int], None] = lambda what, done, n: None
) -> list[Spans]:
    """Return the waves that a peer finds in each lead of each recording, on its own.

    It gets what is missing interpolated, and cleans and finds beats by its own defaults. Where it raises, which some do
    on leads with few beats, it has found nothing. A wave counts if the peer gives onset, peak and offset, in order.

    Parameters
    ----------
    peer : str
        Of `PEERS`.
    recordings : sequence of Recording
    progress : callable
        Called as ``progress(what, done, total)``.

    Raises
    ------
    MHealthError
        If the peer's process fails; the message holds the end of what it printed.
    """
    python = interpreter(peer)
    assert python is not None, f"{peer} is not installed; ask `interpreter` first."
    leads = [_filled(lead) for recording in recordings for lead in recording.signals.T]
    rates = [recording.fs for recording in recordings for _ in recording.channels]
    progress(peer, 0, len(leads))
    found = _in_process(peer, leads, rates) if python == sys.executable else _elsewhere(python, peer, leads, rates)
    progress(peer, len(leads), len(leads))
    spans, first = [], 0
    for recording in recordings:
        n = len(recording.channels)
        rows = [(*wave, channel, np.nan) for channel, own in enumerate(found[first : first + n]) for wave in own]
        spans.append(Spans.from_rows(rows, fs=recording.fs, channels=recording.channels, classes=ECG_WAVES))
        first += n
    return spans


def _filled(lead: NDArray[np.float32]) -> NDArray[np.float64]:
    known = np.flatnonzero(np.isfinite(lead))
    return np.interp(np.arange(len(lead)), known, lead[known]) if len(known) else np.zeros(len(lead))


def _in_process(peer: str, leads: Sequence[NDArray[np.float64]], rates: Sequence[float]) -> list[Waves]:
    made: dict[float, Callable[[NDArray[np.float64]], Waves]] = {}
    found = []
    for lead, fs in zip(leads, rates, strict=True):
        made.setdefault(fs, _MAKERS[peer](round(fs)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found.append(made[fs](lead))
            except Exception:  # peers raise what they come across
                found.append([])
    return found


def _elsewhere(python: str, peer: str, leads: Sequence[NDArray[np.float64]], rates: Sequence[float]) -> list[Waves]:
    """Ask another interpreter; arrays travel as files."""
    with tempfile.TemporaryDirectory(prefix="mhealth-peer-") as folder:
        given, answer = Path(folder) / "in.npz", Path(folder) / "out.npz"
        np.savez(given, samples=np.concatenate(leads), lengths=[len(lead) for lead in leads], rates=rates)
        command = [python, "-m", "experiments._peers", peer, str(given), str(answer)]
        done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, env=os.environ, check=False)
        if done.returncode:
            raise MHealthError(f"{' '.join(command[:4])} failed: {done.stderr.strip()[-500:]}")
        with np.load(answer) as file:
            waves, counts = file["waves"], file["counts"]
    return [list(map(tuple, part.tolist())) for part in np.split(waves, np.cumsum(counts)[:-1])]


def _neurokit(fs: int, *, method: str) -> Callable[[NDArray[np.float64]], Waves]:
    """Return NeuroKit2's default cleaning, default beats, and a delineator by name."""
    import neurokit2

    def waves(lead: NDArray[np.float64]) -> Waves:
        cleaned = neurokit2.ecg_clean(lead, sampling_rate=fs)
        _, beats = neurokit2.ecg_peaks(cleaned, sampling_rate=fs)
        peaks = beats["ECG_R_Peaks"]
        _, found = neurokit2.ecg_delineate(cleaned, peaks, sampling_rate=fs, method=method)
        return _aligned(
            {
                "P": (found["ECG_P_Onsets"], found["ECG_P_Peaks"], found["ECG_P_Offsets"]),
                "QRS": (found["ECG_R_Onsets"], peaks, found["ECG_R_Offsets"]),
                "T": (found["ECG_T_Onsets"], found["ECG_T_Peaks"], found["ECG_T_Offsets"]),
            }
        )

    return waves


def _prominence_delineator(fs: int) -> Callable[[NDArray[np.float64]], Waves]:
    """Return prominence-delineator as its README uses it: beats by FastNVG on the raw signal, then cleaning."""
    from prominence_delineator import ProminenceDelineator

    delineator = ProminenceDelineator(sampling_frequency=fs)

    def waves(lead: NDArray[np.float64]) -> Waves:
        beats = delineator.find_rpeaks(lead)
        found = delineator.find_waves(delineator.clean_ecg(lead), rpeaks=beats, include_nodetections=True)
        of = {"P": "P", "QRS": "R", "T": "T"}
        return _aligned({label: (found[f"{k}_on"], found[k], found[f"{k}_off"]) for label, k in of.items()})

    return waves


def _aligned(points: dict[str, tuple[Sequence[float | None], ...]]) -> Waves:
    """Return the waves of which all three points are given, in order."""
    waves = []
    for label, columns in points.items():
        for row in zip(*columns, strict=True):
            onset, peak, offset = (np.nan if point is None else float(point) for point in row)
            if onset <= peak < offset:
                waves.append((int(onset), int(peak), int(offset), ECG_WAVES.index(label)))
    return waves


_MAKERS: dict[str, Callable[[int], Callable[[NDArray[np.float64]], Waves]]] = {
    "neurokit2-dwt": partial(_neurokit, method="dwt"),
    "neurokit2-prominence": partial(_neurokit, method="prominence"),
    "prominence-delineator": _prominence_delineator,
}


def main(peer: str, given: str, answer: str) -> None:
    """Delineate the leads in a file; leave their waves in another."""
    with np.load(given) as file:
        leads = np.split(file["samples"], np.cumsum(file["lengths"])[:-1])
        found = _in_process(peer, leads, file["rates"].tolist())
    waves = np.array([wave for own in found for wave in own], dtype=np.int64).reshape(-1, 4)
    np.savez(answer, waves=waves, counts=[len(own) for own in found])


if __name__ == "__main__":
    main(*sys.argv[1:])
