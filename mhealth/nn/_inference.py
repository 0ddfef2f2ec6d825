"""A trained network at work, without TensorFlow: whole leads and streams, block by block."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.dsp import RunningScale
from mhealth.errors import InvalidParameterError, ModelFileError
from mhealth.nn._backend import require_interpreter
from mhealth.nn._input import NetworkInput
from mhealth.nn._layout import Layout

__all__ = ["Network", "NetworkStream"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Network:
    """A trained network as a LiteRT graph.

    Parameters
    ----------
    name : str
        Of the architecture, ``"unet"`` or ``"tcn"``.
    graph : bytes
        LiteRT flatbuffer, from (1, block, n_inputs) to (1, block / stride, n_classes), in float32 or int8.
    layout : Layout
        How its outputs lie on the samples.
    block : int
        Samples that the graph takes.
    classes : tuple of str
        Of its logits.
    rate : float
        Hz of the lead.
    input : NetworkInput
        What is made of a lead before the network sees it.
    n_parameters : int
        Numbers that were learned.

    Notes
    -----
    A lead is taken in blocks that overlap by what an output depends on, on a grid that starts with the lead; beyond its
    ends all inputs are zero. An output is read from the one block that holds everything it depends on: results depend
    neither on how the lead is cut into chunks nor, but for rounding, on the length of the blocks.

    Examples
    --------
    >>> network = Network.from_bytes(content)  # doctest: +SKIP
    >>> network.logits(lead).shape == (-(-len(lead) // network.layout.stride), 4)  # doctest: +SKIP
    True
    """

    name: str
    graph: bytes = field(repr=False)
    layout: Layout
    block: int
    classes: tuple[str, ...] = ("background", "P", "QRS", "T")
    rate: float = 250.0
    input: NetworkInput = field(default_factory=NetworkInput)
    n_parameters: int = 0

    def __post_init__(self) -> None:
        """Check that blocks lie on the grid, and hold more than what one output depends on."""
        grid = self.layout.alignment
        if self.hop < grid or self.block % grid:
            least = grid + -(-(self.block - self._free) // grid) * grid
            raise InvalidParameterError(
                f"block={self.block} samples must be a multiple of {grid}, at least {least}: an output depends on "
                f"{self.layout.before} samples before it and {self.layout.after} after it."
            )

    @property
    def lead_in(self) -> int:
        """Samples of a block before the first whose outputs are read: all that they depend on, on the grid."""
        return -(-self.layout.before // self.layout.alignment) * self.layout.alignment

    @property
    def _free(self) -> int:
        """Samples of a block whose outputs depend on nothing outside."""
        return self.block - self.lead_in - (self.layout.after + 1 - self.layout.stride)

    @property
    def hop(self) -> int:
        """Samples from one block to the next."""
        return self._free // self.layout.alignment * self.layout.alignment

    @property
    def delay(self) -> float:
        """Seconds after a sample within which its logits are complete, but for the first two seconds of a lead."""
        return (self.hop + self.layout.after) / self.rate + self.input.scale.ahead

    @cached_property
    def _graph(self) -> _Graph:
        return _Graph(self.graph)

    def open(self) -> NetworkStream:
        """Return a stream at the start of a lead.

        Raises
        ------
        MissingExtraError
            If LiteRT is not installed.
        ModelFileError
            If the graph is damaged, or takes other blocks.
        """
        self._graph.check(self)
        return NetworkStream(self, self._graph)

    def logits(self, lead: ArrayLike) -> NDArray[np.float32]:
        """Return the logits of a whole lead: open, push, flush.

        Parameters
        ----------
        lead : array_like of shape (n_samples,)
            At `rate` Hz, in any unit, without missing samples.

        Returns
        -------
        logits : ndarray of float32, shape (ceil(n_samples / stride), n_classes)
            Row j is about samples j · stride to (j + 1) · stride − 1.
        """
        stream = self.open()
        return np.concatenate([stream.push(lead), stream.flush()])

    def __getstate__(self) -> dict[str, Any]:
        """Leave the interpreter out: it is built anew from the graph."""
        return {name: value for name, value in vars(self).items() if name != "_graph"}

    def to_arrays(self) -> dict[str, NDArray]:
        """Return what `from_arrays` takes: the graph's bytes, and the rest as JSON."""
        about = {name: value for name, value in asdict(self).items() if name != "graph"}
        return {"graph": np.frombuffer(self.graph, np.uint8), "about": np.array(json.dumps(about))}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray]) -> Network:
        """Rebuild a network.

        Raises
        ------
        ModelFileError
            If something is missing, or is none of ours. Nothing is executed.
        """
        try:
            about = json.loads(str(arrays["about"]))
            inputs = about.pop("input")
            return cls(
                graph=arrays["graph"].astype(np.uint8, casting="no").tobytes(),
                layout=Layout(**about.pop("layout")),
                input=NetworkInput(**{**inputs, "scale": RunningScale(**inputs["scale"])}),
                classes=tuple(about.pop("classes")),
                **about,
            )
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"The network is incomplete or inconsistent ({error}). Copy the file again, or train anew."
            ) from error

    def to_bytes(self) -> bytes:
        """Return the network as the content of an ``.npz`` file without pickle."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **self.to_arrays())
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Network:
        """Rebuild a network from `to_bytes`.

        Raises
        ------
        ModelFileError
            If the content is damaged, or none of ours. Nothing is executed.
        """
        try:
            archive = np.load(io.BytesIO(content), allow_pickle=False)
            arrays = {name: archive[name] for name in archive.files}
        except Exception as error:  # damage makes zipfile, zlib and numpy raise nearly anything
            raise ModelFileError(
                f"This is no network, or a damaged one ({error}). Expected an .npz written by Network.to_bytes; "
                "pickles are never loaded."
            ) from error
        return cls.from_arrays(arrays)


class _Graph:
    """An interpreter of one LiteRT graph, with its quantisation at both ends."""

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

    def check(self, network: Network) -> None:
        """Check that the graph takes and gives what the network says."""
        shapes = tuple(self._input["shape"]), tuple(self._output["shape"])
        expected = (
            (1, network.block, NetworkInput.N_INPUTS),
            (1, network.block // network.layout.stride, len(network.classes)),
        )
        if shapes != expected:
            raise ModelFileError(f"The network's graph has shapes {shapes}, expected {expected}. Train anew.")

    def run(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of a block of inputs, shape (n_outputs, n_classes)."""
        scale, zero = self._input["quantization"]
        if scale:  # int8
            inputs = np.clip(np.round(inputs / np.float32(scale)) + zero, -128, 127).astype(np.int8)
        self._interpreter.set_tensor(self._input["index"], inputs[None])
        self._interpreter.invoke()
        out = self._interpreter.get_tensor(self._output["index"])[0]
        scale, zero = self._output["quantization"]
        return (out.astype(np.float32) - np.float32(zero)) * np.float32(scale) if scale else out


