"""How near optimisers come to the optimum, where one is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.utils.extmath import safe_sparse_dot

from experiments._ludb import ground, learned, packed, scored
from experiments._structures import STRUCTURES, Stacked, coder, stacked, stretches_of
from experiments.sensitivity._fits import OtherTask, moved
from mhealth.crf import Potentials, SpanCRF, span_expectations
from mhealth.labeling import TrainingSettings
from mhealth.labeling._ecg_task import ECG
from mhealth.labeling._examples import examples, lead_cases
from mhealth.labeling._training import coded
from mhealth.sparse import Dictionary, learn_dictionary, omp

if TYPE_CHECKING:
    from experiments._experiment import Run
    from mhealth.cli._training import Case
    from mhealth.core import Recording
    from mhealth.labeling._emission import SparseEmission
    from mhealth.labeling._model import Model
    from mhealth.labeling._training import TrainingSet

__all__ = ["codes", "crf", "dictionary", "emission", "exhaustive", "gap"]


def crf(run: Run, before: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return how far L-BFGS ends from the optimum of each structure, in nats per interval.

    With the state of every interval known, the penalised likelihood is strongly concave: it lies at most
    |gradient|² / (2 · l2) below its maximum. Such marks are the best labelling by a model of the experts' marks. Those
    themselves leave states open, so that the likelihood is not concave; there, what more iterations gain is told.
    """
    real = marked(run)
    first = SpanCRF(ECG.grammar, l2=1.0, max_iter=run.settings["max_iter"] // 4)
    first.fit(real.X, real.allowed, real.lengths, times=real.times)
    paths = first.predict(real.X, real.lengths, times=real.times)
    states = np.zeros(len(real.allowed), np.uint8)
    for start, stop, state in zip(paths.start, paths.stop, paths.state, strict=True):
        states[start:stop] = 1 << state
    rows = []
    for name, kind in STRUCTURES.items():
        for marks, y in (("every state", states), ("experts'", real.allowed)):
            run.progress(f"{name}, {marks}", len(rows), 6)
            usual = kind(ECG.grammar, l2=1.0, max_iter=run.settings["max_iter"])
            usual.fit(real.X, y, real.lengths, times=real.times)
            longer = kind(ECG.grammar, l2=1.0, max_iter=run.settings["longer"] * run.settings["max_iter"], tol=1e-12)
            longer.fit(real.X, y, real.lengths, times=real.times)
            n_intervals = len(real.times) - len(real.lengths)
            rows.append(
                {
                    "structure": name,
                    "marks": marks,
                    "iterations": usual.n_iter_,
                    "longer": longer.n_iter_,
                    "objective": usual.objective_ / n_intervals,
                    "gained": (longer.objective_ - usual.objective_) / n_intervals,
                    "gap": gap(usual, real, y) if marks == "every state" else None,
                    "gap_longer": gap(longer, real, y) if marks == "every state" else None,
                }
            )
    return rows


def marked(run: Run) -> Stacked:
    """Return coded leads of the subjects outside the first fold with what experts marked, stacked."""

    def make() -> Stacked:
        cases = ground(run).training(run.settings["tested"][0])[: run.settings["optimised"]]
        found = [stretch for stretch in stretches_of(cases, run.settings["leads"], ECG) if stretch.feasible]
        return stacked(found, coder(found, ECG, TrainingSettings(**run.settings["training"]), run.seed))

    return run.once("marked", make)


def gap(estimator: Any, data: Stacked, y: NDArray[np.uint8]) -> float:
    """Return a bound on what the objective lacks to its maximum, in nats per interval; y has one state an interval."""
    found = estimator.structure.log_likelihood_and_gradient(
        estimator.unary(data.X), estimator.weights_, data.times, data.lengths, y
    )
    of_coef = safe_sparse_dot(data.X.T, found.unary) - estimator.l2 * estimator.coef_
    of_intercept = found.unary.sum(axis=0, dtype=np.float64) - estimator.l2 * estimator.intercept_
    of_weights = found.weights - estimator.l2 * estimator.weights_
    square = sum(float((part**2).sum()) for part in (of_coef, of_intercept, of_weights))
    return square / (2 * estimator.l2) / (len(data.times) - len(data.lengths))


def emission(run: Run, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the last layer and the structure lack to their optimum once AdamW has ended, the layers below kept.

    L-BFGS goes on for the same likelihood, over the same kind of data: leads and an altered copy of each. Told are nats
    per interval there and on the tested fold, and the labels of both. Dropout and decay keep AdamW from that optimum on
    purpose; what counts is the tested fold.
    """
    fold, given = run.settings["tested"][0], ground(run)
    settings = TrainingSettings(**run.settings["training"])
    labeler = OtherTask(leads="independent", training=settings, noise=given.noise, random_state=run.seed)
    labeler.task = moved(ECG, "eager", [])  # no bonus on top of what was learned
    learned(labeler, given.training(fold), run)
    model = labeler.model_
    rng = np.random.default_rng(run.seed)
    seen = described(model, given.training(fold), rng, given.noise, 1)
    unseen = described(model, given.tested(fold), rng, [], 0)
    found = {"AdamW": {"seen": likelihood(model, seen), "unseen": likelihood(model, unseen),
                       "scores": packed(scored(labeler, given.tested(fold)))}}  # fmt: skip
    best = SpanCRF(ECG.grammar, l2=1.0, max_iter=run.settings["max_iter"], n_jobs=2)
    best.fit(
        seen.X, seen.allowed, seen.lengths, times=seen.times,
        progress=lambda _, done, total: run.progress("last layer", done, total),
    )  # fmt: skip
    labeler.model_ = with_last(model, best)
    found["L-BFGS"] = {"seen": likelihood(labeler.model_, seen), "unseen": likelihood(labeler.model_, unseen),
                       "scores": packed(scored(labeler, given.tested(fold)))}  # fmt: skip
    return found | {"iterations": best.n_iter_}


def with_last(model: Model, best: SpanCRF) -> Model:
    """Return a model with last layer and structure of a span CRF above its second layer; edge shifts stay."""
    n = 4 * model.task.grammar.n_states
    last, bias = model.emission.last.copy(), model.emission.bias.copy()
    last[:, :n], bias[:n] = best.coef_, best.intercept_
    new = replace(model.emission, last=last, bias=bias)
    return replace(model, emission=new, weights=best.structure.span_weights(best.weights_))


def described(
    model: Model, cases: Sequence[Case], rng: np.random.Generator, noise: Sequence[Recording], n_copies: int
) -> Stacked:
    """Return the second layer at the candidates of leads and altered copies, with the marks, stacked."""
    pieces = [(recording.signals[:, k], recording.fs) for recording in noise for k in range(recording.signals.shape[1])]
    leads = [lead for case in cases for lead in lead_cases(case.recording, case.annotation)]
    shown = (
        (k, list(examples(ECG.augmented(lead, rng, pieces) if copy else lead, ECG)))
        for copy in range(1 + n_copies)
        for k, lead in enumerate(leads)
    )
    data = coded(shown, model.dictionaries, TrainingSettings(n_nonzero=model.n_nonzero), ECG)
    lengths = [len(times) for times in data.times]
    ends = np.cumsum(lengths)
    is_candidate = np.ones(ends[-1], bool)
    is_candidate[ends - 1] = is_candidate[ends - lengths] = False
    X = np.zeros((len(is_candidate), len(model.emission.second_threshold)), np.float32)
    X[is_candidate] = second_layer(model.emission, data)
    allowed = np.concatenate([targets.allowed for targets in data.targets])
    return Stacked(scipy.sparse.csr_array(X), allowed, np.concatenate(data.times), lengths)


def second_layer(emission: SparseEmission, data: TrainingSet) -> NDArray[np.float32]:
    """Return the second layer of codes of candidates, shape (n, n_second)."""
    rows, slots = np.nonzero(data.columns >= 0)
    entries = data.values[rows, slots], (rows, data.columns[rows, slots])
    codes = scipy.sparse.csr_array(entries, shape=(len(data.columns), len(emission.of_codes)))
    first = np.maximum(data.dense @ emission.of_dense + codes @ emission.of_codes + emission.threshold, 0)
    return np.maximum(first @ emission.second + emission.second_threshold, 0)


def likelihood(model: Model, data: Stacked) -> float:
    """Return the log-likelihood of marks above the second layer, in nats per interval."""
    n = 4 * model.task.grammar.n_states
    scores = (data.X @ model.emission.last[:, :n] + model.emission.bias[:n]).astype(np.float32)
    ends = np.cumsum(data.lengths)
    scores[ends - 1] = scores[ends - np.array(data.lengths)] = 0  # the ends of a stretch say nothing
    potentials = Potentials(*(np.ascontiguousarray(part) for part in np.split(scores, 4, axis=1)))
    arguments = (potentials, data.times, data.lengths, model.weights, model.task.grammar)
    known, free = span_expectations(*arguments, data.allowed), span_expectations(*arguments)
    return float((known.log_z - free.log_z).sum() / (len(data.times) - len(data.lengths)))


def dictionary(run: Run, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return which planted atoms approximate K-SVD finds again, and how much its error depends on start and length."""
    rng = np.random.default_rng(run.seed)
    planted = unit(rng.normal(size=(32, 40)))
    mixed = np.zeros((20000, 32))
    for row in mixed:
        row[rng.choice(32, 3, replace=False)] = rng.normal(size=3)
    again = learn_dictionary(mixed @ planted, 32, n_nonzero=3, rng=rng)
    found = np.abs(again.atoms @ planted.T).max(axis=0)
    windows = wave_windows(run)
    half = len(windows) // 2
    errors: dict[str, list[float]] = {}
    for text, n_iter in (("usual", 200), ("longer", 200 * run.settings["longer"])):
        for start in range(run.settings["starts"]):
            run.progress("dictionaries", start, run.settings["starts"])
            learned_ = learn_dictionary(
                windows[:half], 64, n_nonzero=5, n_iter=n_iter, rng=np.random.default_rng([run.seed, start])
            )
            errors.setdefault(text, []).append(left_over(windows[half:], learned_, 5))
    return {"recovered": float((found > 0.99).mean()), "errors": errors}


def codes(run: Run, before: Mapping[str, Any]) -> dict[str, float]:
    """Return what greedy codes leave beside the best codes of as many atoms, by trying all supports."""
    windows = wave_windows(run)
    small = learn_dictionary(windows, 16, n_nonzero=3, rng=np.random.default_rng(run.seed))
    some = windows[:: max(1, len(windows) // 300)].astype(np.float64)
    best = exhaustive(some, small.atoms.astype(np.float64), 3)
    rest = some - omp(some, small, n_nonzero=3).reconstruct(small)
    greedy = (rest**2).sum(axis=1)
    return {
        "more_pct": float(100 * (greedy.sum() / best.sum() - 1)),
        "optimal_pct": float(100 * np.mean(greedy <= best * 1.0001 + 1e-9)),
        "energy_left_pct": float(100 * best.sum() / (some**2).sum()),
    }


def wave_windows(run: Run) -> NDArray[np.float32]:
    """Return windows of ±0.4 s about candidates of some recordings, in random order."""

    def make() -> NDArray[np.float32]:
        cases = ground(run).training(run.settings["tested"][0])[: run.settings["optimised"]]
        found = [stretch.example.raw for stretch in stretches_of(cases, run.settings["leads"], ECG)]
        windows = np.concatenate([raw.windows[1] for raw in found if raw is not None])
        windows = windows[windows.any(axis=1)]
        return windows[np.random.default_rng(run.seed).permutation(len(windows))[:20000]]

    return run.once("wave windows", make)


def exhaustive(windows: NDArray[np.float64], atoms: NDArray[np.float64], n_nonzero: int) -> NDArray[np.float64]:
    """Return the energy that the best code of so many atoms leaves of each window, by trying all supports."""
    best = np.full(len(windows), np.inf)
    for support in combinations(range(len(atoms)), n_nonzero):
        basis = atoms[list(support)].T
        q, _ = np.linalg.qr(basis)
        best = np.minimum(best, ((windows - (windows @ q) @ q.T) ** 2).sum(axis=1))
    return best


def left_over(windows: NDArray[np.float32], learned_: Dictionary, n_nonzero: int) -> float:
    """Return the share of energy that codes leave, in per cent."""
    rest = windows - omp(windows, learned_, n_nonzero=n_nonzero).reconstruct(learned_)
    return float(100 * (rest.astype(float) ** 2).sum() / (windows.astype(float) ** 2).sum())


def unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


CHECKS: dict[str, Callable[[Run, Mapping[str, Any]], Any]] = {
    "crf": crf,
    "emission": emission,
    "dictionary": dictionary,
    "codes": codes,
}
"""By what is optimised."""
