"""Page 4 of the course: labels that know of each other. Run it, or let `make docs` make 04_crf.md of it."""

# %% [markdown]
# # 4. CRF
#
# A conditional random field (CRF) labels all candidates of a lead at once. This page begins with one so small that it
# can be added up by hand, and ends with three of them on people that they have not seen.
#
# [3. Codes](03_codes.md) · [all pages](README.md) · next: [5. Evaluation](05_evaluation.md)

# %%
from itertools import pairwise, product

import matplotlib.pyplot as plt
import numpy as np
from course_data import LEADS, ecgs

from mhealth import Spans, save_figure
from mhealth.crf import ECG_GRAMMAR, ChainStructure, Grammar, IndependentCRF, LinearChainCRF, SpanCRF, SpanStructure
from mhealth.dsp import RunningScale
from mhealth.errors import AnnotationError
from mhealth.metrics import score_delineation
from mhealth.segmentation import EcgSegmenter
from mhealth.sparse import Window, extract_windows, learn_dictionary, omp

# %% [markdown]
# ## Four intervals, three states
#
# Between neighbouring candidates lie *intervals*, and each is in one state. Say the states are R (rest), P and Q (a QRS
# complex), and the signal alone gives the scores below. In the third interval it cannot decide between P and Q. A
# *linear chain* adds a score for each pair of neighbours: here P → Q is usual, P → R and R → Q are rare, and Q → P does
# not happen.

# %%
small = Grammar(
    states=("R", "P", "Q"),
    transitions=(("R", "P"), ("P", "R"), ("P", "Q"), ("R", "Q"), ("Q", "R")),
    reported=(("P", "P"), ("Q", "Q")),
    longest=(1.0, 1.0, 1.0),
)
unary = np.array([[1.0, 0, 0], [0, 1, 0.2], [0, 0.9, 1], [1, 0, 0], [0, 0, 0]])  # R, P, Q in four intervals; the end
chain = ChainStructure(grammar=small)
transition = np.full((3, 3), -np.inf)  # [from, to]
transition[0], transition[1], transition[2, [0, 2]] = (1, 0, -2), (-2, 0, 2), (1, 0)
weights = transition[chain.possible]

scores = {}
for states in product(range(3), repeat=4):
    score = unary[range(4), states].sum() + sum(transition[a, b] for a, b in pairwise(states))
    if np.isfinite(score):
        scores["".join("RPQ"[state] for state in states)] = score
log_z = np.log(np.sum(np.exp(list(scores.values()))))
for name in sorted(scores, key=scores.get, reverse=True)[:4]:
    print(f"{name}: score {scores[name]:.1f}, probability {np.exp(scores[name] - log_z):.3f}")
print(f"... and {len(scores) - 4} more that the grammar allows, of {3**4}; log Z = {log_z:.4f}")

# %% [markdown]
# The probability of a labelling is the exponential of its score, divided by the sum over all labellings, $Z$. With 250
# candidates and six states there are $6^{249}$ of them, but the *forward* recursion adds them up interval by interval.
# `mhealth` gives the log probability of everything that agrees with a mask of allowed states; with one state allowed in
# each interval, that is one labelling:

# %%
times, lengths = np.arange(5.0), [5]
masks = [[small.mask(state) for state in "RPQR"] + [small.mask()]]
found = chain.log_likelihood_and_gradient(unary, weights, times, lengths, masks[0]).value[0]
print(f"RPQR by enumeration {scores['RPQR'] - log_z:.6f}, by the forward recursion {found:.6f}")
marginals = chain.occupancy(unary, weights, times, lengths)[:4]
alone = np.exp(unary[:4]) / np.exp(unary[:4]).sum(axis=1, keepdims=True)
print("third interval   each on its own: P {1:.2f}, Q {2:.2f}".format(*alone[2]))
print("                    in the chain: P {1:.2f}, Q {2:.2f}".format(*marginals[2]))

