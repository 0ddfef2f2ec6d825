"""The architectures: a bidirectional U-Net, and a causal dilated TCN.

Neither has a bias before its last layer: where all that it sees is zero, so is all that it computes. Zeros beyond the
ends of a lead, zeros that pad a block and zeros in a ring buffer that is not yet full are then the same, exactly, and a
long lead can be taken block by block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mhealth.nn._backend import require_keras

if TYPE_CHECKING:
    import keras

__all__ = ["N_CLASSES", "tcn", "unet"]

N_CLASSES = 4
"""Background, P, QRS, T."""


def unet(
    n_samples: int,
    *,
    n_inputs: int = 3,
    widths: tuple[int, ...] = (16, 32, 48, 64, 64),
    dilations: tuple[int, ...] = (2, 4, 8),
    dropout: float = 0.0,
    batch_size: int | None = None,
    seed: int = 0,
) -> keras.Model:
    """Build a U-Net: encoder, context, decoder with skips.

    Parameters
    ----------
    n_samples : int
        Length of a block in samples at 250 Hz, a multiple of ``2 ** len(widths)``.
    n_inputs : int
        Numbers a sample, see `NetworkInput`.
    widths : tuple of int
        Channels of each level; each level halves the rate.
    dilations : tuple of int
        Of the residual convolutions at the lowest rate, which see the beats around.
    dropout : float
        Share of channels that are left out at the lower rates in training.
    batch_size : int, optional
        Fixed for conversion to LiteRT, free for training.
    seed : int
        Of the initial weights.

    Returns
    -------
    network : keras.Model
        From (batch, n_samples, n_inputs) to logits (batch, n_samples / 2, 4), uncompiled.

    Notes
    -----
    After Ronneberger et al. (2015), https://arxiv.org/abs/1505.04597, in one dimension; strided convolutions in place
    of pooling, and repetition in place of transposed convolution, which would leave a pattern.
    """
    keras = require_keras()
    layers = keras.layers
    conv = _Convolutions(keras, seed, padding="same")
    inputs = layers.Input(batch_shape=(batch_size, n_samples, n_inputs), name="inputs")
    x, skips = inputs, []
    for level, width in enumerate(widths):
        x = conv(x, width, 7 if level == 0 else 5, strides=2, name=f"down{level}")
        x = conv(x, width, 5, name=f"encode{level}")
        skips.append(x)
    for k, dilation in enumerate(dilations):
        seen = conv(x, widths[-1], 5, dilation_rate=dilation, name=f"context{k}")
        x = layers.Add(name=f"residual{k}")([x, seen])
    if dropout:
        x = layers.SpatialDropout1D(dropout, seed=seed)(x)
    for level in reversed(range(len(widths) - 1)):
        # Each row twice, as two operations that LiteRT's reference kernels know (UpSampling1D becomes TILE).
        x = layers.Concatenate(name=f"twice{level}")([x, x])
        x = layers.Reshape((-1, widths[level + 1]), name=f"up{level}")(x)
        x = layers.Concatenate(name=f"skip{level}")([x, skips[level]])
        x = conv(x, widths[level], 3, name=f"decode{level}")
        if dropout and level:
            x = layers.SpatialDropout1D(dropout, seed=seed + level)(x)
    return keras.Model(inputs, conv.logits(x), name="unet")


def tcn(
    n_samples: int,
    *,
    n_inputs: int = 3,
    width: int = 20,
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64),
    batch_size: int | None = None,
    seed: int = 0,
) -> keras.Model:
    """Build a causal temporal convolutional network.

    Parameters
    ----------
    n_samples : int
        Length of a block in samples at 250 Hz, a multiple of 4.
    n_inputs : int
        Numbers a sample, see `NetworkInput`.
    width : int
        Channels.
    dilations : tuple of int
        Of the residual blocks, in steps of 16 ms.
    batch_size : int, optional
        Fixed for conversion to LiteRT, free for training.
    seed : int
        Of the initial weights.

    Returns
    -------
    network : keras.Model
        From (batch, n_samples, n_inputs) to logits (batch, n_samples / 4, 4), uncompiled. Output j depends on samples
        up to 4 j.

    Notes
    -----
    After Bai, Kolter, Koltun (2018), https://arxiv.org/abs/1803.01271, with one convolution and a 1×1 layer a block.
    """
    keras = require_keras()
    layers = keras.layers
    conv = _Convolutions(keras, seed, padding="causal")
    inputs = layers.Input(batch_shape=(batch_size, n_samples, n_inputs), name="inputs")
    x = conv(inputs, width, 12, strides=4, name="down")
    for k, dilation in enumerate(dilations):
        seen = conv(x, width, 3, dilation_rate=dilation, name=f"context{k}")
        x = layers.Add(name=f"residual{k}")([x, conv(seen, width, 1, activation=None, name=f"mix{k}")])
    return keras.Model(inputs, conv.logits(x), name="tcn")


class _Convolutions:
    """Convolutions of one network: no bias, ReLU, initial weights of He et al. (2015) from consecutive seeds."""

    def __init__(self, keras: Any, seed: int, *, padding: str) -> None:
        self._keras, self._seed, self._padding = keras, seed, padding

    def __call__(
        self, x: Any, filters: int, kernel_size: int, *, activation: str | None = "relu", **options: Any
    ) -> Any:
        self._seed += 1
        return self._keras.layers.Conv1D(
            filters,
            kernel_size,
            padding=self._padding,
            use_bias=False,
            activation=activation,
            kernel_initializer=self._keras.initializers.HeNormal(seed=self._seed),
            **options,
        )(x)

    def logits(self, x: Any) -> Any:
        """Return the last layer: one logit a class, with the only bias."""
        return self._keras.layers.Conv1D(
            N_CLASSES, 1, kernel_initializer=self._keras.initializers.HeNormal(seed=self._seed + 1), name="logits"
        )(x)
