"""From a Keras network to a LiteRT graph, in float or in whole numbers."""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mhealth.errors import InvalidParameterError
from mhealth.nn._backend import require_tensorflow
from mhealth.nn._inference import Network
from mhealth.nn._input import NetworkInput
from mhealth.nn._layout import layout_of

if TYPE_CHECKING:
    import keras

__all__ = ["quantize", "to_network"]


def to_network(
    trained: keras.Model,
    *,
    block: int,
    lookahead: int = 0,
    representative: NDArray[np.float32] | None = None,
    network_input: NetworkInput | None = None,
) -> Network:
    """Convert a trained network for use without TensorFlow.

    Parameters
    ----------
    trained : keras.Model
        From `unet` or `tcn`.
    block : int
        Samples that the graph will take at a time.
    lookahead : int
        Samples by which its outputs come late, as it was trained.
    representative : ndarray of float32, shape (n_blocks, block, n_inputs), optional
        Inputs as they occur, by which the ranges of all activations are chosen; the graph then computes in int8
        throughout, inputs and logits too. None keeps float32.
    network_input : NetworkInput, optional
        As it was trained; the default one by default.

    Returns
    -------
    network : Network

    Raises
    ------
    MissingExtraError
        If TensorFlow is not installed.
    InvalidParameterError
        If `representative` has another shape.
    """
    tensorflow = require_tensorflow()
    n_inputs = trained.input.shape[2]
    # A batch of one, fixed: else dilated convolutions become SPACE_TO_BATCH, with a requantisation more.
    fixed = tensorflow.keras.models.clone_model(
        trained, input_tensors=tensorflow.keras.Input(batch_shape=(1, block, n_inputs))
    )
    fixed.set_weights(trained.get_weights())
    converter = tensorflow.lite.TFLiteConverter.from_keras_model(fixed)
    if representative is not None:
        _check_representative(representative, block, n_inputs)
        blocks = representative.astype(np.float32)
        converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([inputs[None]] for inputs in blocks)
        converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tensorflow.int8
    # It prints what it saved where, and warns that int8 inputs have no ranges of their own, which the inputs give.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = converter.convert()
    return Network(
        name=trained.name,
        graph=graph,
        layout=layout_of(trained, lookahead=lookahead),
        block=block,
        input=network_input or NetworkInput(),
        n_parameters=trained.count_params(),
    )


def quantize(network: Network, representative: NDArray[np.float32]) -> Network:
    """Convert a network from float32 to int8 throughout, as `to_network` does with the one it was trained as.

    Parameters
    ----------
    network : Network
        In float32.
    representative : ndarray of float32, shape (n_blocks, block, n_inputs)
        Inputs as they occur, by which the ranges of all activations are chosen.

    Returns
    -------
    quantized : Network

    Raises
    ------
    MissingExtraError
        If TensorFlow is not installed.
    InvalidParameterError
        If `representative` has another shape.
    """
    tensorflow = require_tensorflow()
    _check_representative(representative, network.block, NetworkInput.N_INPUTS)
    # What the converter does with a float graph of its own; it takes one from elsewhere only so.
    from tensorflow.lite.python.convert import mlir_quantize
    from tensorflow.lite.python.optimize.calibrator import Calibrator

    ranges = Calibrator(network.graph).calibrate(lambda: ([inputs[None]] for inputs in representative))
    graph = mlir_quantize(ranges, input_data_type=tensorflow.int8, output_data_type=tensorflow.int8)
    return replace(network, graph=bytes(graph))


def _check_representative(representative: NDArray[np.float32], block: int, n_inputs: int) -> None:
    """Check that inputs come in blocks as a graph takes them."""
    if representative.shape[1:] != (block, n_inputs) or not len(representative):
        raise InvalidParameterError(
            f"representative has shape {representative.shape}; expected (n_blocks, {block}, {n_inputs})."
        )
