"""A population's model, changed without labels, and models that know nothing yet."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.optimize import brentq

from mhealth.core import Recording
from mhealth.crf import SpanStructure
from mhealth.labeling import EcgLabeler, TrainingSettings
from mhealth.labeling._emission import SparseEmission
from mhealth.labeling._examples import LeadCase, examples
from mhealth.labeling._features import RawFeatures, code
from mhealth.labeling._model import Model
from mhealth.labeling._training import learn_dictionaries
from mhealth.sparse import omp

__all__ = [
    "Looks", "aligned", "candidates", "looks", "of_nothing", "of_own_codes", "rescaled", "with_model", "with_own_atoms",
]  # fmt: skip

WAVE = 1
"""Of the windows of a candidate: 0.4 s to either side."""

UPDATES = 3
"""Of the atoms, each with new codes."""


@dataclass(frozen=True, eq=False)
class Looks:
    """What candidates look like to a model, on average.

    Parameters
    ----------
    size : float
        Mean absolute value of the compressed windows of waves.
    mean, sd : ndarray of float64, shape (n_first,)
        Of what goes into the first layer.
    active : ndarray of float64, shape (n_first,)
        Mean of what comes out of it.
    """

    size: float
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    active: NDArray[np.float64]


def with_model(labeler: EcgLabeler, model: Model) -> EcgLabeler:
    """Return a labeler with another model."""
    new = copy(labeler)
    new.model_ = model
    return new


def candidates(model: Model, recording: Recording, channel: int = 0) -> RawFeatures:
    """Return all candidates of a channel, without labels."""
    whole = LeadCase(
        samples=recording.signals[:, channel], fs=recording.fs, waves=np.empty((0, 3)), labels=[],
        annotated=(0, recording.n_samples),
    )  # fmt: skip
    parts = [example.raw for example in examples(whole, model.task) if example.raw is not None]
    return RawFeatures.concat(parts or [RawFeatures.empty(model.task.front_end.features)])


def looks(model: Model, raw: RawFeatures) -> Looks:
    """Return what candidates look like to a model."""
    into = first_layer(model, raw)
    windows = raw.windows[WAVE]
    return Looks(float(np.abs(windows).mean()), into.mean(axis=0), into.std(axis=0), np.maximum(into, 0).mean(axis=0))


def first_layer(model: Model, raw: RawFeatures) -> NDArray[np.float64]:
    """Return what goes into the first layer, shape (n, n_first)."""
    features, emission = code(raw, model.dictionaries, model.n_nonzero), model.emission
    used = features.columns >= 0
    starts = np.concatenate([[0], np.cumsum(used.sum(axis=1))])
    codes = scipy.sparse.csr_array(
        (features.values[used], features.columns[used], starts), shape=(len(used), len(emission.of_codes))
    )
    return np.asarray(codes @ emission.of_codes + features.dense @ emission.of_dense + emission.threshold, float)


def rescaled(model: Model, raw: RawFeatures, general: Looks, share: float) -> Model:
    """Return the model that takes waves to be as large as the population's: another knee of the compression.

    Parameters
    ----------
    model : Model
    raw : RawFeatures
        A person's candidates.
    general : Looks
        What the population's look like.
    share : float
        Of the way, on the logarithm of the scale.
    """
    size = np.abs(raw.windows[WAVE].astype(float))

    def excess(log: float) -> float:
        return float((size / (size + np.exp(log) * (1 - size))).mean()) - general.size

    factor = np.exp(share * brentq(excess, -5.0, 5.0)) if excess(-5.0) > 0 > excess(5.0) else 1.0
    front_end = model.task.front_end
    features = replace(front_end.features, knee=float(front_end.features.knee * factor))
    return replace(model, task=replace(model.task, front_end=replace(front_end, features=features)))


def with_own_atoms(model: Model, raw: RawFeatures, share: float) -> Model:
    """Return the model with atoms moved so that a person's windows are coded with less error; each keeps its meaning.

    Parameters
    ----------
    model : Model
    raw : RawFeatures
        A person's candidates.
    share : float
        Of the way from each atom to the one that fits best with the present codes (method of optimal directions).
    """
    dictionaries = list(model.dictionaries)
    for k, windows in enumerate(raw.windows):
        used = windows[windows.any(axis=1)].astype(float)
        for _ in range(UPDATES if len(used) else 0):
            old = dictionaries[k].atoms.astype(float)
            codes = omp(used, dictionaries[k], n_nonzero=model.n_nonzero).to_csr()
            energy = (codes.T @ codes).toarray()
            held = 0.1 * energy.diagonal().mean() * np.eye(len(old))  # atoms that are hardly used stay
            best = np.linalg.solve(energy + held, codes.T @ used + held @ old)
            new = old + share * (best - old)
            dictionaries[k] = replace(dictionaries[k], atoms=new / np.linalg.norm(new, axis=1, keepdims=True))
    return replace(model, dictionaries=tuple(dictionaries))


def aligned(model: Model, own: Looks, general: Looks, share: float) -> Model:
    """Return the model whose first layer gets from a person, on average and in spread, what it got from the population.

    Adaptive batch normalisation (Li et al. 2018, https://doi.org/10.1016/j.patcog.2018.03.005), by so much of the way.
    """
    ratio = (np.maximum(general.sd, 1e-6) / np.maximum(own.sd, 1e-6)) ** share
    moved = own.mean * (1 - ratio) + share * (general.mean - own.mean)
    emission = model.emission
    new = {
        "of_dense": emission.of_dense * ratio,
        "of_codes": emission.of_codes * ratio,
        "threshold": emission.threshold * ratio + moved,
    }
    return replace(model, emission=replace(emission, **{name: a.astype(np.float32) for name, a in new.items()}))


def of_nothing(model: Model) -> Model:
    """Return the model with its codes, but nothing known of what they say about labels."""
    emission, grammar = model.emission, model.task.grammar
    structure = SpanStructure(grammar=grammar)
    return replace(
        model,
        emission=replace(emission, last=np.zeros_like(emission.last), bias=np.zeros_like(emission.bias)),
        weights=structure.span_weights(np.zeros(structure.n_weights)),
    )


def of_own_codes(model: Model, raw: RawFeatures, sizes: TrainingSettings, rng: np.random.Generator) -> Model:
    """Return a model that knows nothing but a person's unmarked signal: its dictionaries are learned from that.

    Both layers of codes pass the sparse codes on, so that a span CRF linear in these remains.
    """
    dictionaries = learn_dictionaries([raw], model.task.front_end.features, sizes, rng)
    n_out, n_dense = len(model.emission.bias), raw.dense.shape[1]
    n_columns = 2 * sum(dictionary.n_atoms for dictionary in dictionaries)
    n = n_columns + 2 * n_dense
    of_codes, of_dense = np.zeros((n_columns, n), np.float32), np.zeros((n_dense, n), np.float32)
    of_codes[:, :n_columns] = np.eye(n_columns)
    of_dense[:, n_columns:] = np.hstack([np.eye(n_dense), -np.eye(n_dense)])  # what is negative passes too
    passing = SparseEmission(
        of_dense=of_dense,
        of_codes=of_codes,
        threshold=np.zeros(n, np.float32),
        second=np.eye(n, dtype=np.float32),
        second_threshold=np.zeros(n, np.float32),
        last=np.zeros((n, n_out), np.float32),
        bias=np.zeros(n_out, np.float32),
    )
    return of_nothing(replace(model, emission=passing, dictionaries=dictionaries, n_nonzero=sizes.n_nonzero))
