"""The logits of one lead as it comes: block by block, or sample by sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.dsp import Convolutions
from mhealth.nn._input import NetworkInput
from mhealth.nn._interpreter import Interpreter

if TYPE_CHECKING:
    from mhealth.nn._inference import Network

__all__ = ["BlockStream", "CausalStream", "NetworkStream"]


class NetworkStream(ABC):
    """The logits of one lead, as far as they are complete; made by `Network.open`."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._inputs = network.input.open(fs=network.rate)

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

    @property
    def _n_outputs(self) -> int:
        """How many outputs the samples so far have in the end."""
        return -(-self._inputs.position // self._network.layout.stride)

    @abstractmethod
    def _advance(self, inputs: NDArray[np.float32], *, last: bool) -> NDArray[np.float32]:
        """Take the next inputs, the last ones if `last`; return the logits that are complete now."""


class CausalStream(NetworkStream):
    """A causal network, sample by sample. State: the latest inputs of each of its layers."""

    def __init__(self, network: Network, layers: Convolutions) -> None:
        super().__init__(network)
        self._ends = layers.inputs, layers.outputs
        self._stream = layers.open()
        self._early = network.layout.lookahead // network.layout.stride  # outputs that tell of no sample yet

    def _advance(self, inputs: NDArray[np.float32], *, last: bool) -> NDArray[np.float32]:
        """Run the layers, at the end as far beyond the lead as its last output looks."""
        layout = self._network.layout
        if last and self._n_outputs:
            end = (self._n_outputs - 1) * layout.stride + layout.lookahead + 1
            inputs = np.pad(inputs, ((0, max(0, end - self._inputs.position)), (0, 0)))
        first, second = self._ends
        outputs = self._stream.push(inputs if first is None else first.encode(inputs))
        early = min(self._early, len(outputs))
        self._early -= early
        return (outputs if second is None else second.decode(outputs))[early:]


class BlockStream(NetworkStream):
    """Any network, block by block. State: the inputs of the latest block, and of the samples that wait for the next."""

    def __init__(self, network: Network, interpreter: Interpreter) -> None:
        super().__init__(network)
        self._interpreter = interpreter
        self._waiting = np.zeros((network.lead_in, NetworkInput.N_INPUTS), np.float32)  # from the next block's start
        self._n_done = 0  # outputs returned

    def _advance(self, inputs: NDArray[np.float32], *, last: bool) -> NDArray[np.float32]:
        """Run the blocks that are full, all that is left if `last`."""
        network = self._network
        layout, block, hop = network.layout, network.block, network.hop
        self._waiting = np.concatenate([self._waiting, inputs])
        if last:
            n_blocks = -(-(self._n_outputs - self._n_done) * layout.stride // hop)
            missing = max(0, (n_blocks - 1) * hop + block - len(self._waiting))
            self._waiting = np.pad(self._waiting, ((0, missing), (0, 0)))
        parts = [np.empty((0, len(network.classes)), np.float32)]
        first = (network.lead_in + layout.lookahead) // layout.stride
        while len(self._waiting) >= block and (not last or self._n_done < self._n_outputs):
            count = hop // layout.stride
            if last:
                count = min(count, self._n_outputs - self._n_done)
            parts.append(self._interpreter.run(self._waiting[:block])[first : first + count])
            self._waiting = self._waiting[hop:]
            self._n_done += count
        return np.concatenate(parts)
