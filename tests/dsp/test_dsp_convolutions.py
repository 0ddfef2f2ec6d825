import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import chunkings, cut

from mhealth.dsp import (
    Convolution,
    Convolutions,
    Quantization,
    QuantizedAddition,
    QuantizedConvolution,
    quantized_multiplier,
)
from mhealth.errors import InvalidParameterError, InvalidSignalError
from naive_convolutions import doubling_high_mul, naive_quantized, naive_stack, rescaled

N_SAMPLES = 40


def shapes(draw):
    """Draw the geometry of a stack: kernel shape, stride, dilation, and which earlier layer is added, if one can be."""
    found, width = [], draw(st.integers(1, 5))
    for k in range(draw(st.integers(1, 4))):
        stride = draw(st.integers(1, 3))
        padded = draw(st.integers(0, 3)) > 0
        found.append({"stride": stride, "dilation": draw(st.integers(1, 5)), "padded": padded})
        like = [j for j in range(k) if all(x["stride"] == 1 and x["padded"] for x in found[j + 1 :])]
        shortcut = draw(st.sampled_from(like)) if like and draw(st.booleans()) else None
        n_outputs = draw(st.integers(1, 9)) if shortcut is None else found[shortcut]["shape"][2]
        shape = draw(st.integers(1, 4)), width, n_outputs
        found[k] |= {"shape": shape, "shortcut": shortcut}
        width = n_outputs
    return found


@st.composite
def float_layers(draw):
    """Draw the parameters of float layers."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layers = []
    for layer in shapes(draw):
        shape = layer.pop("shape")
        weights = (rng.normal(size=shape) / np.sqrt(shape[0] * shape[1])).astype(np.float32)
        bias = rng.normal(size=shape[2]).astype(np.float32)
        layers.append({**layer, "weights": weights, "bias": bias, "relu": draw(st.booleans())})
    return layers


@st.composite
def int8_layers(draw):
    """Draw the parameters of layers in whole numbers, with multipliers that use the range of int8 and beyond."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layers, zero = [], int(rng.integers(-128, 128))
    for layer in shapes(draw):
        shape, shortcut = layer.pop("shape"), layer.pop("shortcut")
        pairs = np.array([quantized_multiplier(factor) for factor in np.exp(rng.uniform(-9, 1, shape[2]))])
        after, low = (int(x) for x in rng.integers(-128, 128, 2))
        layer |= {
            "weights": rng.integers(-128, 128, shape).astype(np.int8),
            "bias": rng.integers(-3000, 3000, shape[2]).astype(np.int32),
            "multipliers": pairs[:, 0].astype(np.int32),
            "shifts": pairs[:, 1].astype(np.int32),
            "zero_points": (zero, after),
            "bounds": (min(low, 100), 127),
            "rounded_once": bool(rng.integers(2)),
            "addition": None,
        }
        if shortcut is not None:
            multipliers, shifts = zip(*(quantized_multiplier(x) for x in rng.uniform(0.01, 0.5, 3)), strict=True)
            zero_points = after, layers[shortcut]["last_zero"], int(rng.integers(-128, 128))
            shifts = (*shifts[:2], shifts[2] - 19)
            layer["addition"] = {
                "layer": shortcut, "zero_points": zero_points, "multipliers": multipliers, "shifts": shifts,
                "bounds": (-128, 127),
            }  # fmt: skip
            after = zero_points[2]
        layer["last_zero"] = zero = after
        layers.append(layer)
    return layers


def float_stack(layers) -> Convolutions:
    return Convolutions(layers=tuple(Convolution(**layer) for layer in layers))


def int8_stack(layers) -> Convolutions:
    found = []
    for layer in layers:
        fields = {name: value for name, value in layer.items() if name != "last_zero"}
        addition = fields.pop("addition")
        addition = addition and QuantizedAddition(**addition)
        found.append(QuantizedConvolution(**fields, addition=addition))
    return Convolutions(layers=tuple(found))


