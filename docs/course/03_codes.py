"""Page 3 of the course: what a lead looks like somewhere. Run it, or let `make docs` make 03_codes.md of it."""

# %% [markdown]
# # 3. Codes
#
# What a lead looks like around a candidate, in a few numbers, learned from recordings that nobody has marked.
#
# [2. Segments](02_segments.md) · [all pages](README.md) · next: [4. CRF](04_crf.md)

# %%
import matplotlib.pyplot as plt
import numpy as np
from course_data import ecgs
from scipy.fft import dct
from sklearn.linear_model import LogisticRegression

from mhealth import save_figure
from mhealth.dsp import RunningScale
from mhealth.metrics import match
from mhealth.report import plot_dictionary, plot_weights
from mhealth.segmentation import EcgSegmenter
from mhealth.sparse import Dictionary, Window, extract_windows, learn_dictionary, omp

people = ecgs(40)
print(people.source)
rng = np.random.default_rng(0)

# %% [markdown]
# ## Windows
#
# Around each candidate of lead II a window of 0.4 s is cut, in 40 bins, and its mean and slope are taken out: where the
# baseline is says nothing about waves. Then it is divided by the running scale and *compressed*,
# $x \mapsto x / (|x| + 0.25)$, so that a P wave is not lost beside a QRS complex ten times as high.

# %%
window = Window(before=0.2, after=0.2, n_points=40, detrend="linear")


def windows_of(recording, channel=1):
    """Return the candidates of a lead, and the window around each."""
    signal = recording.signals[:, channel]
    positions = EcgSegmenter().segment(signal, fs=recording.fs).position
    scale = RunningScale().measure(signal, fs=recording.fs).scale[positions]
    relative = extract_windows(signal, positions, window, rate=recording.fs) / scale[:, None]
    return positions, relative / (np.abs(relative) + 0.25)


def marked_as(recording, annotation, positions):
    """Return for each candidate the index of the wave whose peak it is the nearest one to (within 20 ms), else -1."""
    label = np.full(len(positions), -1)
    for code, name in enumerate(("P", "QRS", "T")):
        peaks = annotation.spans.of(label=name, channel="II").peak
        label[match(peaks, positions, 0.02 * recording.fs)[:, 1]] = code
    return label


cut = [windows_of(recording) for recording in people.recordings]
labels = [
    marked_as(*person, positions)
    for *person, (positions, _) in zip(people.recordings, people.annotations, cut, strict=True)
]
train = np.concatenate([windows for _, windows in cut[::2]])
test = np.concatenate([windows for _, windows in cut[1::2]])
train_labels, test_labels = np.concatenate(labels[::2]), np.concatenate(labels[1::2])
print(f"{len(train)} windows of every second person to learn from, {len(test)} of the others to test")

figure, axes = plt.subplots(1, 4, figsize=(10, 2.6), sharey=True, layout="constrained")
time = np.linspace(-0.2, 0.2, 40)
for ax, code, name in zip(axes, (0, 1, 2, -1), ("P", "QRS", "T", "no peak"), strict=True):
    of_kind = train[train_labels == code]
    ax.plot(time, of_kind[rng.choice(len(of_kind), 40)].T, color="#8a9099", linewidth=0.4)
    ax.plot(time, of_kind.mean(axis=0), color="#0072B2", linewidth=2)
    ax.set(title=name, xlabel="time from the candidate (s)")
save_figure(figure, "figures/03_windows.png", dpi=90)

# %% [markdown]
# ![Forty windows and their mean at P, QRS and T peaks and elsewhere](figures/03_windows.png)
#
# Grey: forty windows each, blue: the mean of all. Windows at P peaks show the QRS complex that follows; so the
# neighbourhood is part of what a wave looks like. Windows at other candidates have nothing in common.
#
# ## A dictionary
#
# Each window shall be a sum of few *atoms*, shapes that are learned for that purpose: $x \approx \sum_k c_k a_k$ with
# few $c_k$ other than zero. Learning (K-SVD) goes back and forth between coding windows with the present atoms and
# improving each atom for the windows that use it. Marks take no part in it.

# %%
dictionary = learn_dictionary(train, 32, n_nonzero=4, n_iter=60, rng=rng)
dictionary = Dictionary(atoms=dictionary.atoms, before=0.2, after=0.2, name="learned on lead II")
codes = omp(train, dictionary, n_nonzero=4)
usage = np.bincount(codes.support[codes.support >= 0], minlength=32) / len(train)
save_figure(plot_dictionary(dictionary, usage=usage, n_columns=8), "figures/03_dictionary.png", dpi=90)

# %% [markdown]
# ![Thirty-two atoms, most used first](figures/03_dictionary.png)
#
# The atoms are pieces of heartbeats: QRS complexes at different places of the window, T waves, and P waves with the QRS
# complex behind them. Nobody said that there are such things.
#
# ## One window, few atoms
#
# Orthogonal matching pursuit (OMP) takes the atom that correlates most with what is left of the window, fits all atoms
# taken so far anew, and goes on with the rest. Here at the QRS peak that is rebuilt as well as half of them are:

