"""Graphs of int8 layers of any shape, written as LiteRT flatbuffers (extra litert), and what BUILTIN_REF says of them.

Run as a script it makes tests/data/litert_graphs.npz anew, for where LiteRT is not installed.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

GOLDEN = Path(__file__).parents[1] / "data" / "litert_graphs.npz"
_INT8, _INT32 = 9, 2
_ADD, _CONV_2D, _FULLY_CONNECTED, _RESHAPE, _PAD = 0, 3, 9, 22, 34


class Shape(NamedTuple):
    """A layer: a convolution, or a dense one if `dense`; `shortcut` is an earlier layer that is added."""

    n_taps: int
    n_inputs: int
    n_outputs: int
    stride: int = 1
    dilation: int = 1
    causal: bool = True
    relu: bool = False
    dense: bool = False
    shortcut: int | None = None
    per_channel: bool = True
    bias: bool = True


def drawn_shapes(rng, *, n_layers, most_channels=64, most_stride=8) -> list[Shape]:
    """Return layers that fit each other."""
    shapes, width, like = [], int(rng.integers(1, most_channels + 1)), []
    for k in range(n_layers):
        dense = rng.random() < 0.15
        n_taps = 1 if dense or rng.random() < 0.25 else int(rng.integers(2, 10))
        stride = int(rng.integers(2, most_stride + 1)) if not dense and rng.random() < 0.25 else 1
        causal = bool(rng.random() < 0.7) or n_taps == 1
        if stride > 1 or not causal:
            like = []  # layers whose outputs are as many as this one's
        shortcut = int(rng.choice(like)) if like and rng.random() < 0.6 else None
        n_outputs = int(rng.integers(1, most_channels + 1)) if shortcut is None else shapes[shortcut].n_outputs
        dilation = int(rng.integers(1, 17)) if n_taps > 1 else 1
        shapes.append(
            Shape(
                n_taps, width, n_outputs, stride, dilation, causal, bool(rng.random() < 0.5), dense, shortcut,
                bool(rng.random() < 0.7), not dense or bool(rng.random() < 0.7),
            )
        )  # fmt: skip
        width = n_outputs
        like.append(k)
    return shapes


class Writer:
    """A graph while it is written."""

    def __init__(self, rng) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema, self.rng = schema, rng
        self.buffers, self.tensors, self.operators, self.codes = [b""], [], [], []

    def tensor(self, shape, kind=_INT8, values=None, scales=None, zero_point=0) -> int:
        tensor = self.schema.TensorT()
        tensor.shape, tensor.type, tensor.name = list(shape), kind, f"tensor{len(self.tensors)}"
        tensor.buffer = 0
        if values is not None:
            tensor.buffer = len(self.buffers)
            self.buffers.append(np.ascontiguousarray(values).tobytes())
        if scales is not None:
            tensor.quantization = self.schema.QuantizationParametersT()
            tensor.quantization.scale = np.asarray(scales, np.float32).tolist()
            tensor.quantization.zeroPoint = [zero_point] * len(tensor.quantization.scale)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def operate(self, code, inputs, output, kind=None, **options) -> int:
        operator = self.schema.OperatorT()
        if code not in self.codes:
            self.codes.append(code)
        operator.opcodeIndex, operator.inputs, operator.outputs = self.codes.index(code), inputs, [output]
        if kind is not None:
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, kind)
            operator.builtinOptions = getattr(self.schema, f"{kind}T")()
            for name, value in options.items():
                setattr(operator.builtinOptions, name, value)
        self.operators.append(operator)
        return output

    def scale_of(self, tensor) -> tuple[float, int, list[int]]:
        found = self.tensors[tensor]
        return found.quantization.scale[0], found.quantization.zeroPoint[0], found.shape

    def reshaped(self, tensor, shape) -> int:
        scale, zero_point, _ = self.scale_of(tensor)
        return self.operate(
            _RESHAPE,
            [tensor, self.tensor([len(shape)], _INT32, np.array(shape, np.int32))],
            self.tensor(shape, scales=[scale], zero_point=zero_point),
        )

    def layer(self, before, shape: Shape, given) -> int:
        """Write a layer; choose its scales so that outputs use the range of int8, and some exceed it."""
        rng = self.rng
        scale, zero_point, (_, n, _) = self.scale_of(before)
        fan_in = shape.n_taps * shape.n_inputs
        weights = rng.integers(-127, 128, (shape.n_outputs, 1, shape.n_taps, shape.n_inputs)).astype(np.int8)
        count = shape.n_outputs if shape.per_channel else 1
        scales = (rng.uniform(0.5, 1.5, count) / 127).astype(np.float32)
        spread = float(scale) * 0.6 * 60 * np.sqrt(fan_in)
        bias = (rng.normal(0, 20 * 73 * np.sqrt(fan_in), shape.n_outputs)).astype(np.int32)
        after = {"scales": [rng.uniform(0.5, 2) * spread / 60], "zero_point": int(rng.integers(-128, 100))}
        held = (shape.n_taps - 1) * shape.dilation
        if shape.causal and held:
            amounts = np.array([[0, 0], [held, 0], [0, 0]], np.int32)
            n += held
            before = self.operate(
                _PAD,
                [before, self.tensor([3, 2], _INT32, amounts)],
                self.tensor([1, n, shape.n_inputs], scales=[scale], zero_point=zero_point),
                "PadOptions",
            )
        n_outputs = -(-(n - held) // shape.stride)
        assert n_outputs > 0
        # LiteRT checks that the bias has the scale of the products.
        biases = (
            [] if not shape.bias else [self.tensor([shape.n_outputs], _INT32, bias, scales=scales * np.float32(scale))]
        )
        if shape.dense:
            filters = self.tensor([shape.n_outputs, shape.n_inputs], values=weights, scales=scales)
            out = self.tensor([1, n_outputs, shape.n_outputs], **after)
            self.operate(
                _FULLY_CONNECTED, [before, filters, *(biases or [-1])], out, "FullyConnectedOptions",
                fusedActivationFunction=int(shape.relu), keepNumDims=True,
            )  # fmt: skip
        else:
            filters = self.tensor(weights.shape, values=weights, scales=scales)
            out = self.operate(
                _CONV_2D, [self.reshaped(before, [1, 1, n, shape.n_inputs]), filters, *biases],
                self.tensor([1, 1, n_outputs, shape.n_outputs], **after), "Conv2DOptions",
                padding=1, strideW=shape.stride, strideH=1, dilationWFactor=shape.dilation, dilationHFactor=1,
                fusedActivationFunction=int(shape.relu),
            )  # fmt: skip
            out = self.reshaped(out, [1, n_outputs, shape.n_outputs])
        if shape.shortcut is None:
            return out
        other = given[shape.shortcut]
        total = np.hypot(self.scale_of(out)[0], self.scale_of(other)[0]) * rng.uniform(0.5, 1.5)
        zero_point = int(rng.integers(-128, 128))
        out_shape = [1, n_outputs, shape.n_outputs]
        return self.operate(
            _ADD, [out, other] if rng.random() < 0.5 else [other, out],
            self.tensor(out_shape, scales=[total], zero_point=zero_point), "AddOptions", fusedActivationFunction=0,
        )  # fmt: skip

    def content(self, first, last) -> bytes:
        import flatbuffers

        schema = self.schema
        graph, model = schema.SubGraphT(), schema.ModelT()
        graph.tensors, graph.operators, graph.inputs, graph.outputs = self.tensors, self.operators, [first], [last]
        model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [graph], [], []
        for content in self.buffers:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(content, np.uint8) if content else None
            model.buffers.append(buffer)
        for code in self.codes:
            operator = schema.OperatorCodeT()
            operator.builtinCode = operator.deprecatedBuiltinCode = code
            # Of the int8 kernels; those for scales by output and without bias came later.
            operator.version = {_ADD: 2, _CONV_2D: 3, _FULLY_CONNECTED: 5, _PAD: 2}.get(code, 1)
            model.operatorCodes.append(operator)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def write_graph(rng, shapes, *, n_samples) -> bytes:
    """Return a flatbuffer of layers with random weights."""
    writer = Writer(rng)
    width = shapes[0].n_inputs
    first = writer.tensor(
        [1, n_samples, width], scales=[rng.uniform(0.005, 0.02)], zero_point=int(rng.integers(-128, 128))
    )
    given, last = [], first
    for shape in shapes:
        last = writer.layer(last, shape, given)
        given.append(last)
    return writer.content(first, last)


def said_by_litert(graph, inputs) -> np.ndarray:
    """Return what LiteRT's reference kernels make of int8 inputs, shape (n_samples, n_inputs)."""
    from ai_edge_litert import interpreter as litert

    runner = litert.Interpreter(
        model_content=graph, num_threads=1, experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF
    )
    runner.allocate_tensors()
    runner.set_tensor(runner.get_input_details()[0]["index"], inputs[None])
    runner.invoke()
    return runner.get_tensor(runner.get_output_details()[0]["index"])[0]


