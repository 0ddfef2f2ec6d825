"""How soon is an inverted breathing signal found out, and would the heart tell: prints the tables of the README.

Run from the repository root: python experiments/polarity/measure.py ../shared/data
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from data_loaders import Bidmc
from mhealth.core import Recording
from mhealth.labeling import load

BLOCK = 30.0  # seconds between two decisions of the tracker
FS = 4.0  # Hz, of heart rate and breathing when they are compared
SEGMENT = 512  # samples at 4 Hz over which coupling is averaged, half overlapping: 128 s
COUPLED = 0.9  # coherence at the breathing rate from which on heart and breathing go together


class Coupling(NamedTuple):
    """How heart rate follows the breath: coherence at the breathing rate, and phase in degrees, 0 in step with it."""

    coherence: float
    phase: float


def signs(belt: Recording) -> NDArray[np.int64]:
    """Return the sign that the labeler holds after each half minute."""
    stream = load("respiration").open(fs=belt.fs, channels=belt.channels)
    step, found = round(BLOCK * belt.fs), []
    for start in range(0, belt.n_samples, step):
        stream.push(belt.signals[start : start + step])
        found.append(stream.polarity[belt.channels[0]].sign)
    return np.array(found)


def coupling(belt: Recording, ecg: Recording) -> Coupling:
    """Compare heart rate, from the QRS complexes of a lead, with breathing."""
    spans = load("ecg").label(ecg)
    beats = spans.peak[spans.label == spans.classes.index("QRS")] / ecg.fs
    intervals = np.diff(beats)
    usual = np.abs(intervals / np.median(intervals) - 1) < 0.3  # neither ectopic nor missed
    grid = np.arange(0, belt.duration, 1 / FS)
    heart = np.interp(grid, (beats[1:] + beats[:-1])[usual] / 2, 1 / intervals[usual])
    known = np.isfinite(belt.signals[:, 0])
    breath = np.interp(grid, np.arange(belt.n_samples)[known] / belt.fs, belt.signals[known, 0])
    options = {"fs": FS, "nperseg": SEGMENT}
    _, cross = scipy.signal.csd(breath, heart, **options)
    frequency, of_breath = scipy.signal.welch(breath, **options)
    _, of_heart = scipy.signal.welch(heart, **options)
    at = int(np.argmax(np.where((frequency > 0.08) & (frequency < 0.7), of_breath, 0)))
    coherence = float(np.abs(cross[at]) / np.sqrt(of_breath[at] * of_heart[at]))
    return Coupling(coherence, float(np.degrees(np.angle(cross[at]))))


def main(data: Path) -> None:
    """Measure every recording and print the tables."""
    dataset = Bidmc(data / "bidmc")
    turned, found_after, pulled = 0, [], []
    for name in dataset.records:
        recording, _, _ = dataset.load(name)
        belt = recording.pick([recording.channels.index("RESP")])
        ecg = recording.pick([recording.channels.index("II" if "II" in recording.channels else "V")])
        turned += (signs(belt) < 0).any()
        inverted = signs(Recording(signals=-belt.signals, fs=belt.fs, channels=belt.channels, units=belt.units))
        right = np.flatnonzero(inverted < 0)
        found_after.append((right[0] + 1) * BLOCK if len(right) else np.inf)
        pulled.append(coupling(belt, ecg))
        print(f"{name}: inverted found after {found_after[-1]:.0f} s; heart: coherence {pulled[-1].coherence:.2f}, "
              f"phase {pulled[-1].phase:.0f}°", file=sys.stderr)  # fmt: skip
    seconds, coupled = np.array(found_after), np.array(pulled)
    print(f"Skewness: {turned} of {len(seconds)} upright recordings were turned round at some time.")
    print("\n| inverted, found within | recordings |\n|---|---|")
    for limit in (30, 60, 90, 120, 240, 480):
        print(f"| {limit} s | {(seconds <= limit).sum()} |")
    print("\n| coherence of heart rate and breathing | recordings | heart rate rises with inspiration |\n|---|---|---|")
    for low, name in ((0.0, "any"), (COUPLED, f"at least {COUPLED}")):
        chosen = coupled[coupled[:, 0] >= low]
        print(f"| {name} | {len(chosen)} | {(np.abs(chosen[:, 1]) < 90).mean():.0%} |")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data"))
