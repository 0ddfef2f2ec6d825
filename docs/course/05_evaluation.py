"""Page 5 of the course: how good, and how sure is that. Run it, or let `make docs` make 05_evaluation.md of it."""

# %% [markdown]
# # 5. Evaluation
#
# A labeler is trained here, and judged: what counts as found, on whom, how sure that is, and what its probabilities are
# worth.
#
# [4. CRF](04_crf.md) · [all pages](README.md)

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from course_data import ecgs

from mhealth import EcgLabeler, save_figure
from mhealth.labeling import TrainingSettings
from mhealth.metrics import (
    WaveOutcomes,
    bootstrap_difference,
    match,
    precision_recall,
    reliability,
    roc,
    score_delineation,
    wave_outcomes,
)
from mhealth.report import plot_reliability

people = ecgs(40)
print(people.source)


def with_leads(annotation, leads):
    """Return an annotation that is complete in these leads only; `fit` ignores the others."""
    columns = [annotation.spans.channels.index(lead) for lead in leads]
    return replace(annotation, annotated=annotation.annotated[np.isin(annotation.annotated[:, 0], columns)])


# %% [markdown]
# The whole path of the pages before, as one estimator: `EcgLabeler`. It is kept small here, so that it trains within
# seconds; the [models that come with mhealth](../models/ecg.md) have learned from more people and for longer. It learns
# from leads II and V5 of every second person.

# %%
small = TrainingSettings(n_atoms=32, n_nonzero=4, n_first=64, n_second=32, n_epochs=1, fewest_steps=80, n_augmented=1)
labeler = EcgLabeler(leads="independent", training=small)
labeler.fit(
    people.recordings[::2],
    [with_leads(annotation, ("II", "V5")) for annotation in people.annotations[::2]],
    groups=people.subjects[::2],
)
everybody = range(len(people.recordings))
tests = everybody[1::2]
alone = {k: labeler.label(people.recordings[k]) for k in everybody}

# %% [markdown]
# ## What counts as found
#
# Marks and reports are paired one to one, nearest first, up to a tolerance. An unpaired mark is *missed*, an unpaired
# report is *false*, if it lies where marks are complete. Then
#
# - sensitivity (recall): the share of marks that were found,
# - positive predictive value (PPV, precision): the share of reports that are right,
# - F1: their harmonic mean.
#
# Specificity has no meaning here: nobody can count the waves that are absent and were not reported. Whether F1 is 85 or
# 98 is up to the tolerance. Ends of waves in lead II of the people that it has not learned from:

# %%
tolerances = np.array([5, 10, 15, 20, 30, 40, 60, 80, 100, 125, 150])
figure, ax = plt.subplots(figsize=(6, 3.3), layout="constrained")
for label, colour in (("P", "#0072B2"), ("QRS", "#D55E00"), ("T", "#009E73")):
    n_right, n_marks, n_reports = np.zeros(len(tolerances)), 0, 0
    for k in tests:
        fs, column = people.recordings[k].fs, 1
        start, stop = next(row[1:] for row in people.annotations[k].annotated if row[0] == column)
        marks = people.annotations[k].spans.of(label=label, channel="II").offset
        found = alone[k].of(label=label, channel="II").offset
        found, marks = found[(found >= start) & (found < stop)], marks[marks >= 0]
        n_right += [len(match(marks, found, tolerance * fs / 1000)) for tolerance in tolerances]
        n_marks, n_reports = n_marks + len(marks), n_reports + len(found)
    ax.plot(tolerances, 200 * n_right / (n_marks + n_reports), color=colour, marker="o", markersize=3, label=label)
ax.set(xlabel="tolerance (ms)", ylabel="F1 of offsets (%)", ylim=(0, 102))
ax.legend(frameon=False)
save_figure(figure, "figures/05_tolerance.png", dpi=90)

