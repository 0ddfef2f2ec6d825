"""Page 1 of the course: what an ECG is as numbers. Run it, or let `make docs` make 01_signal.md of it."""

# %% [markdown]
# # 1. The signal
#
# What an electrocardiogram (ECG) is as numbers, how large, long and fast its waves are, and what wearing a recorder
# adds.
#
# [All pages](README.md) · next: [2. Segments](02_segments.md)

# %%
import matplotlib.pyplot as plt
import numpy as np
from course_data import ecgs

from mhealth import plot_labels, save_figure, synthetic_ecg
from mhealth.dsp import Reason, RunningScale, SignalQuality, unusable_spans
from mhealth.simulate import add_dropout, add_flat, add_noise

people = ecgs(40)
print(people.source)
recording, annotation = people.recordings[0], people.annotations[0]
print(recording.signals.shape, "samples and leads at", recording.fs, "Hz:", recording.channels, recording.units)

# %% [markdown]
# ## A beat
#
# A recording is an array of samples and a sampling rate. Each column is a *lead*: the voltage between two places on the
# body, or between one and a mean of others, in millivolts. All leads show the same heart from different sides.

# %%
figure = plot_labels(recording, annotation.spans, start=1, stop=6, channels=[1, 3])
save_figure(figure, "figures/01_leads.png")
print(annotation.spans.of(channel="II").to_frame()[["label", "onset", "peak", "offset", "onset_s"]].head(6))

# %% [markdown]
# ![Five seconds of the leads II and V2 with their P, QRS and T waves in colour](figures/01_leads.png)
#
# In each beat the atria depolarise (**P wave**), then the ventricles (**QRS complex**), which then repolarise (**T
# wave**). Between them the signal is near its baseline: the *PQ segment* while the AV node holds the impulse back, the
# *ST segment* while the ventricles are depolarised throughout, and *TP* until the next beat. Leads differ in the size
# and sign of the waves, hardly in their times: here the QRS complex is a tall R wave in II, and an R wave with an S
# wave below the baseline in V2.
#
# A labelled wave is a *span* with an onset, a peak and an offset; `offset` is the first sample after it. The people who
# marked LUDB left the first and the last beat out on purpose: the P wave at 1.2 s has no mark. So marks come with the
# stretches in which they are complete, and elsewhere a missing mark means nothing:

# %%
for channel, start, stop in annotation.annotated:
    print(f"{recording.channels[channel]:>3}: complete from {start / recording.fs:.2f} to {stop / recording.fs:.2f} s")

# %% [markdown]
# ## How large, how long, how fast
#
# Lead II of everybody: how high a wave is above the chord between its edges, how long, and the frequency below which
# half of the power of this bump lies.


# %%
def describe(signal, wave, fs):
    """Return height in mV, duration in ms and median frequency in Hz of a wave."""
    inside = signal[wave.onset : wave.offset]
    above = inside - np.linspace(inside[0], inside[-1], len(inside))
    power = np.abs(np.fft.rfft(above, 4096)) ** 2
    median = np.searchsorted(np.cumsum(power), power.sum() / 2) * fs / 4096
    return np.abs(above).max(), 1000 * len(inside) / fs, median


waves = {"P": [], "QRS": [], "T": []}
for person, marks in zip(people.recordings, people.annotations, strict=True):
    signal = person.signals[:, 1].astype(float)
    for wave in marks.spans.of(channel="II").to_frame().itertuples():
        if min(wave.onset, wave.offset) >= 0:
            waves[wave.label].append(describe(signal, wave, person.fs))

print("       number   height (mV)         duration (ms)    median frequency (Hz)")
for label, rows in waves.items():
    low, middle, high = np.quantile(rows, [0.1, 0.5, 0.9], axis=0)
    ranges = [f"{b:6.2f} ({a:.2f} to {c:.2f})" for a, b, c in zip(low, middle, high, strict=True)]
    print(f"{label:>4} {len(rows):8}   " + "   ".join(ranges))

# %% [markdown]
# Medians, and in brackets the middle 80 %. The QRS complex is several times as high and as fast as P and T waves, and
# half as long as a T wave. A P wave is small and slow: whatever has its size and its frequencies can be taken for one.
# Hence no filter takes all noise out and leaves all waves in.

# %% [markdown]
# ## What wearing adds
#
# Four kinds of noise on the same lead, each at a signal-to-noise ratio (SNR) of 6 dB: the power of the lead about its
# mean is four times that of the noise.

# %%
lead = recording.pick([1]).slice(500, 4500)
kinds = {
    "as recorded": lead,
    "baseline wander": add_noise(lead, "baseline", snr_db=6, seed=1),
    "muscle": add_noise(lead, "muscle", snr_db=6, seed=1),
    "electrode motion": add_noise(lead, "motion", snr_db=6, seed=3),
    "mains, 50 Hz": add_noise(lead, "mains", snr_db=6, seed=1),
}
figure, grid = plt.subplots(
    len(kinds), 2, figsize=(10, 7), width_ratios=(3, 1), sharex="col", sharey="col", layout="constrained"
)
for (left, right), (name, noisy) in zip(grid, kinds.items(), strict=True):
    signal = noisy.signals[:, 0].astype(float)
    left.plot(np.arange(len(signal)) / noisy.fs, signal, color="#2b2f36", linewidth=0.7)
    left.set_ylabel(f"{name}\n(mV)")
    power = np.abs(np.fft.rfft((signal - signal.mean()) * np.hanning(len(signal)))) ** 2
    right.loglog(np.fft.rfftfreq(len(signal), 1 / noisy.fs)[1:], power[1:], color="#0072B2", linewidth=0.7)
