"""What electrode motion costs sparse codes, networks and NeuroKit2: prints the table of the README.

python -m experiments.networks.noise ../shared/data --out runs/noise
.venv/bench/bin/python -m experiments.networks.noise ../shared/data --out runs/noise --of neurokit
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from experiments.networks._ground import Ground, arguments, kept, score, trained
from mhealth.cli._terminal import Terminal
from mhealth.cli._training import Case
from mhealth.core import Recording, Spans
from mhealth.labeling import load

SNR_DB = (np.inf, 12.0, 6.0, 0.0)

NOISE = "em"
"""Electrode motion, the noise that looks most like an ECG (Moody, Muldrow & Mark 1984)."""


def halves(noise: Sequence[Recording], *, second: bool) -> list[Recording]:
    """Return the first half of each recording, which labelers learn from, or the second, which they are tested with."""
    middle = [part.n_samples // 2 for part in noise]
    return [
        replace(part, signals=part.signals[at:] if second else part.signals[:at], gaps=())
        for part, at in zip(noise, middle, strict=True)
    ]


def noisy(case: Case, noise: NDArray[np.float64], snr_db: float, rng: np.random.Generator) -> Recording:
    """Return a case's recording with noise, another piece of it in each lead.

    The ratio is that of WFDB's nst: of the mean peak-to-peak amplitude of the QRS complexes squared over eight, as if
    they were a sine, to the mean square of the noise about its mean.
    """
    recording, spans = case.recording, case.annotation.spans
    signals = recording.signals.astype(np.float64)
    qrs = spans.select(spans.label == spans.classes.index("QRS"))
    for k in range(signals.shape[1]):
        of_lead = qrs.select((qrs.channel == k) & (qrs.onset >= 0) & (qrs.offset > qrs.onset))
        sizes = [np.ptp(signals[a:b, k]) for a, b in zip(of_lead.onset, of_lead.offset, strict=True)]
        start = int(rng.integers(len(noise) - len(signals)))
        piece = noise[start : start + len(signals), int(rng.integers(noise.shape[1]))]
        piece = piece - piece.mean()
        if np.isfinite(snr_db):
            signals[:, k] += piece * np.sqrt(np.mean(sizes) ** 2 / 8 / 10 ** (snr_db / 10) / np.mean(piece**2))
    return replace(recording, signals=signals.astype(np.float32))


def neurokit(recording: Recording) -> Spans:
    """Label lead by lead with NeuroKit2's default cleaning, its default beats and its wavelet delineation."""
    import warnings

    import neurokit2

    points = [(label, f"ECG_{name}") for label, name in (("P", "P"), ("QRS", "R"), ("T", "T"))]
    rows = []
    for channel, lead in enumerate(recording.signals.T.astype(float)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                cleaned = neurokit2.ecg_clean(lead, sampling_rate=int(recording.fs))
                _, beats = neurokit2.ecg_peaks(cleaned, sampling_rate=int(recording.fs))
                _, found = neurokit2.ecg_delineate(
                    cleaned, beats["ECG_R_Peaks"], sampling_rate=int(recording.fs), method="dwt"
                )
            except Exception:  # it raises many things where it finds few beats; then it has found nothing
                continue
        for label, (name, key) in enumerate(points):
            onsets, offsets = found[f"{key}_Onsets"], found[f"{key}_Offsets"]
            peaks = beats["ECG_R_Peaks"] if name == "QRS" else found[f"{key}_Peaks"]
            for edge in zip(onsets, peaks, offsets, strict=False):
                if np.isfinite(edge).all() and edge[0] <= edge[1] < edge[2]:
                    rows.append((int(edge[0]), int(edge[1]), int(edge[2]), label, channel, np.nan))
    return Spans.from_rows(rows, fs=recording.fs, channels=recording.channels, classes=("P", "QRS", "T"))


def measured(ground: Ground, fold: int, labels: Callable[[Recording], Spans]) -> dict[str, dict[str, float]]:
    """Return the figures of all leads at every ratio, of the same pieces of noise for everybody."""
    (recorded,) = (part for part in halves(ground.noise, second=True) if part.name == NOISE)
    cases, found = ground.tested(fold), {}
    rates = Fraction(cases[0].recording.fs / recorded.fs).limit_denominator(1000)
    noise = resample_poly(recorded.signals.astype(float), rates.numerator, rates.denominator)
    for snr_db in SNR_DB:
        rng = np.random.default_rng(0)
        noised = [replace(case, recording=noisy(case, noise, snr_db, rng)) for case in cases]
        found[str(snr_db)] = score(labels, noised)
    return found


def main() -> None:
    """Train what is not yet trained, test it, and print the table."""
    parser = arguments("What electrode motion costs.")
    parser.add_argument(
        "--of", default="sparse,unet,unet-hard,tcn", help="sparse, unet, tcn, neurokit, separated by commas"
    )
    given = parser.parse_args()
    ground = Ground.read(given.data, Terminal(quiet=False))
    print("| | " + " | ".join("clean" if np.isinf(r) else f"{r:g} dB" for r in SNR_DB) + " | lost at 6 dB |")
    for name in given.of.split(","):
        for leads in ("independent",) if name == "neurokit" else ("independent", "fused"):
            figures = kept(
                given.out, f"{name}-{given.fold}-{leads}", partial(run, name, leads, ground, given.fold, given.out)
            )
            macro = [figures[str(snr_db)]["ludb.150ms.macro"] for snr_db in SNR_DB]
            print(f"| {name}, {leads} | " + " | ".join(f"{m:.2f}" for m in macro) + f" | {macro[0] - macro[2]:.2f} |")


def run(name: str, leads: str, ground: Ground, fold: int, out: Path) -> dict[str, dict[str, float]]:
    """Return the figures of one method, leads alone or fused; its model stays in the folder."""
    if name == "neurokit":
        return measured(ground, fold, neurokit)
    path = out / f"{name}-{fold}.npz"
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        architecture, _, wearing = name.partition("-")
        changes = {"wearing": wearing} if wearing else {}
        trained(architecture, ground.training(fold), halves(ground.noise, second=False), **changes).save(path)
    return measured(ground, fold, load(path).set_params(leads=leads).label)


if __name__ == "__main__":
    main()
