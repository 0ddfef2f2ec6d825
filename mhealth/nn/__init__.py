"""Networks that label a lead: a bidirectional U-Net and a causal TCN; TensorFlow for training."""

from mhealth.nn._backend import require_tensorflow
from mhealth.nn._inference import Network
from mhealth.nn._input import NetworkInput, NetworkInputStream
from mhealth.nn._keras_file import load_keras, save_keras
from mhealth.nn._layout import Layout, count_macs, layout_of
from mhealth.nn._litert import quantize, to_network
from mhealth.nn._losses import Loss
from mhealth.nn._networks import tcn, unet
from mhealth.nn._streams import NetworkStream
from mhealth.nn._training import NetworkExample, NetworkTraining, train_network

__all__ = [
    "Layout",
    "Loss",
    "Network",
    "NetworkExample",
    "NetworkInput",
    "NetworkInputStream",
    "NetworkStream",
    "NetworkTraining",
    "count_macs",
    "layout_of",
    "load_keras",
    "quantize",
    "require_tensorflow",
    "save_keras",
    "tcn",
    "to_network",
    "train_network",
    "unet",
]
