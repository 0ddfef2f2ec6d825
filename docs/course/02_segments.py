"""Page 2 of the course: where a label may begin or end. Run it, or let `make docs` make 02_segments.md of it."""

# %% [markdown]
# # 2. Segments
#
# A labelling changes about six times a beat, but a lead has hundreds of samples a second. This page finds the few
# moments that matter, without any label.
#
# [1. The signal](01_signal.md) · [all pages](README.md) · next: [3. Codes](03_codes.md)

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from course_data import ecgs

from mhealth import save_figure, synthetic_respiration
from mhealth.report import plot_candidates
from mhealth.segmentation import BreathSegmenter, EcgSegmenter, Turn
from mhealth.simulate import add_noise

people = ecgs(40)
print(people.source)
segmenter = EcgSegmenter()

# %% [markdown]
# ## Candidates
#
# A *candidate* is a moment at which the lead turns: a maximum, a minimum, or a bend, found as the point that is
# farthest from the chord between its neighbours. Where nothing happens for 0.24 s, a filler is set.

# %%
lead = people.recordings[0].pick([1])
candidates = segmenter.segment(lead.signals, fs=lead.fs)
figure = plot_candidates(lead, candidates, start=1, stop=4)
save_figure(figure, "figures/02_candidates.png", dpi=90)
print({Turn(kind).name.lower(): int(np.sum(candidates.kind == kind)) for kind in Turn})

# %% [markdown]
# ![Three seconds of lead II with its candidates as dots](figures/02_candidates.png)
#
# Kind 0 are fillers, 1 maxima, 2 minima, 3 and 4 bends. They crowd where the lead moves: the QRS complex and the edges
# of P and T waves have some nearby. (A maximum is found after smoothing over 20 ms, so it may lie a sample or two
# beside the peak.) Small turns of the baseline are candidates too: a candidate is a proposal, and to refuse it is the
# labeler's work.
#
# ## Near enough?
#
# A labelling can change at candidates only, so the distance from an expert's mark to the nearest candidate bounds what
# any labeler above can reach. As a control: as many moments a second, evenly spread.


# %%
def distances(marks, moments, fs):
    """Return the distance in ms of each mark to the nearest moment."""
    place = np.clip(np.searchsorted(moments, marks), 1, len(moments) - 1)
    nearest = np.minimum(np.abs(marks - moments[place - 1]), np.abs(marks - moments[place]))
    return 1000 * nearest / fs


def measure(segmenter, people):
    """Return candidates a second, and distances of the marks in lead II by wave and point; the same of an even grid."""
    count, near, even = 0, {}, {}
    for recording, annotation in zip(people.recordings, people.annotations, strict=True):
        found = segmenter.segment(recording.signals[:, 1], fs=recording.fs).position
        grid = np.linspace(0, recording.n_samples - 1, len(found))
        count += len(found)
        for label in ("P", "QRS", "T"):
            waves = annotation.spans.of(label=label, channel="II")
            for point in ("onset", "peak", "offset"):
                marks = getattr(waves, point)
                marks = marks[marks >= 0]
                near.setdefault((label, point), []).append(distances(marks, found, recording.fs))
                even.setdefault((label, point), []).append(distances(marks, grid, recording.fs))
    joined = ({key: np.concatenate(parts) for key, parts in table.items()} for table in (near, even))
    return count / sum(recording.duration for recording in people.recordings), *joined


rate, near, even = measure(segmenter, people)
print(f"{rate:.1f} candidates a second. Distance of a mark in ms: mean (95 % are nearer than)")
for (label, point), found in near.items():
    grid = even[label, point]
    print(
        f"{label:>4} {point:<7} candidates {found.mean():4.1f} ({np.quantile(found, 0.95):4.1f})"
        f"    even grid {grid.mean():4.1f} ({np.quantile(grid, 0.95):4.1f})"
    )

# %% [markdown]
# Peaks are met within a few milliseconds, edges within the spread of experts, whose marks of one edge differ between
# leads by 7 to 14 ms for P waves and QRS complexes. The T onset is hardly better than by chance: it is so gradual that
# marks of it differ by 25 ms. An even grid misses everything by a quarter of its step on average, whatever it is.
#
# ## Few or near
#
# More candidates are nearer, and every one costs: labelling takes time in proportion to their number. Each curve moves
# one threshold of the segmenter: how far a bend must be from its chord, as a share of the lead's range there
# (`deviation_range`).

