"""A trained model moved towards one person's marks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from mhealth.crf import SpanStructure
from mhealth.labeling._features import Features
from mhealth.labeling._model import Model
from mhealth.labeling._training import Progress, TrainingSet, TrainingSettings, loss_of_outputs

__all__ = ["adapt"]

_MOST_STEPS = 100
"""Of L-BFGS, which starts near the optimum: 15 beats take 30 to 60."""

_TOLERANCE = 1e-6
"""Share by which a step must improve the objective; its likelihood is computed from float32."""


def adapt(model: Model, data: TrainingSet, *, strength: float, progress: Progress) -> Model:
    """Return the model whose last layer and structure fit marks best, at a price for moving away from where they were.

    Maximises the log-likelihood of the marks − strength / 2 · |w − w₀|² over the weights w of the last layer and of the
    structure [1]_, less the error of edge shifts as in training. w₀ are the weights of the model: what few marks say
    nothing about stays as it was. The codes below stay too, so that the problem is small: 10⁴ weights.

    Parameters
    ----------
    model : Model
    data : TrainingSet
        Coded with the model's dictionaries.
    strength : float
        Inverse variance of the normal prior around w₀.
    progress : callable
        Called as ``progress(stage, done, total)``.

    References
    ----------
    .. [1] Chelba, Acero (2006). Adaptation of maximum entropy capitalizer: little data can help a lot. Computer Speech
       and Language 20(4). https://doi.org/10.1016/j.csl.2005.05.005
    """
    emission, structure = model.emission, SpanStructure(grammar=model.task.grammar)
    sequences = np.arange(len(data))
    is_node, codes = data.is_node(sequences), _last_codes(model, data)
    shape, n_out = emission.last.shape, len(emission.bias)
    start = np.concatenate([emission.last.ravel(), emission.bias, structure.vector(model.weights)]).astype(np.float64)
    shift_weight = TrainingSettings().shift_weight

    def parts(vector: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
        last, bias, weights = np.split(vector, np.cumsum([emission.last.size, n_out]))
        return last.reshape(shape).astype(np.float32), bias.astype(np.float32), weights

    def loss(vector: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        last, bias, weights = parts(vector)
        out = np.zeros((len(is_node), n_out), np.float32)
        out[is_node] = codes @ last + bias
        value, of_out, of_weights = loss_of_outputs(out, weights, data, sequences, structure, shift_weight)
        of_out, moved, price = of_out[is_node], vector - start, strength / len(codes)
        gradient = np.concatenate([(codes.T @ of_out).ravel(), of_out.sum(axis=0), of_weights]) + price * moved
        return value + 0.5 * price * float(moved @ moved), gradient

    done = 0

    def after_step(_: NDArray[np.float64]) -> None:
        nonlocal done
        done += 1
        progress("adapting", done, _MOST_STEPS)

    options = {"maxiter": _MOST_STEPS, "ftol": _TOLERANCE, "gtol": _TOLERANCE}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", callback=after_step, options=options)
    last, bias, weights = parts(found.x)
    return replace(model, emission=replace(emission, last=last, bias=bias), weights=structure.span_weights(weights))


def _last_codes(model: Model, data: TrainingSet) -> NDArray[np.float32]:
    """Return the second layer's codes of every row: outputs of a last layer that passes them on."""
    n_second = len(model.emission.second_threshold)
    plain = replace(model.emission, last=np.eye(n_second, dtype=np.float32), bias=np.zeros(n_second, np.float32))
    return plain.outputs(Features(np.arange(len(data.dense)), data.dense, data.columns, data.values))