grid[-1, 0].set_xlabel("time (s)")
grid[-1, 1].set(xlabel="frequency (Hz)", xlim=(0.1, 250), ylim=(1e-4, None))
grid[0, 1].set_title("power")
save_figure(figure, "figures/01_noise.png", dpi=90)

# %% [markdown]
# ![A lead with four kinds of noise, and their power spectra](figures/01_noise.png)
#
# *Baseline wander* (breathing, drifting electrodes) lies below 0.5 Hz and can be filtered away, at a price: a causal
# high-pass filter at 0.5 Hz distorts the ST segment. *Muscle* noise comes in bursts from 20 Hz upwards, into the band
# of the QRS complex. *Electrode motion* makes single bumps as wide as a T wave: in the same band as P and T waves, and
# so the worst of the four. *Mains* hum is one frequency, which an average over one of its periods (20 ms) removes.

# %% [markdown]
# ## Scale
#
# A threshold in millivolts fails as soon as the electrode moves, and for somebody with small waves at once.
# `RunningScale` measures how far a lead moves in a beat (*scale*) and in its quiet moments (*floor*) at present; all
# thresholds of `mhealth` are in these units. Here the signal becomes four times smaller after 10 s, noisier after 20 s,
# and lost between 25 and 26 s:

# %%
wearer, truth = synthetic_ecg(fs=250, duration=30, leads=("II",), heart_rate=70, seed=3)
wearer, _ = add_dropout(wearer, truth, [(25, 26)])
signal = wearer.signals[:, 0].astype(float)
signal[2500:] /= 4
signal += np.random.default_rng(0).normal(size=len(signal)) * np.where(np.arange(len(signal)) < 5000, 0.002, 0.04)
scale, floor = RunningScale().measure(signal, fs=wearer.fs)

figure, ax = plt.subplots(figsize=(10, 3), layout="constrained")
seconds = np.arange(len(signal)) / wearer.fs
ax.plot(seconds, signal, color="#8a9099", linewidth=0.7, label="lead (mV)")
ax.plot(seconds, scale, color="#D55E00", label="scale")
ax.plot(seconds, floor, color="#0072B2", label="floor")
ax.set_xlabel("time (s)")
ax.legend(loc="upper right", ncols=3)
save_figure(figure, "figures/01_scale.png", dpi=90)
in_microvolts = RunningScale().measure(1000 * signal, fs=wearer.fs)
print("A thousand times the scale in microvolts:", np.allclose(in_microvolts.scale, 1000 * scale, equal_nan=True))

# %% [markdown]
# ![A lead that becomes smaller and then noisy, with running scale and floor](figures/01_scale.png)
#
# The scale follows within a few beats; a single large beat would change it little. A missing sample is `NaN`, never
# zero: zero is a voltage. After a dropout the measurement starts anew.

# %% [markdown]
# ## What nobody can label
#
# Where a lead is missing, flat, at the end of its range, or buried in noise, the honest answer is *unusable*:

# %%
wearer, truth = synthetic_ecg(fs=250, duration=40, leads=("II",), heart_rate=70, seed=3)
wearer, truth = add_dropout(wearer, truth, [(5, 8)])
wearer, truth = add_flat(wearer, truth, [(12, 15)])
buried = add_noise(wearer, "white", snr_db=-14, seed=1)
seconds = np.arange(wearer.n_samples) / wearer.fs
signal = np.where((seconds >= 20) & (seconds < 30), buried.signals[:, 0], wearer.signals[:, 0])
codes = SignalQuality().codes(signal, fs=wearer.fs)
for start, stop, reason in zip(*unusable_spans(codes), strict=True):
    print(f"{start / wearer.fs:5.2f} to {stop / wearer.fs:5.2f} s: {Reason(reason).name.lower()}")

# %% [markdown]
# The noise began at 20 s and ended at 30 s. It is told about two seconds late, because an ECG is known by its quiet
# moments, and that there are none takes longer than a beat to see. A code is never changed afterwards: on a watch it
# would be too late.
#
# ## Exercises
#
# 1. Einthoven's law says I + III = II, for every sample. Check it on `recording`. How large is the difference, and why
#    is it not zero?
# 2. Take every fifth sample of `lead` (100 Hz). By how much does the height of the QRS complexes change? And if you
#    average five samples first?
# 3. Filter `lead` with `scipy.signal.butter(2, 0.5, "high", fs=..., output="sos")`, once with `sosfilt` and once with
#    `sosfiltfilt`. Compare the ST segments. Which of the two could run on a watch?
# 4. At which SNR of muscle noise is the standard deviation of the noise as large as the median P wave of the table?
# 5. Put zeros for what is missing (`np.nan_to_num`) into the last `signal`, and judge it again. What changes? And if
#    the dropout lasted 0.3 s?
#
# <details><summary>Hints</summary>
#
# 1. The leads are columns 0, 2 and 1. Samples are stored as integers, so each lead is rounded to a step of its
#    converter.
# 2. `signal[::5]`, and `signal[: len(signal) // 5 * 5].reshape(-1, 5).mean(axis=1)`. Taking every fifth sample keeps
#    the peaks that it hits; averaging lowers all of them, but does not fold frequencies above 50 Hz into those below.
# 3. `sosfiltfilt` runs over the recording forwards and backwards: no shift, but it needs the future.
# 4. Power is the square of the standard deviation: SNR = 20 log10(SD of the lead / SD of the noise).
# 5. Zeros are told as *flat* instead of *dropout*, if they last half a second; a shorter hole is taken for signal, with
#    edges that look like waves.
#
# </details>
