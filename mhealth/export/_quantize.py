"""A network of floating point in whole numbers: ranges from recordings, and what each layer loses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mhealth.dsp import Convolutions
from mhealth.errors import InvalidSignalError
from mhealth.export._accuracy import alone
from mhealth.export._pipeline import MISSING
from mhealth.labeling._network import NetworkContext
from mhealth.labeling._network_emission import read_by_network

if TYPE_CHECKING:
    from mhealth.labeling import EcgLabeler
    from mhealth.nn import Network

__all__ = ["LayerError", "in_whole_numbers", "layer_errors", "network_of"]

_LEAST = 30.0
"""Seconds of leads from which ranges are chosen at least: some beats of every kind that a person has."""

_MOST = 1024
"""Blocks from which they are chosen at most, which is enough (87 minutes)."""

_COMPARED = 24
"""Blocks on which layers are compared: two minutes."""


def network_of(labeler: EcgLabeler) -> Network | None:
    """Return the network that describes the candidates of a labeler, if one does."""
    context = labeler._fitted().task.front_end.features.context
    return context.network if isinstance(context, NetworkContext) else None


def in_whole_numbers(labeler: EcgLabeler, leads: Sequence[NDArray[np.int32]]) -> EcgLabeler:
    """Return a labeler whose network computes in int8.

    Parameters
    ----------
    labeler : EcgLabeler
        With a causal network in float32. It stays as it is.
    leads : sequence of ndarray of int32
        At the model's rate, from which the ranges of all activations are chosen.

    Raises
    ------
    InvalidSignalError
        If they hold less than half a minute.
    MissingExtraError
        If TensorFlow is not installed.
    """
    from mhealth.nn import quantize

    network = network_of(labeler)
    assert network is not None
    seconds = sum(map(len, leads)) / network.rate
    if seconds < _LEAST:
        raise InvalidSignalError(
            f"calibration: {seconds:.0f} s of leads that move; expected {_LEAST:g} s at least. Give longer recordings "
            "of the kind that the model labels."
        )
    blocks = np.concatenate(_blocks(network, leads))
    converted = quantize(network, blocks[:: -(-len(blocks) // _MOST)])
    model = labeler._fitted()
    quantized = alone(labeler)
    quantized.model_ = replace(model, task=read_by_network(model.task, converted))
    return quantized


class LayerError(NamedTuple):
    """What one layer of a network loses in whole numbers, with the layers before it.

    Attributes
    ----------
    n_taps, n_inputs, n_outputs : int
    error : float
        Root mean square of what its outputs differ by from those in floating point, but for one factor and offset of
        all, in per cent of their standard deviation.
    """

    n_taps: int
    n_inputs: int
    n_outputs: int
    error: float


def layer_errors(original: Network, network: Network, leads: Sequence[NDArray[np.int32]]) -> list[LayerError]:
    """Compare the layers of an int8 network with those that it was converted from.

    Parameters
    ----------
    original, network : Network
        Causal, in float32 and in int8.
    leads : sequence of ndarray of int32
        At their rate.
    """
    inputs = np.concatenate(_blocks(network, leads))[:_COMPARED].reshape(-1, network.input.N_INPUTS)
    quantization = network.layers.inputs
    assert quantization is not None
    codes = quantization.encode(inputs)
    errors = []
    for k, layer in enumerate(network.layers.layers):
        # Its outputs are those of the network that ends with it.
        wanted = Convolutions(layers=original.layers.layers[: k + 1]).open().push(inputs)
        found = Convolutions(layers=network.layers.layers[: k + 1]).open().push(codes)
        shared = np.corrcoef(wanted.ravel(), found.ravel())[0, 1]
        n_taps, n_inputs, n_outputs = layer.weights.shape
        errors.append(LayerError(n_taps, n_inputs, n_outputs, 100.0 * float(np.sqrt(max(0.0, 1.0 - shared**2)))))
    return errors


def _blocks(network: Network, leads: Sequence[NDArray[np.int32]]) -> list[NDArray[np.float32]]:
    """Return what a network sees of leads without their missing samples, in blocks as its graph takes them.

    A step where samples are missing does no harm: what the network sees is bounded.
    """
    found = []
    for lead in leads:
        present = lead[lead != MISSING]
        stream = network.input.open(fs=network.rate)
        inputs = np.concatenate([stream.push(present.astype(np.float32)), stream.flush()]).astype(np.float32)
        inputs = np.pad(inputs, ((0, -len(inputs) % network.block), (0, 0)))
        found.append(inputs.reshape(-1, network.block, inputs.shape[1]))
    return found
