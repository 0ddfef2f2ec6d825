"""Networks that label a lead: a bidirectional U-Net and a causal TCN; TensorFlow for training, LiteRT for use."""

from mhealth.nn._inference import Network, NetworkStream
from mhealth.nn._input import NetworkInput, NetworkInputStream
from mhealth.nn._layout import Layout, layout_of
from mhealth.nn._litert import to_network
from mhealth.nn._networks import tcn, unet

__all__ = [
    "Layout",
    "Network",
    "NetworkInput",
    "NetworkInputStream",
    "NetworkStream",
    "layout_of",
    "tcn",
    "to_network",
    "unet",
]