def drawn_inputs(stack: Convolutions, seed: int) -> np.ndarray:
    first, rng = stack.layers[0], np.random.default_rng(seed)
    shape = (N_SAMPLES, first.weights.shape[1])
    if isinstance(first, Convolution):
        return rng.normal(size=shape).astype(np.float32)
    return rng.integers(-128, 128, shape).astype(np.int8)


@given(layers=float_layers(), seed=st.integers(0, 999))
@settings(max_examples=60)
def test_float_layers_compute_what_the_naive_ones_do(layers, seed):
    stack = float_stack(layers)
    inputs = drawn_inputs(stack, seed)
    # Sums of up to 36 products of order 1 in float32, over four layers.
    np.testing.assert_allclose(stack.open().push(inputs), naive_stack(layers, inputs), rtol=1e-4, atol=1e-4)


@given(layers=int8_layers(), seed=st.integers(0, 999))
@settings(max_examples=60)
def test_layers_in_whole_numbers_compute_to_the_bit_what_the_naive_ones_do(layers, seed):
    stack = int8_stack(layers)
    inputs = drawn_inputs(stack, seed)
    outputs = stack.open().push(inputs)
    assert outputs.dtype == np.int8
    np.testing.assert_array_equal(outputs, naive_quantized(layers, inputs))


@given(stack=st.one_of(float_layers().map(float_stack), int8_layers().map(int8_stack)), data=st.data())
@settings(max_examples=60)
def test_any_chunking_gives_the_same_to_the_bit(stack, data):
    inputs = drawn_inputs(stack, 0)
    stream = stack.open()
    parts = [stream.push(part) for part in cut(inputs, data.draw(chunkings(N_SAMPLES)))]
    np.testing.assert_array_equal(np.concatenate(parts), stack.open().push(inputs))


def test_more_outputs_than_are_computed_together_leave_no_seam(rng):
    layer = Convolution(weights=rng.normal(size=(3, 2, 5)).astype(np.float32), bias=np.ones(5, np.float32), dilation=7)
    stack = Convolutions(layers=(layer, Convolution(weights=np.ones((2, 5, 1), np.float32), bias=np.zeros(1, "f4"))))
    inputs = rng.normal(size=(1500, 2)).astype(np.float32)
    stream = stack.open()
    one_by_one = np.concatenate([stream.push(row[None]) for row in inputs])
    np.testing.assert_array_equal(stack.open().push(inputs), one_by_one)


def test_kernels_compute_the_same_to_the_bit_without_compilation():
    script = """
import numpy as np
from mhealth.dsp import Convolution, Convolutions, QuantizedAddition, QuantizedConvolution
rng = np.random.default_rng(0)
layers = [
    Convolution(
        weights=rng.normal(size=(3, 4, 4)).astype("f4"), bias=rng.normal(size=4).astype("f4"), dilation=2, relu=k > 0,
        shortcut=0 if k else None,
    )
    for k in range(2)
]
print(Convolutions(layers=tuple(layers)).open().push(rng.normal(size=(30, 4))).tobytes().hex())
layers = [
    QuantizedConvolution(
        weights=rng.integers(-127, 128, (3, 4, 4)).astype("i1"), bias=rng.integers(-999, 999, 4).astype("i4"),
        multipliers=rng.integers(2**30, 2**31, 4).astype("i4"), shifts=np.full(4, -6, "i4"), zero_points=(3, 3),
        addition=QuantizedAddition(0, (3, 3, 3), (2**30, 2**30, 2**30), (0, 0, -18)) if k else None,
    )
    for k in range(2)
]
print(Convolutions(layers=tuple(layers)).open().push(rng.integers(-128, 128, (30, 4)).astype("i1")).tobytes().hex())
"""
    said = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", script],
            env={**os.environ, "NUMBA_DISABLE_JIT": disabled}, capture_output=True, text=True, check=True,
        ).stdout
        for disabled in ("0", "1")
    ]  # fmt: skip
    assert said[0] == said[1]
    assert len(set(said[0])) > 10