# %%
shares = (0.04, 0.07, 0.14, 0.25, 0.4)
points = []
for share in shares:
    rate, near, even = measure(replace(segmenter, deviation_range=share), people)
    points.append((rate, *(np.concatenate(list(table.values())).mean() for table in (near, even))))
rates, adaptive, grid = np.array(points).T

figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ax.plot(rates, grid, color="#8a9099", marker="s", label="even grid")
ax.plot(rates, adaptive, color="#0072B2", marker="o", label="candidates")
for share, x, y in zip(shares, rates, adaptive, strict=True):
    ax.annotate(f"{share:g}", (x, y), textcoords="offset points", xytext=(0, -14), ha="center", fontsize=8)
ax.set(xlabel="moments a second", ylabel="mean distance of a mark (ms)", ylim=(0, None))
ax.legend(frameon=False)
save_figure(figure, "figures/02_trade.png", dpi=90)

# %% [markdown]
# ![Mean distance of a mark against moments a second, candidates far below an even grid](figures/02_trade.png)
#
# The numbers are the values of `deviation_range`. Below the default of 0.14 more candidates bring nothing. For the same
# mean distance an even grid needs about twice as many moments.
#
# ## Adaptive means: no unit, no sign, no noise level
#
# All thresholds are in units of the running scale and floor of [page 1](01_signal.md#scale). So the same lead in other
# units, or upside down, has the same candidates, and a noisy lead does not drown in them.

# %%
signal = lead.signals[:, 0]
print("half as large:", np.array_equal(segmenter.segment(signal / 2, fs=lead.fs).position, candidates.position))
print("upside down:  ", np.array_equal(segmenter.segment(-signal, fs=lead.fs).position, candidates.position))
for snr_db in (24, 12, 6, 0):
    noisy = add_noise(lead, "pink", snr_db=snr_db, seed=0)
    found = segmenter.segment(noisy.signals, fs=lead.fs)
    print(f"pink noise at {snr_db:2} dB: {len(found) / lead.duration:.1f} a second")

# %% [markdown]
# ## Live
#
# A wearable has no whole recording. Every stage is a *stream*: it takes samples as they come, and gives what can no
# longer change. What comes out does not depend on how the samples were cut:

# %%
stream = segmenter.open(fs=lead.fs)
parts = [stream.push(signal[k : k + 37]) for k in range(0, len(signal), 37)] + [stream.flush()]
live = np.concatenate([part.position for part in parts])
print("37 samples at a time:", np.array_equal(live, candidates.position))

# %% [markdown]
# ## Breathing
#
# Nothing above knows of hearts. The same engine with other time constants segments a chest belt:

# %%
belt, breaths = synthetic_respiration(fs=25, duration=60, rate=14, noise=0.03, seed=2)
turns = BreathSegmenter().segment(belt.signals, fs=belt.fs)
figure = plot_candidates(belt, turns, start=0, stop=40)
save_figure(figure, "figures/02_breaths.png", dpi=90)
ends = breaths.spans.of(label="inspiration").offset
mean = distances(ends, turns.position, belt.fs).mean()
print(f"From the end of an inspiration to the nearest candidate: {mean:.0f} ms on average")

# %% [markdown]
# ![Forty seconds of a simulated belt with its candidates](figures/02_breaths.png)
#
# ## Exercises
#
# 1. With how few candidates a second is the mean distance still below 10 ms? Besides `deviation_range`, try `busy_gap`
#    and `longest_gap`.
# 2. Measure lead V2 instead of II. Which waves become harder, and why?
# 3. Set `longest_gap=1.0` with `dataclasses.replace`. How many candidates a second are saved, and in which rhythm would
#    that hurt?
# 4. Write the simplest segmenter that you can think of (for example all extrema of the lead after
#    `scipy.ndimage.uniform_filter1d`) and put it into the figure.
# 5. Segment a pulse wave or your own footsteps with `mhealth.segmentation.quasi_periodic_segmenter`.
#
# <details><summary>Hints</summary>
#
# 1. Start from `replace(segmenter, deviation_range=0.8, busy_gap=0.1)`. The mean hides what matters: look at the 95 %
#    of each point, too.
# 2. `recording.signals[:, 3]` and `channel="V2"`. P waves are smallest there.
# 3. Fillers are the only candidates inside fibrillatory waves too small to be extrema, and the only ones in a long TP.
# 4. Extrema have no bends: the edges of waves, where the slope changes but not its sign, are missed.
# 5. Give it the shortest period that you expect, in seconds: 0.3 for a pulse wave.
#
# </details>