class NetworkStream:
    """The logits of one lead, as far as they are complete; made by `Network.open`.

    Notes
    -----
    State: the inputs of the latest block, and of the samples that wait for the next one.
    """

    def __init__(self, network: Network, graph: _Graph) -> None:
        self._network, self._graph = network, graph
        self._inputs = network.input.open(fs=network.rate)
        self._waiting = np.zeros((network.lead_in, NetworkInput.N_INPUTS), np.float32)  # from the next block's start
        self._n_done = 0  # outputs returned

    def push(self, chunk: ArrayLike) -> NDArray[np.float32]:
        """Take the next samples, shape (n,); return the logits that are complete now, shape (m, n_classes).

        Raises
        ------
        InvalidSignalError
            If a sample is missing: a stream is for a stretch without.
        """
        return self._advance(self._inputs.push(chunk), last=False)

    def flush(self) -> NDArray[np.float32]:
        """End the lead; return the remaining logits."""
        return self._advance(self._inputs.flush(), last=True)

    def _advance(self, inputs: NDArray[np.float32], *, last: bool) -> NDArray[np.float32]:
        """Run the blocks that are full, all that is left if `last`."""
        network = self._network
        layout, block, hop = network.layout, network.block, network.hop
        self._waiting = np.concatenate([self._waiting, inputs])
        n_total = -(-self._inputs.position // layout.stride)
        if last:
            n_blocks = -(-(n_total - self._n_done) * layout.stride // hop)
            missing = max(0, (n_blocks - 1) * hop + block - len(self._waiting))
            self._waiting = np.pad(self._waiting, ((0, missing), (0, 0)))
        parts = [np.empty((0, len(network.classes)), np.float32)]
        first = (network.lead_in + layout.lookahead) // layout.stride
        while len(self._waiting) >= block and (not last or self._n_done < n_total):
            count = hop // layout.stride
            if last:
                count = min(count, n_total - self._n_done)
            parts.append(self._graph.run(self._waiting[:block])[first : first + count])
            self._waiting = self._waiting[hop:]
            self._n_done += count
        return np.concatenate(parts)