# %% [markdown]
# The chain leans towards Q, because of what stands before and after. These are *marginals*: the probability of a state
# in one interval, summed over all labellings. The best whole labelling (*MAP*, found by Viterbi's recursion) and the
# best state of every single interval need not be the same; always say which one is meant.
#
# ## From marks to states
#
# Real data. A mark covers some intervals; between P and QRS lies the state PQ, between QRS and T the state ST, else TP.
# Where the expert marked nothing (the first and last beats) or left out an edge, every state is allowed, and learning
# adds up all of them: nothing is called background just because nobody looked. A few marks fit no heartbeat that the
# grammar knows; such people are only tested on.

# %%
people = ecgs(40)
print(people.source)
lead = LEADS.index("II")


def allowed_states(annotation, positions, fs):
    """Return a bit mask of the states that the interval behind each candidate may lie in."""
    waves = annotation.spans.of(channel="II")
    middle = (positions + np.append(positions[1:], positions[-1])) / 2
    masks = np.full(len(positions), ECG_GRAMMAR.mask(), dtype=np.uint8)
    names = [waves.classes[code] for code in waves.label]
    complete = (waves.onset >= 0) & (waves.offset >= 0)
    for k, name in enumerate(names):
        if complete[k]:
            masks[(middle >= waves.onset[k]) & (middle < waves.offset[k])] = ECG_GRAMMAR.mask(name)
        if complete[k : k + 2].sum() == 2:
            inside = (middle >= waves.offset[k]) & (middle < waves.onset[k + 1])
            near = waves.onset[k + 1] - waves.offset[k] < 0.36 * fs
            between = {("P", "QRS"): "PQ", ("QRS", "T"): "ST"}.get((name, names[k + 1])) if near else None
            masks[inside] = ECG_GRAMMAR.mask(between or "TP")
    return masks


def is_possible(masks, times):
    """Return whether some labelling of the grammar agrees with the marks."""
    structure = SpanStructure(grammar=ECG_GRAMMAR)
    unary = np.zeros((len(times), len(structure.kinds) * ECG_GRAMMAR.n_states))
    try:
        structure.log_likelihood_and_gradient(unary, np.zeros(structure.n_weights), times, [len(times)], masks)
    except AnnotationError:
        return False
    return True


# %% [markdown]
# Candidates, windows and codes are those of the pages before, with three windows: the wave itself, the wave with its
# neighbours, and the beat before.

# %%
WINDOWS = (
    Window(before=0.1, after=0.1, n_points=25),
    Window(before=0.4, after=0.4, n_points=40, detrend="linear"),
    Window(before=1.2, after=0.4, n_points=40, detrend="linear"),
)


def windows_of(recording):
    """Return the candidates of lead II, and three windows around each."""
    signal = recording.signals[:, lead]
    positions = EcgSegmenter().segment(signal, fs=recording.fs).position
    scale = RunningScale().measure(signal, fs=recording.fs).scale[positions, None]
    relative = [extract_windows(signal, positions, window, rate=recording.fs) / scale for window in WINDOWS]
    return positions, [part / (np.abs(part) + 0.25) for part in relative]


described = [windows_of(recording) for recording in people.recordings]
of_states = [
    allowed_states(annotation, positions, recording.fs)
    for recording, annotation, (positions, _) in zip(people.recordings, people.annotations, described, strict=True)
]
seconds = [positions / recording.fs for recording, (positions, _) in zip(people.recordings, described, strict=True)]
seen = [k for k in range(0, len(described), 2) if is_possible(of_states[k], seconds[k])]
unseen = range(1, len(described), 2)
rng = np.random.default_rng(0)
dictionaries = []
for kind in range(len(WINDOWS)):
    learned_from = np.concatenate([described[k][1][kind] for k in seen])
    dictionaries.append(learn_dictionary(learned_from, 48, n_nonzero=5, n_iter=30, rng=rng))


def features(windows):
    """Return the codes of all kinds of windows side by side, the signs of their coefficients apart."""
    pairs = zip(windows, dictionaries, strict=True)
    return np.hstack([omp(of_kind, atoms, n_nonzero=5).to_dense(sign_split=True) for of_kind, atoms in pairs])