def test_stride_and_reach_are_what_outputs_depend_on():
    def layer(k, stride, dilation):
        return Convolution(
            weights=np.ones((k, 1, 1), np.float32), bias=np.zeros(1, np.float32), stride=stride, dilation=dilation
        )

    stack = Convolutions(layers=(layer(4, 2, 1), layer(3, 3, 5), layer(2, 1, 4)))
    assert stack.stride == 6
    inputs = np.zeros((200, 1), np.float32)
    at = 101
    inputs[at] = 1.0
    touched = np.flatnonzero(stack.open().push(inputs)[:, 0]) * stack.stride
    assert touched.min() >= at
    assert touched.max() <= at + stack.reach
    assert stack.reach == 3 + 2 * 5 * 2 + 4 * 6


@pytest.mark.parametrize(
    ("value", "multiplier", "shift"),
    [(0, 2**30, 0), (-1, 2**30, 0), (3, 2**30, -1), (-3, 2**30, -1), (2**31 - 1, 2**31 - 1, -31), (5, 2**31 - 1, 3)],
)
def test_rescaling_is_gemmlowps(value, multiplier, shift):
    from mhealth._kernels._convolutions import _rescaled

    assert _rescaled(value, multiplier, shift) == rescaled(value, multiplier, shift)


@given(st.integers(-(2**30), 2**30), st.integers(2**30, 2**31 - 1), st.integers(-31, 0))
def test_rescaling_is_gemmlowps_whatever_comes(value, multiplier, shift):
    from mhealth._kernels._convolutions import _rescaled

    assert _rescaled(value, multiplier, shift) == rescaled(value, multiplier, shift)


def test_it_is_rounded_twice():
    # −1 · 3/4 is −1 after the first rounding; half of that is rounded away from zero, though −3/8 would be 0.
    multiplier = 3 << 29
    assert doubling_high_mul(-1, multiplier) == -1
    assert rescaled(-1, multiplier, -1) == -1
    layer = QuantizedConvolution(
        weights=np.full((1, 1, 1), -1, np.int8), bias=np.zeros(1, np.int32), multipliers=np.array([multiplier], "i4"),
        shifts=np.array([-1], np.int32), zero_points=(0, 0),
    )  # fmt: skip
    assert Convolutions(layers=(layer,)).open().push(np.ones((1, 1), np.int8))[0, 0] == -1


@given(st.floats(1e-8, 1e3))
def test_a_multiplier_is_its_factor_to_31_bits(factor):
    multiplier, shift = quantized_multiplier(factor)
    assert 2**30 <= multiplier < 2**31
    assert multiplier * 2.0 ** (shift - 31) == pytest.approx(factor, rel=2**-31)


def test_multipliers_at_the_ends():
    assert quantized_multiplier(1.0) == (2**30, 1)
    assert quantized_multiplier(1 - 2**-40) == (2**30, 1)  # rounds up to a power of two
    assert quantized_multiplier(2.0**-40) == (0, 0)


def test_numbers_are_written_in_int8_and_cut_at_its_ends():
    quantization = Quantization(0.5, 10)
    codes = quantization.encode(np.array([0.0, 1.0, -1.3, 1e9, -1e9], np.float32))
    assert codes.tolist() == [10, 12, 7, 127, -128]
    np.testing.assert_array_equal(quantization.decode(codes[:2]), np.float32([0.0, 1.0]))


def test_a_stream_pickles_in_the_middle_and_stands_alone(rng):
    weights = rng.normal(size=(3, 2, 2)).astype(np.float32)
    stack = Convolutions(layers=(Convolution(weights=weights, bias=np.zeros(2, np.float32), stride=2, dilation=3),))
    inputs = rng.normal(size=(30, 2)).astype(np.float32)
    expected = stack.open().push(inputs)
    one, other = stack.open(), stack.open()
    first = one.push(inputs[:13])
    other.push(inputs[5:])
    one = pickle.loads(pickle.dumps(one))
    np.testing.assert_array_equal(np.concatenate([first, one.push(inputs[13:])]), expected)