# %% [markdown]
# ![F1 of offsets against the tolerance, for P, QRS and T](figures/05_tolerance.png)
#
# 150 ms is the tolerance of the standard (ANSI/AAMI EC57), and longer than a P wave lasts: it asks whether a wave is
# there. Windows near the spread of experts ask where. `score_delineation` gives both, and the errors in milliseconds:

# %%
cases = [(people.annotations[k], alone[k]) for k in tests]
names = [people.subjects[k] for k in tests]
score = score_delineation(cases, subjects=names, channels=["II", "V5"])
print(score.to_frame("tight").round(1).to_string(index=False))
print(f"macro F1 {score.macro():.1f} within 150 ms, {score.macro('tight'):.1f} in tight windows")

# %% [markdown]
# ## On whom
#
# The same labeler on the people that it learned from, on other leads of these people, and on other people:

# %%
for text, who, leads in (
    ("leads that it learned from", everybody[::2], ["II", "V5"]),
    ("other leads of the same people", everybody[::2], ["I", "V2"]),
    ("the same two leads of other people", tests, ["II", "V5"]),
    ("other leads of other people", tests, ["I", "V2"]),
):
    judged = score_delineation([(people.annotations[k], alone[k]) for k in who], channels=leads)
    print(f"{text:>35}: macro F1 {judged.macro():5.1f} within 150 ms, {judged.macro('tight'):5.1f} tight")

# %% [markdown]
# Only the last two lines say how it does on somebody new. Leads of one person share rhythm, times and much of their
# shape, so a split by leads, by beats or by minutes lets the labeler see the test. Split by *people*:
# `GroupKFold(groups=subjects)`, and beware of data sets that show the same person twice (MIT-BIH 201 and 202; QTDB has
# excerpts of MIT-BIH).
#
# ## How sure
#
# Twenty people are a sample. How far would the F1 of P waves be off with twenty others? The *bootstrap* draws people
# with replacement, again and again, and scores each draw; all leads and beats of a person stay together. For comparison
# the same as if every lead were a person of its own:


# %%
def scores(labelled, *, by_lead):
    """Return the score, resampled by people or, wrongly, by leads."""
    parts = [
        score_delineation(
            [(people.annotations[k], labelled[k]) for k in tests],
            subjects=[f"{people.subjects[k]} {lead if by_lead else ''}" for k in tests],
            channels=[lead],
        )
        for lead in people.recordings[0].channels
    ]
    return sum(parts[1:], parts[0])