def stacked(which):
    """Return features, masks, lengths and times of people, one after the other."""
    X = np.concatenate([features(described[k][1]) for k in which])
    lengths = [len(seconds[k]) for k in which]
    return X, np.concatenate([of_states[k] for k in which]), lengths, np.concatenate([seconds[k] for k in which])


X, masks, lengths, times = stacked(seen)
X_new, _, lengths_new, times_new = stacked(unseen)
print(f"{X.shape[1]} features, {np.mean(X > 0):.1%} not zero; {len(X)} candidates of {len(seen)} people to learn from")

# %% [markdown]
# ## Three structures, one set of features
#
# - **Independent** labels: each interval on its own (multinomial logistic regression).
# - A **linear chain**: and a weight for each transition that the grammar of a heartbeat allows.
# - A **span CRF** (semi-Markov): a wave is one span with potentials of its own for its onset, offset, middle and
#   duration.
#
# All maximise the likelihood of the marks, with the same penalty on large weights. What differs is what they can know.

# %%
WAVES = ("P", "QRS", "T")
positions_new = np.concatenate([described[k][0] for k in unseen])


def as_spans(paths, sequence, fs):
    """Return the waves of one sequence of a labelling."""
    rows = [
        (positions_new[start], -1, positions_new[stop], WAVES.index(ECG_GRAMMAR.states[state]), lead, np.nan)
        for start, stop, state, of in zip(paths.start, paths.stop, paths.state, paths.sequence, strict=True)
        if of == sequence and ECG_GRAMMAR.states[state] in WAVES
    ]
    return Spans.from_rows(rows, fs=fs, channels=LEADS, classes=WAVES)


structures = {"independent": IndependentCRF, "chain": LinearChainCRF, "span": SpanCRF}
models, labelled, macro = {}, {}, {}
for name, kind in structures.items():
    model = models[name] = kind(l2=4.0, max_iter=60).fit(X, masks, lengths, times=times)
    paths = model.predict(X_new, lengths_new, times=times_new)
    labelled[name] = [as_spans(paths, place, people.recordings[k].fs) for place, k in enumerate(unseen)]
    cases = [(people.annotations[k], spans) for k, spans in zip(unseen, labelled[name], strict=True)]
    score = score_delineation(cases, channels=["II"])
    macro[name] = np.array([score_delineation([case], channels=["II"]).macro() for case in cases])
    f1 = "  ".join(f"{wave} {score.f1(wave):5.1f} / {score.f1(wave, 'tight'):5.1f}" for wave in ("P", "QRS", "T"))
    print(f"{name:>12}: F1 within 150 ms / tight windows: {f1}; invented P waves a beat {score.false_p_per_beat:.2f}")

# %% [markdown]
# For each structure the mean F1 of onset and offset. A wrong label costs twice here: the wave is missed, and another
# one is invented. *Invented P waves* are counted in people who have none (atrial fibrillation).
#
# The chain beats independent labels where one window is not enough: P and T waves, and it invents half as many P waves.
# Spans move edges: P waves and QRS complexes gain in the tight windows. QRS complexes, which a single window tells
# well, gain nothing from structure within 150 ms. Twenty people are few: a point or two is chance ([page
# 5](05_evaluation.md) shows how to tell; here is [the same comparison on all of
# LUDB](../../experiments/structures/README.md)).
#
# Now the two people whose F1 changes most from independent labels to the chain, for the better (left) and for the worse
# (right):

# %%
COLOURS = {"P": "#0072B2", "QRS": "#D55E00", "T": "#009E73"}


def draw(ax, recording, spans):
    """Draw five seconds of lead II with its waves."""
    ax.plot(np.arange(recording.n_samples) / recording.fs, recording.signals[:, lead], color="#2b2f36", linewidth=0.7)
    for wave in spans.of(channel="II").to_frame().itertuples():
        ax.axvspan(wave.onset_s, wave.offset_s, color=COLOURS[wave.label], alpha=0.35, linewidth=0)
    ax.set(xlim=(2, 7), yticks=[])


