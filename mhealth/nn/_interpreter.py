"""One LiteRT graph at work, a whole block of samples at a time."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mhealth.dsp import Quantization
from mhealth.errors import ModelFileError
from mhealth.nn._backend import require_interpreter

__all__ = ["Interpreter"]


class Interpreter:
    """LiteRT's interpreter of one graph, with the quantisation at both ends.

    Parameters
    ----------
    graph : bytes
        LiteRT flatbuffer.
    kernels : {"fast", "reference"}
        The fast ones differ from the reference in the last bits, in int8 too.

    Raises
    ------
    MissingExtraError
        If LiteRT is not installed.
    ModelFileError
        If the graph is damaged.
    """

    def __init__(self, graph: bytes, *, kernels: Literal["fast", "reference"] = "fast") -> None:
        litert = require_interpreter()
        options: dict[str, Any] = {"num_threads": 1}
        if kernels == "reference":
            options["experimental_op_resolver_type"] = litert.OpResolverType.BUILTIN_REF
        try:
            self._interpreter = litert.Interpreter(model_content=graph, **options)
            self._interpreter.allocate_tensors()
            (self._input,) = self._interpreter.get_input_details()
            (self._output,) = self._interpreter.get_output_details()
        except (RuntimeError, ValueError) as error:
            raise ModelFileError(
                f"The network's graph cannot be read ({error}). Copy the file again, or train anew."
            ) from error

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shapes of input and output."""
        return tuple(self._input["shape"].tolist()), tuple(self._output["shape"].tolist())

    def run(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of a block of inputs, shape (n_outputs, n_classes)."""
        ends = Quantization(*self._input["quantization"]), Quantization(*self._output["quantization"])
        self._interpreter.set_tensor(self._input["index"], (ends[0].encode(inputs) if ends[0].scale else inputs)[None])
        self._interpreter.invoke()
        out = self._interpreter.get_tensor(self._output["index"])[0]
        return ends[1].decode(out) if ends[1].scale else out
