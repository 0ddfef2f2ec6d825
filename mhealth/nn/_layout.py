"""Which samples an output depends on, and what it costs: read off the layers of a network."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from mhealth.errors import InvalidParameterError

if TYPE_CHECKING:
    import keras

__all__ = ["Layout", "count_macs", "layout_of"]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the outputs of a network lie on its input samples.

    Parameters
    ----------
    stride : int
        Samples from one output to the next: output j tells of samples j · stride to (j + 1) · stride − 1.
    before, after : int
        Output j depends on samples j · stride − before to j · stride + after.
    alignment : int
        Blocks of a longer lead start at multiples of so many samples: of the stride of the coarsest layer.
    lookahead : int
        Samples by which the outputs of the graph come late, a multiple of `stride`: its output j + lookahead / stride
        tells of the samples of output j. `before` and `after` count it in.
    """

    stride: int
    before: int
    after: int
    alignment: int
    lookahead: int = 0

    def __post_init__(self) -> None:
        """Check that the numbers can be."""
        if self.stride < 1 or self.alignment % self.stride or self.lookahead % self.stride:
            raise InvalidParameterError(
                f"stride={self.stride} must be positive and divide alignment={self.alignment} and "
                f"lookahead={self.lookahead}."
            )


def layout_of(network: keras.Model, *, lookahead: int = 0) -> Layout:
    """Return the layout of a network of convolutions, additions, concatenations and repetitions.

    Parameters
    ----------
    network : keras.Model
        From (batch, n_samples, n_inputs) to (batch, n_outputs, n_classes).
    lookahead : int
        Samples by which its outputs come late.

    Raises
    ------
    InvalidParameterError
        If a layer is of another kind, or `lookahead` no multiple of the stride.
    """
    # Of each tensor: samples from one entry to the next, and the first and last sample that entry 0 depends on.
    ranges = {id(network.input): (Fraction(1), Fraction(0), Fraction(0))}
    coarsest = Fraction(1)
    for layer in network.layers:
        if layer.__class__.__name__ == "InputLayer":
            continue
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        step = ranges[id(inputs[0])][0]
        first, last = (pick(ranges[id(x)][k] for x in inputs) for pick, k in ((min, 1), (max, 2)))
        match layer.__class__.__name__:
            case "Conv1D":
                reach = (layer.kernel_size[0] - 1) * layer.dilation_rate[0]
                # TensorFlow pads so much in all, less of it at the start; its causal padding is all at the start.
                left = reach if layer.padding == "causal" else max(0, reach + 1 - layer.strides[0]) // 2
                first, last = first - step * left, last + step * (reach - left)
                step *= layer.strides[0]
            case "Reshape":  # behind a concatenation with itself: every entry twice, the second one later by a step
                step /= 2
                first -= step
            case "Add" | "Concatenate" | "Dropout" | "SpatialDropout1D" | "ReLU":
                pass
            case other:
                raise InvalidParameterError(f"layer {layer.name!r} is a {other}, of which the layout is not known.")
        ranges[id(layer.output)] = (step, first, last)
        coarsest = max(coarsest, step)
    stride, first, last = ranges[id(network.output)]
    assert stride.denominator == 1
    return Layout(
        stride=int(stride),
        before=max(0, -int(first) - lookahead),
        after=int(last) + lookahead,
        alignment=int(coarsest),
        lookahead=lookahead,
    )


def count_macs(network: keras.Model) -> float:
    """Return the multiply-accumulates that a network takes for each input sample, on average.

    Parameters
    ----------
    network : keras.Model
        Of convolutions; what else it does is additions.
    """
    n_samples = network.input.shape[1]
    total = 0
    for layer in network.layers:
        if layer.__class__.__name__ == "Conv1D":
            total += layer.output.shape[1] * layer.kernel.shape[0] * layer.kernel.shape[1] * layer.kernel.shape[2]
    return total / n_samples
