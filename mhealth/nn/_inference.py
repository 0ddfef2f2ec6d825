"""A trained network at work, without TensorFlow: whole leads and streams."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.dsp import Convolutions, RunningScale
from mhealth.errors import InvalidParameterError, ModelFileError
from mhealth.nn._causal import to_convolutions
from mhealth.nn._flatbuffer import read_graph
from mhealth.nn._input import NetworkInput
from mhealth.nn._interpreter import Interpreter
from mhealth.nn._layout import Layout
from mhealth.nn._streams import BlockStream, CausalStream, NetworkStream

__all__ = ["Network"]


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
    Beyond the ends of a lead all inputs are zero, and results do not depend on how it is cut into chunks.

    A causal network runs sample by sample on kernels of our own, from the layers that its graph lists; LiteRT need not
    be installed. In int8 its logits are those of LiteRT's reference kernels to the bit.

    Another one runs on LiteRT, in blocks that overlap by what an output depends on, on a grid that starts with the
    lead. An output is read from the one block that holds everything it depends on, so that the length of the blocks
    leaves no trace but for rounding.

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
        """Check that blocks that overlap lie on the grid, and hold more than what one output depends on."""
        if self.is_causal:
            return
        grid = self.layout.alignment
        if self.hop < grid or self.block % grid:
            least = grid + -(-(self.block - self._free) // grid) * grid
            raise InvalidParameterError(
                f"block={self.block} samples must be a multiple of {grid}, at least {least}: an output depends on "
                f"{self.layout.before} samples before it and {self.layout.after} after it."
            )

    @property
    def is_causal(self) -> bool:
        """Whether outputs look ahead no further than they come late, so that the network runs sample by sample."""
        return self.layout.after <= self.layout.lookahead

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
        waiting = 0 if self.is_causal else self.hop
        return (waiting + self.layout.after) / self.rate + self.input.scale.ahead

    @cached_property
    def layers(self) -> Convolutions:
        """The layers of a causal network, in its own numbers.

        Raises
        ------
        ModelFileError
            If the graph is damaged, takes or gives something else than the network says, or is not causal.
        """
        graph = read_graph(self.graph)
        layers = to_convolutions(graph)
        self._check_shapes(graph.tensors[graph.inputs[0]].shape, graph.tensors[graph.outputs[0]].shape)
        before = max(0, layers.reach - self.layout.lookahead)
        if (layers.stride, before) != (self.layout.stride, self.layout.before):
            raise ModelFileError(
                f"The network's graph has stride {layers.stride} and looks back {before} samples; its layout says "
                f"{self.layout.stride} and {self.layout.before}. Train anew."
            )
        return layers

    @cached_property
    def _interpreter(self) -> Interpreter:
        interpreter = Interpreter(self.graph)
        self._check_shapes(*interpreter.shapes)
        return interpreter

    def _check_shapes(self, *shapes: tuple[int, ...]) -> None:
        """Check that the graph takes and gives what the network says."""
        expected = (
            (1, self.block, NetworkInput.N_INPUTS),
            (1, self.block // self.layout.stride, len(self.classes)),
        )
        if shapes != expected:
            raise ModelFileError(f"The network's graph has shapes {shapes}, expected {expected}. Train anew.")

    def open(self) -> NetworkStream:
        """Return a stream at the start of a lead.

        Raises
        ------
        MissingExtraError
            If LiteRT is needed and not installed.
        ModelFileError
            If the graph is damaged, or another one than the network says.
        """
        return CausalStream(self, self.layers) if self.is_causal else BlockStream(self, self._interpreter)

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
        """Leave out what is built anew from the graph."""
        return {name: value for name, value in vars(self).items() if name not in ("layers", "_interpreter")}

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
            network = cls(
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
        if network.is_causal:
            _ = network.layers  # so that a damaged graph is noticed now
        return network

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
