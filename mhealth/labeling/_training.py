"""Learn dictionaries, codes and structure from examples."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from mhealth.crf import Grammar, SpanStructure
from mhealth.errors import AnnotationError
from mhealth.labeling._emission import SparseEmission
from mhealth.labeling._examples import Example
from mhealth.labeling._features import Features, FeatureSettings, RawFeatures, code
from mhealth.labeling._task import Task
from mhealth.sparse import Dictionary, learn_dictionary

__all__ = [
    "Progress",
    "TrainingSet",
    "TrainingSettings",
    "coded",
    "learn_dictionaries",
    "loss_of_outputs",
    "train_emission",
]

Progress = Callable[[str, int, int], None]
"""Called with the name of a stage, what is done of it and how much there is."""

_MOST_WINDOWS = 60_000
"""Windows a dictionary is learned from: with four times as many the error on other windows was the same."""

_NOTHING = "No annotated stretch is left to train on; expected P, QRS or T marks inside annotated stretches."

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How the codes are refined and the structure learned.

    Parameters
    ----------
    n_atoms, n_nonzero : int
        Size of each dictionary, and atoms that a window may take.
    n_first, n_second : int
        Sizes of the two layers of codes.
    n_epochs : int
        Passes over the examples, counting a pass over all augmented copies as one.
    fewest_steps : int
        Steps that are taken even if that makes more passes. Three leads of LUDB gain 1.0 and 2.5 points of macro F1
        (within 150 ms and tight) from 762 steps instead of 254.
    n_augmented : int
        Augmented copies of every lead beside the original.
    batch_size : int
        Sequences a step.
    learning_rate, weight_decay, dropout : float
        Of AdamW [1]_ with one cycle of warm-up and cosine decay, and of the first layer's codes.
    shift_weight : float
        Weight of the error of edge shifts beside the negative log-likelihood.

    References
    ----------
    .. [1] Loshchilov, Hutter (2019). Decoupled weight decay regularization. ICLR. https://arxiv.org/abs/1711.05101
    """

    n_atoms: int = 64
    n_nonzero: int = 5
    n_first: int = 256
    n_second: int = 64
    n_epochs: int = 4
    fewest_steps: int = 750
    n_augmented: int = 3
    batch_size: int = 24
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    dropout: float = 0.1
    shift_weight: float = 0.1