def test_inputs_of_another_shape_or_kind_are_refused():
    layer = Convolution(weights=np.ones((1, 2, 1), np.float32), bias=np.zeros(1, np.float32))
    with pytest.raises(InvalidSignalError, match=r"shape \(4, 3\); expected \(n, 2\)"):
        Convolutions(layers=(layer,)).open().push(np.zeros((4, 3)))
    with pytest.raises(InvalidSignalError, match="expected float32"):
        Convolutions(layers=(layer,)).open().push(np.zeros((4, 2), complex))
    with pytest.raises(InvalidSignalError, match="inputs are int64; expected int8"):
        Convolutions(layers=(whole(),)).open().push(np.zeros((4, 2), np.int64))


def whole(**changes) -> QuantizedConvolution:
    fields = {
        "weights": np.ones((1, 2, 1), np.int8), "bias": np.zeros(1, np.int32), "multipliers": np.array([2**30], "i4"),
        "shifts": np.zeros(1, np.int32), "zero_points": (0, 0),
    }  # fmt: skip
    return QuantizedConvolution(**{**fields, **changes})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"weights": np.ones((1, 2, 1))}, "weights"),
        ({"weights": np.ones((2, 1), np.int8)}, "weights"),
        ({"bias": np.zeros(2, np.int32)}, "bias"),
        ({"multipliers": np.zeros(1)}, "multipliers"),
        ({"multipliers": np.array([-1], np.int32)}, "multipliers from -1"),
        ({"shifts": np.array([-32], np.int32)}, "shifts from -32"),
        ({"shifts": np.array([29], np.int32)}, r"sums · 2\^shift below"),
        ({"shifts": np.array([31], np.int32), "weights": np.zeros((1, 2, 1), np.int8)}, "shifts from 0 to 31"),
        ({"zero_points": (0, 128)}, "zero_points"),
        ({"bounds": (-129, 127)}, "bounds"),
        ({"stride": 0}, "stride=0"),
        ({"addition": QuantizedAddition(0, (0, 0, 0), (1, 1, 1), (1, 0, 0))}, "of an addition"),
    ],
)
def test_layers_that_cannot_be_are_refused(change, said):
    with pytest.raises(InvalidParameterError, match=said):
        whole(**change)


def test_stacks_that_do_not_fit_together_are_refused():
    def layer(n_inputs, n_outputs, **changes):
        weights = np.ones((1, n_inputs, n_outputs), np.float32)
        return Convolution(weights=weights, bias=np.zeros(n_outputs, np.float32), **changes)

    with pytest.raises(InvalidParameterError, match="at least one"):
        Convolutions(layers=())
    with pytest.raises(InvalidParameterError, match="of one kind"):
        Convolutions(layers=(layer(2, 2), whole()))
    with pytest.raises(InvalidParameterError, match="layer 1 takes 3 numbers, the one before gives 2"):
        Convolutions(layers=(layer(1, 2), layer(3, 1)))
    for shortcut, changes in ((1, {}), (-1, {}), (0, {"stride": 2})):
        with pytest.raises(InvalidParameterError, match="of the same rate and width"):
            Convolutions(layers=(layer(1, 2), layer(2, 2, shortcut=shortcut, **changes)))
    late = Convolution(weights=np.ones((2, 2, 2), np.float32), bias=np.zeros(2, np.float32), padded=False, shortcut=0)
    with pytest.raises(InvalidParameterError, match="and of the same first output"):
        Convolutions(layers=(layer(1, 2), late))


def test_without_padding_the_first_output_waits_for_an_input_for_each_tap():
    weights = np.ones((3, 1, 1), np.float32)
    layer = Convolution(weights=weights, bias=np.zeros(1, np.float32), stride=2, dilation=2, padded=False)
    inputs = np.arange(8, dtype=np.float32)[:, None]
    assert Convolutions(layers=(layer,)).open().push(inputs[:4]).size == 0
    assert Convolutions(layers=(layer,)).open().push(inputs).ravel().tolist() == [0 + 2 + 4, 2 + 4 + 6]