gain = macro["chain"] - macro["independent"]
figure, grid = plt.subplots(4, 2, figsize=(10, 6), sharex=True, layout="constrained")
for column, place in zip(grid.T, (np.nanargmax(gain), np.nanargmin(gain)), strict=True):
    recording = people.recordings[unseen[place]]
    draw(column[0], recording, people.annotations[unseen[place]].spans)
    for ax, name in zip(column[1:], structures, strict=True):
        draw(ax, recording, labelled[name][place])
for ax, name in zip(grid[:, 0], ("expert", *structures), strict=True):
    ax.set_ylabel(name)
for ax in grid[-1]:
    ax.set_xlabel("time (s)")
save_figure(figure, "figures/04_labels.png", dpi=90)

# %% [markdown]
# ![Expert marks and three labellings of two leads](figures/04_labels.png)
#
# Blue: P, orange: QRS, green: T. Left: independent labels break waves into pieces and put some where none can be, since
# nothing tells them of their neighbours. The chain reports whole waves in the order of a heartbeat, all but the last
# complex, which it takes for a P wave; the span CRF does so twice. Right: complexes unlike those of all twenty people,
# a spike and then a broad wave, as of a pacemaker; even the expert has marked T waves only. Independent labels name
# what looks familiar; chain and spans find no order in it and call nearly all of it TP. A structure replaces many small
# errors by few large ones.
#
# ## What was learned
#
# The chain's transitions, and the span CRF's durations: scores in natural logarithms, higher is likelier.

# %%
table = models["chain"].structure.transition(models["chain"].weights_)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), width_ratios=(1, 1.5), layout="constrained")
image = left.imshow(np.where(np.isfinite(table), table, np.nan), cmap="PuOr", vmin=-3, vmax=3)
left.set_facecolor("#8a9099")
left.set_xticks(range(6), ECG_GRAMMAR.states)
left.set_yticks(range(6), ECG_GRAMMAR.states)
left.set(xlabel="to", ylabel="from", title="chain: transitions")
figure.colorbar(image, ax=left)
durations = models["span"].structure.span_weights(models["span"].weights_).duration
for state, colour in (("P", "#0072B2"), ("QRS", "#D55E00"), ("T", "#009E73"), ("PQ", "#8a9099")):
    y = ECG_GRAMMAR.index(state)
    centres = (np.arange(ECG_GRAMMAR.n_bins) + 0.5) * ECG_GRAMMAR.longest[y] / ECG_GRAMMAR.n_bins
    right.plot(1000 * centres, durations[y], color=colour, drawstyle="steps-mid", label=state)
right.set(xlabel="duration (ms)", title="spans: scores of durations")
right.legend(frameon=False)
save_figure(figure, "figures/04_learned.png", dpi=90)

# %% [markdown]
# ![A table of transition weights, and curves of duration scores](figures/04_learned.png)
#
# Grey transitions are forbidden. The durations peak near those of [page 1](01_signal.md#how-large-how-long-how-fast),
# learned through the likelihood of all marks and not measured one by one.
#
# ## Exercises
#
# 1. In the small chain, which score of the third interval makes RPPR and RPQR equally likely? Check it with
#    `occupancy`.
# 2. Find scores for which the best labelling (MAP) has another state in some interval than the marginals.
# 3. Train the chain with `restricted=False`. Which forbidden transitions does it use on the test people? Does F1
#    suffer?
# 4. Hide every second beat of the training marks, once by allowing all states there, once by calling it TP. Compare the
#    sensitivity.
# 5. Compare the recall of P, QRS and T waves of the three structures. The lecture behind this course says that a CRF
#    shows no differential recall between labels; do you agree?
#
# <details><summary>Hints</summary>
#
# 1. The two labellings differ in one unary score and two transitions: set the sums equal.
# 2. Let one labelling be best by a little, and many slightly worse ones agree on another state.
# 3. `LinearChainCRF(restricted=False)`; count the neighbouring pairs in `paths.state`.
# 4. `ECG_GRAMMAR.mask()` allows all, `ECG_GRAMMAR.mask("TP")` calls it background.
# 5. `score.to_frame()` has the sensitivity of every point. Give intervals: [page 5](05_evaluation.md).
#
# </details>