# %%
at_qrs = test[test_labels == 1]
left = np.sum((at_qrs - omp(at_qrs, dictionary, n_nonzero=4).reconstruct(dictionary)) ** 2, axis=1)
of_qrs = at_qrs[np.argsort(left)[len(left) // 2]]
figure, axes = plt.subplots(1, 4, figsize=(10, 2.4), sharey=True, layout="constrained")
for n_nonzero, ax in enumerate(axes, start=1):
    code = omp(of_qrs[None], dictionary, n_nonzero=n_nonzero)
    rebuilt = code.reconstruct(dictionary)[0]
    error = np.sum((of_qrs - rebuilt) ** 2) / np.sum(of_qrs**2)
    ax.plot(time, of_qrs, color="#8a9099", linewidth=2.5)
    ax.plot(time, rebuilt, color="#D55E00")
    ax.set(title=f"{n_nonzero} of 32: {error:.0%} left", xlabel="time (s)")
save_figure(figure, "figures/03_pursuit.png", dpi=90)
print("atoms", code.support[0], "with", np.round(code.coefficient[0], 2))

# %% [markdown]
# ![A window of a QRS complex, rebuilt from one to four atoms](figures/03_pursuit.png)
#
# ## Is learning worth it?
#
# The same number of atoms, on people that the dictionary has not seen, against two controls: cosines (the DCT, which
# knows nothing of ECG) and windows drawn at random (which know it, but were not improved).

# %%
drawn = train[rng.choice(len(train), 200)]
drawn = drawn[np.linalg.norm(drawn, axis=1) > 0][:32]
dictionaries = {
    "learned": dictionary,
    "windows at random": Dictionary(atoms=drawn / np.linalg.norm(drawn, axis=1, keepdims=True)),
    "cosines": Dictionary(atoms=dct(np.eye(40), norm="ortho", axis=0)[1:33]),
}
figure, ax = plt.subplots(figsize=(6, 3.3), layout="constrained")
for (name, atoms), colour in zip(dictionaries.items(), ("#0072B2", "#E69F00", "#8a9099"), strict=True):
    left = [
        np.sum((test - omp(test, atoms, n_nonzero=n).reconstruct(atoms)) ** 2) / np.sum(test**2) for n in range(1, 9)
    ]
    ax.plot(range(1, 9), left, marker="o", color=colour, label=name)
    print(f"{name:>18}: " + "  ".join(f"{n} atoms {left[n - 1]:5.1%}" for n in (1, 2, 4, 8)))
ax.set(xlabel="atoms a window", ylabel="power left out", yscale="log")
ax.legend(frameon=False)
save_figure(figure, "figures/03_error.png", dpi=90)

# %% [markdown]
# ![Power left out against atoms a window, for three dictionaries](figures/03_error.png)
#
# Two learned atoms leave out as little as eight cosines; windows drawn at random lie between. With 39 atoms a window
# cosines would leave out nothing at all, but then a code would say no more than the window itself.
#
# ## What codes know of labels
#
# A linear model gets the codes of every candidate, positive and negative coefficients apart, and has to say whether it
# is the peak of a P wave, QRS complex or T wave. The same model on the bare windows, for comparison. Both are tested on
# people that neither has seen.


# %%
def features(windows):
    """Return the codes of windows with the signs of their coefficients apart."""
    return omp(windows, dictionary, n_nonzero=4).to_dense(sign_split=True)


for name, transform in (("codes", features), ("windows", np.asarray)):
    model = LogisticRegression(max_iter=500).fit(transform(train), train_labels)
    told = model.predict(transform(test))
    shares = [np.mean(told[test_labels == code] == code) for code in (0, 1, 2)]
    right = [np.mean(test_labels[told == code] == code) for code in (0, 1, 2)]
    for wave, share, ppv in zip(("P", "QRS", "T"), shares, right, strict=True):
        print(f"{name:>8} {wave:>4}: finds {share:4.0%} of the peaks; {ppv:4.0%} of what it reports is one")
    if name == "codes":
        of_codes = model

weights = of_codes.coef_[1:, :32] - of_codes.coef_[1:, 32:]
figure = plot_weights(dictionary, weights, ("P", "QRS", "T"), n_atoms=8, title="for and against each wave")
save_figure(figure, "figures/03_weights.png", dpi=90)

# %% [markdown]
# ![The eight atoms that weigh most for and against P, QRS and T](figures/03_weights.png)
#
# Blue atoms speak for the wave (with a positive coefficient), orange ones against it. Codes can be looked at: an error
# of the model is an atom with a wrong weight, or a window that no atom describes.
#
# For P and T waves codes tell a linear model more than the windows that they were made of, since which atom is used is
# not linear in the window. Yet half of the P and T peaks are missed. Some of it is the strict question (the next
# candidate 20 ms further is wrong), but most is not: 0.4 s around one candidate do not tell a small P wave from a bump
# of the baseline, and each candidate is judged alone. That a T wave follows each QRS complex, and that there is one P
# wave a beat at most, is knowledge about *sequences*: [the next page](04_crf.md).
#
# ## Exercises
#
# 1. Learn 8, 16, 64 and 128 atoms. How does the power left out change at 4 atoms a window, for training people and for
#    test people?
# 2. Add pink noise at 6 dB to the test people (`mhealth.simulate.add_noise`). Which error grows more, that of the codes
#    or that of the windows in the last comparison?
# 3. Learn the dictionary from simulated people (set `MHEALTH_DATA` to a folder that does not exist, or call
#    `synthetic_ecg`), and code real ones. What is lost?
# 4. Give the linear model windows of 0.2 s and of 1.2 s beside those of 0.4 s (three dictionaries, codes side by side).
#    Which waves gain?
# 5. Leave the compression out. Which atoms does the dictionary learn now, and why?
#
# <details><summary>Hints</summary>
#
# 1. Draw both against the number of atoms. Where the two curves part, further atoms describe these people only.
# 2. Four atoms can describe little noise, so most of it is left out: sparse coding is a filter.
# 3. `experiments/dictionary_transfer` asks this of four data sets, with intervals.
# 4. `mhealth` uses 0.2 s, 0.8 s and 2 s.
# 5. Windows count by their power, and heights are squared in it.
#
# </details>