class TrainingSet:
    """Coded examples, stacked."""

    def __init__(
        self, features: list[Features], examples: list[Example], recording: list[int], shift_unit: float
    ) -> None:
        self.shift_unit = shift_unit
        self.dense = np.concatenate([part.dense for part in features])
        self.columns = np.concatenate([part.columns for part in features])
        self.values = np.concatenate([part.values for part in features])
        self.first_row = np.concatenate([[0], np.cumsum([len(part.positions) for part in features])])
        self.times = [example.times for example in examples]
        self.targets = [example.targets for example in examples]
        self.recording = np.array(recording, dtype=np.int64)  # which one each sequence comes from

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.times)

    def rows(self, sequences: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows of features of some sequences."""
        return np.concatenate([np.arange(self.first_row[k], self.first_row[k + 1]) for k in sequences])

    def is_node(self, sequences: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of the stacked nodes of some sequences have features: all but the ends of each."""
        ends = np.cumsum([len(self.times[k]) for k in sequences])
        inner = np.ones(ends[-1], bool)
        inner[ends - 1] = False
        inner[np.concatenate([[0], ends[:-1]])] = False
        return inner


def learn_dictionaries(
    raw: list[RawFeatures], features: FeatureSettings, settings: TrainingSettings, rng: np.random.Generator
) -> tuple[Dictionary, ...]:
    """Learn one dictionary for each kind of window of each lead, without labels."""
    if not raw:
        raise AnnotationError(_NOTHING)
    kinds = (
        *((f"window_{k}", window.before, window.after) for k, window in enumerate(features.windows)),
        *((name, seconds, seconds) for name, _, seconds in features.context.windows),
    )
    dictionaries = []
    for k in range(len(raw[0].windows)):
        name, before, after = kinds[k % len(kinds)]  # leads side by side have the same windows
        windows = np.concatenate([part.windows[k] for part in raw])
        windows = windows[windows.any(axis=1)]
        if len(windows) > _MOST_WINDOWS:
            windows = windows[np.sort(rng.choice(len(windows), _MOST_WINDOWS, replace=False))]
        learned = learn_dictionary(windows, settings.n_atoms, n_nonzero=settings.n_nonzero, rng=rng)
        dictionaries.append(replace(learned, name=name, before=before, after=after))
    return tuple(dictionaries)


def coded(
    parts: Iterable[tuple[int, list[Example]]],
    dictionaries: tuple[Dictionary, ...],
    settings: TrainingSettings,
    task: Task,
) -> TrainingSet:
    """Code the examples of each recording; leave out those that no labelling of the grammar agrees with."""
    grammar = task.grammar
    structure = SpanStructure(grammar=grammar)
    features, kept, recording, left_out = [], [], [], 0
    for owner, part in parts:
        for example in part:
            unary = np.zeros((len(example.times), 4 * grammar.n_states), np.float32)
            try:
                structure.log_likelihood_and_gradient(
                    unary, np.zeros(structure.n_weights), example.times, [len(unary)], example.targets.allowed
                )
            except AnnotationError:
                left_out += 1
                continue
            assert example.raw is not None
            features.append(code(example.raw, dictionaries, settings.n_nonzero))
            kept.append(replace(example, raw=None))
            recording.append(owner)
    if left_out:
        _log.info("%d of %d sequences agree with no labelling and were left out", left_out, left_out + len(kept))
    if not kept:
        raise AnnotationError(_NOTHING)
    return TrainingSet(features, kept, recording, task.shift_unit)


def loss_of_outputs(
    out: NDArray[np.float32],
    weights: NDArray[np.float64],
    data: TrainingSet,
    sequences: NDArray[np.int64],
    structure: SpanStructure,
    shift_weight: float,
) -> tuple[float, NDArray[np.float32], NDArray[np.float64]]:
    """Return the loss per candidate of an emission's outputs, and its gradients by outputs and structure weights.

    Parameters
    ----------
    out : ndarray of float32, shape (n_nodes, 6 · n_states)
        Of the stacked nodes of the sequences; zero at the ends of each.
    weights : ndarray of float64
        Of the structure.
    data : TrainingSet
    sequences : ndarray of int64
        Which of its sequences.
    structure : SpanStructure
    shift_weight : float
        Weight of the Huber loss of edge shifts at marked edges beside the negative log-likelihood.
    """
    lengths = np.array([len(data.times[k]) for k in sequences])
    is_node, n_scores = data.is_node(sequences), 4 * structure.grammar.n_states
    n = int(is_node.sum())
    found = structure.log_likelihood_and_gradient(
        out[:, :n_scores], weights,
        np.concatenate([data.times[k] for k in sequences]), lengths,
        np.concatenate([data.targets[k].allowed for k in sequences]), n_jobs=2,
    )  # fmt: skip
    gradient = np.zeros_like(out)
    gradient[:, :n_scores] = -found.unary / n

    targets, starts = [data.targets[k] for k in sequences], np.cumsum(lengths) - lengths
    node = np.concatenate([t.edge_node + start for t, start in zip(targets, starts, strict=True)])
    kind = np.concatenate([t.edge_kind for t in targets])
    shift = np.concatenate([t.edge_shift for t in targets])
    used = is_node[node]
    node, column = node[used], n_scores + kind[used]
    error = out[node, column] - shift[used] / data.shift_unit
    weight = shift_weight / n
    np.add.at(gradient, (node, column), np.clip(error, -1, 1) * np.float32(weight))
    size = np.abs(error)
    of_shifts = float(weight * np.where(size < 1, error**2 / 2, size - 0.5).sum())
    return -found.value.sum() / n + of_shifts, gradient, -found.weights / n


class _Trainer:
    """One emission and structure in training: forward, backward, AdamW."""

    def __init__(
        self, data: TrainingSet, n_columns: int, grammar: Grammar, settings: TrainingSettings, rng: np.random.Generator
    ) -> None:
        self.data, self.settings, self.rng = data, settings, rng
        self.structure = SpanStructure(grammar=grammar)
        n_dense, n_out = data.dense.shape[1], 6 * grammar.n_states
        first, second = settings.n_first, settings.n_second

        def normal(rows: int, columns: int, size: float) -> NDArray[np.float32]:
            return (rng.standard_normal((rows, columns)) * size).astype(np.float32)

        # He et al. (2015) for layers behind which negative codes are cut off; codes have about 30 non-zeros.
        self.emission = SparseEmission(
            of_dense=normal(n_dense, first, np.sqrt(2 / n_dense)),
            of_codes=normal(n_columns, first, 0.1),
            threshold=np.zeros(first, np.float32),
            second=normal(first, second, np.sqrt(2 / first)),
            second_threshold=np.zeros(second, np.float32),
            last=normal(second, n_out, 0.02),
            bias=np.zeros(n_out, np.float32),
        )
        self.weights = np.zeros(self.structure.n_weights)
        self.parameters = {**self.emission.to_arrays(), "weights": self.weights}
        self.moments = {name: (np.zeros_like(p), np.zeros_like(p)) for name, p in self.parameters.items()}
        self.step_count = 0
        self._pool = ThreadPoolExecutor(2)

    def _halves(self, work: Callable[[int, int], None], n: int) -> None:
        """Do work on two halves of the rows at once."""
        list(self._pool.map(work, (0, n // 2), (n // 2, n)))

    def loss_and_gradient(self, sequences: NDArray[np.int64]) -> tuple[float, dict[str, NDArray]]:
        """Return the loss per candidate of some sequences, and its gradient."""
        from mhealth._kernels._emission import code_gradient, code_products

        data, model = self.data, self.emission
        rows, is_node = data.rows(sequences), data.is_node(sequences)
        dense, columns, values = data.dense[rows], data.columns[rows], data.values[rows]
        n = len(rows)

        first = dense @ model.of_dense + model.threshold
        self._halves(lambda a, b: code_products(columns, values, model.of_codes, a, b, first), n)
        np.maximum(first, 0, out=first)
        kept = self.rng.random(first.shape, dtype=np.float32) >= self.settings.dropout
        first *= kept / np.float32(1 - self.settings.dropout)
        second = np.maximum(first @ model.second + model.second_threshold, 0)
        out = np.zeros((len(is_node), len(model.bias)), np.float32)
        out[is_node] = second @ model.last + model.bias

        loss, gradient, by_weights = loss_of_outputs(
            out, self.weights, data, sequences, self.structure, self.settings.shift_weight
        )

        by_out = gradient[is_node]
        by_second = (by_out @ model.last.T) * (second > 0)
        by_first = (by_second @ model.second.T) * (first > 0) / np.float32(1 - self.settings.dropout)
        by_codes = np.zeros_like(model.of_codes)
        code_gradient(columns, values, by_first, 0, n, by_codes)
        return loss, {
            "of_dense": dense.T @ by_first,
            "of_codes": by_codes,
            "threshold": by_first.sum(axis=0),
            "second": first.T @ by_second,
            "second_threshold": by_second.sum(axis=0),
            "last": second.T @ by_out,
            "bias": by_out.sum(axis=0),
            "weights": by_weights,
        }

    def step(self, gradient: dict[str, NDArray], progress: float) -> None:
        """Move the parameters; `progress` runs from 0 to 1 over the training."""
        settings = self.settings
        warm_up = 0.1
        rate = settings.learning_rate * min(
            1.0, progress / warm_up, 0.5 + 0.5 * np.cos(np.pi * max(0.0, progress - warm_up) / (1 - warm_up))
        )
        self.step_count += 1
        for name, parameter in self.parameters.items():
            mean, square = self.moments[name]
            mean += 0.1 * (gradient[name] - mean)
            square += 0.01 * (gradient[name] ** 2 - square)
            move = (mean / (1 - 0.9**self.step_count)) / (np.sqrt(square / (1 - 0.99**self.step_count)) + 1e-8)
            # Structure weights start at nothing known and are few: they may move four times as fast.
            parameter -= (4 * rate if name == "weights" else rate) * move
            if parameter.ndim == 2:
                parameter -= rate * settings.weight_decay * parameter


def train_emission(
    data: TrainingSet,
    sequences: NDArray[np.int64],
    n_columns: int,
    grammar: Grammar,
    settings: TrainingSettings,
    *,
    rng: np.random.Generator,
    progress: Callable[[int, int], None],
) -> tuple[SparseEmission, NDArray[np.float64]]:
    """Refine codes and learn the structure by the gradient of the likelihood of the marks.

    Parameters
    ----------
    data : TrainingSet
    sequences : ndarray of int64
        Which of its sequences to learn from.
    n_columns : int
        Columns of the sign-split codes of all windows.
    grammar : Grammar
    settings : TrainingSettings
    rng : numpy.random.Generator
        Source of every draw.
    progress : callable
        Called as ``progress(done, steps)``.

    Returns
    -------
    emission : SparseEmission
    weights : ndarray of float64
        Of `SpanStructure`.
    """
    trainer = _Trainer(data, n_columns, grammar, settings, rng)
    n_steps = max(settings.fewest_steps, settings.n_epochs * len(sequences) // settings.batch_size)
    order = np.empty(0, np.int64)
    for k in range(n_steps):
        if len(order) < settings.batch_size:
            order = np.concatenate([order, rng.permutation(sequences)])
        batch, order = np.sort(order[: settings.batch_size]), order[settings.batch_size :]
        loss, gradient = trainer.loss_and_gradient(batch)
        trainer.step(gradient, (k + 1) / n_steps)
        if k % 50 == 0:
            _log.debug("step %d of %d: loss %.4f a candidate", k, n_steps, loss)
        progress(k + 1, n_steps)
    for field in fields(trainer.emission):
        assert np.isfinite(getattr(trainer.emission, field.name)).all()
    return trainer.emission, trainer.weights