def drawn_case(rng, *, n_layers=3, n_samples=640, **limits) -> tuple[bytes, np.ndarray, np.ndarray]:
    """Return a graph of random layers, inputs, and what LiteRT says."""
    while True:
        shapes = drawn_shapes(rng, n_layers=n_layers, **limits)
        if n_samples_left(shapes, n_samples) > 4:
            break
    graph = write_graph(rng, shapes, n_samples=n_samples)
    inputs = rng.integers(-128, 128, (n_samples, shapes[0].n_inputs)).astype(np.int8)
    return graph, inputs, said_by_litert(graph, inputs)


def n_samples_left(shapes, n) -> int:
    """Return how many outputs layers have of n inputs."""
    for shape in shapes:
        n = -(-(n - (0 if shape.causal else (shape.n_taps - 1) * shape.dilation)) // shape.stride)
        if n < 1:
            break
    return n


if __name__ == "__main__":
    kept = {}
    for seed in range(36):
        limits = {"n_layers": 1 + seed % 4, "n_samples": 200, "most_channels": (4, 8, 14)[seed % 3]}
        graph, inputs, outputs = drawn_case(np.random.default_rng(seed), **limits)
        kept |= {f"graph{seed}": np.frombuffer(graph, np.uint8), f"inputs{seed}": inputs, f"outputs{seed}": outputs}
    np.savez_compressed(GOLDEN, allow_pickle=False, **kept)