rng = np.random.default_rng(0)
for by_lead in (False, True):
    of_all = scores(alone, by_lead=by_lead)
    n = len(of_all.subjects)
    drawn = [of_all.reweighted(rng.multinomial(n, np.full(n, 1 / n))).f1("P") for _ in range(500)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    print(f"P F1 {of_all.f1('P'):.1f}, drawing {n:3} {'leads' if by_lead else 'people'}: {low:.1f} to {high:.1f}")

# %% [markdown]
# Five leads of one heart are not five hearts. Pretending so leaves F1 as it is and makes its interval far too narrow.
#
# Two methods on the same people are compared *pair by pair*: what makes a person difficult is difficult for both, and
# drops out of the difference. Do leads decide better together (*fused*) than each on its own?

# %%
labeler.set_params(leads="fused")
together = {k: labeler.label(people.recordings[k]) for k in tests}
pair = scores(together, by_lead=False), scores(alone, by_lead=False)
statistics = {
    "macro F1 within 150 ms": lambda score: score.macro(),
    "macro F1, tight": lambda score: score.macro("tight"),
    "P F1 within 150 ms": lambda score: score.f1("P"),
}
for name, statistic in statistics.items():
    found = bootstrap_difference(*pair, statistic, n=500)
    print(f"fused − alone, {name:>22}: {found.difference:+.2f} ({found.low:+.2f} to {found.high:+.2f})")

# %% [markdown]
# An interval that holds zero leaves open which is better. It does not say that they are equal.
#
# ## Rare events: ROC or precision and recall
#
# The labeler gives each wave a probability. Over all thresholds on it:

# %%
outcomes = WaveOutcomes.concat(wave_outcomes(people.annotations[k], alone[k], "P") for k in tests)
curve, receiver = precision_recall(outcomes), roc(outcomes)
missed = outcomes.n_marked - np.count_nonzero(outcomes.correct)
print(f"{len(outcomes.correct)} P waves reported, {np.count_nonzero(outcomes.correct)} of them right; {missed} missed")
print(f"area under the ROC curve {receiver.area:.3f}")
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
left.plot(receiver.false_rate, receiver.true_rate, color="#0072B2")
left.plot([0, 1], [0, 1], color="#8a9099", linestyle="--", linewidth=0.8)
left.set(xlabel="share of the false P waves kept", ylabel="share of the right ones kept", title="ROC")
right.plot(curve.recall, curve.precision, color="#0072B2")
right.set(xlabel="recall: share of the marked P waves", ylabel="precision", title="precision and recall")
right.set(xlim=(0, 1.02), ylim=(0, 1.02))
save_figure(figure, "figures/05_curves.png", dpi=90)

# %% [markdown]
# ![ROC curve, and precision against recall](figures/05_curves.png)
#
# The ROC curve compares false waves with all false waves and says nothing of how many there are, nor of waves that were
# never reported. If a person has one ectopic beat in a thousand, a false-positive rate of 1 % sounds small and means
# ten false alarms for each true one. Precision and recall count just that, so look at them whenever what you look for
# is rare.
#
# ## Is 0.9 ninety per cent?
#
# A probability is *calibrated* if of all waves with 0.9 nine in ten are right:

# %%
diagrams = {}
for label in ("P", "QRS", "T"):
    judged = WaveOutcomes.concat(wave_outcomes(people.annotations[k], alone[k], label) for k in tests)
    diagrams[label] = reliability(judged.probability, judged.correct)
save_figure(plot_reliability(diagrams), "figures/05_calibration.png", dpi=75)

# %% [markdown]
# ![Reliability of the probabilities of P, QRS and T](figures/05_calibration.png)
#
# On the diagonal: calibrated; above it: more is right than is claimed. The numbers of waves below each diagram tell
# which points to believe. `fit` calibrates on a fifth of the people, if they have 200 waves of a label; here they have
# not, and these are the bare marginals of a CRF that has seen little and is too unsure of itself. The shipped models
# are calibrated.
#
# ## Exercises
#
# 1. A labeler that reports a wave of each kind every 20 ms: what are its sensitivity, PPV and F1 within 150 ms? And
#    what if, as is usual for QTDB, only sensitivity is given?
# 2. Split the recordings of ten people into halves of 5 s, train on the first halves and test on the second. Compare
#    with testing on other people.
# 3. Recompute the intervals with 10 and with 20 of the people. How does their width depend on the number?
# 4. Choose the threshold of P waves for a precision of 95 %, on half of the test people; apply it to the other half.
#    What do you get, and why not 95 %?
# 5. Calibrate the probabilities on half of the test people with `sklearn.isotonic.IsotonicRegression`, and draw the
#    diagrams of the other half.
#
# <details><summary>Hints</summary>
#
# 1. Build it with `Spans.from_rows`. Greedy one-to-one matching finds every mark; all other reports are false.
# 2. `Recording.slice(start, stop)`; marks of a half are those with `onset >= start` and `offset <= stop`, less `start`;
#    `annotated` likewise.
# 3. By the square root: four times the people, half the width.
# 4. The threshold was chosen because it looked good there; see also how few false waves decide it.
# 5. `fit(judged.probability, judged.correct)`. This is what `fit` does with people that it holds back; see
#    [how](../method/span-crf.md#from-marginals-to-probabilities).
#
# </details>
