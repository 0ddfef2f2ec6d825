"""Training of a network: examples in, the weights that were best on other subjects out."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mhealth.core import replacing
from mhealth.errors import AnnotationError, InvalidParameterError, ModelFileError
from mhealth.nn._backend import require_tensorflow
from mhealth.nn._layout import Layout, layout_of
from mhealth.nn._losses import Loss

if TYPE_CHECKING:
    import keras

__all__ = ["NetworkExample", "NetworkTraining", "train_network"]

_log = logging.getLogger(__name__)

_WARM_UP = 0.05
"""Share of the steps in which the learning rate rises: Adam's second moments are noise before."""

_CLIP = 1.0
"""Norm to which gradients are cut (Pascanu et al. 2013): one lead full of artefacts moves little."""


class NetworkExample(NamedTuple):
    """A lead without missing samples as a network sees it, and what is known of it.

    Attributes
    ----------
    inputs : ndarray of floats, shape (n_samples, n_inputs)
        From `NetworkInput`; float16 saves memory.
    classes : ndarray of int8, shape (n_samples,)
    known : ndarray of bool, shape (n_samples,)
        Where the class is known.
    """

    inputs: NDArray
    classes: NDArray[np.int8]
    known: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class NetworkTraining:
    """How a network is trained.

    Parameters
    ----------
    loss : Loss
    n_passes : int
        Passes over the examples; one takes each lead once, as recorded or as one of its altered copies.
    batch_size : int
        Leads a step.
    learning_rate, weight_decay : float
        Of AdamW [1]_ with one cycle of warm-up and cosine decay.
    patience : int
        Passes without improvement on the validation leads after which training ends.
    seed : int
        Of every draw, initial weights apart.

    References
    ----------
    .. [1] Loshchilov, Hutter (2019). Decoupled weight decay regularization. ICLR. https://arxiv.org/abs/1711.05101
    """

    loss: Loss = field(default_factory=Loss)
    n_passes: int = 60
    batch_size: int = 32
    learning_rate: float = 4e-3
    weight_decay: float = 5e-2
    patience: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        """Check that a training can be run so."""
        for name in ("n_passes", "batch_size", "patience"):
            if getattr(self, name) < 1:
                raise InvalidParameterError(f"{name}={getattr(self, name)!r} must be at least 1.")
        if not 0 < self.learning_rate < math.inf or not 0 <= self.weight_decay < math.inf:
            raise InvalidParameterError(
                f"learning_rate={self.learning_rate!r} must be positive and weight_decay={self.weight_decay!r} not "
                "negative, both finite."
            )


def train_network(
    network: keras.Model,
    examples: Sequence[Sequence[NetworkExample]],
    validation: Sequence[NetworkExample],
    training: NetworkTraining,
    *,
    lookahead: int = 0,
    progress: Callable[[int, int], None] | None = None,
    checkpoint: Path | None = None,
    log_dir: Path | None = None,
) -> list[float]:
    """Train a network in place; it ends with the weights that were best on the validation examples.

    Parameters
    ----------
    network : keras.Model
        From `unet` or `tcn`, built for the length that examples are cut or padded to.
    examples : sequence of sequences of NetworkExample
        For each lead the recorded one and its altered copies, among which each pass draws.
    validation : sequence of NetworkExample
        Leads of other subjects; empty, the last weights are kept.
    training : NetworkTraining
    lookahead : int
        Samples by which the outputs come late.
    progress : callable, optional
        Called as ``progress(done, steps)``.
    checkpoint : path-like, optional
        File that keeps the state of the training after each pass. If it exists, training goes on from there; it is
        removed when training ends.
    log_dir : path-like, optional
        Folder for TensorBoard: losses, learning rate, and the graph.

    Returns
    -------
    losses : list of float
        On the validation examples after each pass, NaN without any.

    Raises
    ------
    AnnotationError
        If there is nothing to learn from.
    ModelFileError
        If the checkpoint is damaged, or of another training.

    Notes
    -----
    The same examples and seed on the same machine give the same weights, however often training was interrupted.
    """
    if not any(copy.known.any() for copies in examples for copy in copies):
        raise AnnotationError("No annotated stretch is left to train on; expected marks inside annotated stretches.")
    tensorflow = require_tensorflow()
    tensorflow.config.experimental.enable_op_determinism()
    run = _Run(tensorflow, network, layout_of(network, lookahead=lookahead), training, len(examples))
    state = run.resume(checkpoint) if checkpoint is not None and checkpoint.exists() else _State()
    board = tensorflow.summary.create_file_writer(str(log_dir)) if log_dir is not None else None
    if board is not None and not state.losses:
        run.write_graph(board)
    while len(state.losses) < training.n_passes and not state.is_stale(training.patience):
        run.do_pass(examples, len(state.losses), progress or (lambda done, steps: None))
        loss = run.evaluate(validation)
        state.losses.append(loss)
        if not len(validation) or loss <= min(state.losses):
            state.best = network.get_weights()
        _log.info("pass %d of %d: validation loss %.4f", len(state.losses), training.n_passes, loss)
        if board is not None:
            run.write_pass(board, len(state.losses), loss)
        if checkpoint is not None:
            run.save(checkpoint, state)
    network.set_weights(state.best)
    if board is not None:
        board.close()
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return state.losses


class _State:
    """How far a training has come, beside what the network and its optimizer hold."""

    def __init__(self, losses: Sequence[float] = (), best: Sequence[NDArray] = ()) -> None:
        self.losses, self.best = list(losses), list(best)

    def is_stale(self, patience: int) -> bool:
        """Whether the best pass is too long ago; never without validation."""
        if not self.losses or math.isnan(self.losses[-1]):
            return False
        return len(self.losses) - 1 - int(np.argmin(self.losses)) >= patience


class _Run:
    """One network in training."""

    def __init__(
        self, tensorflow: Any, network: keras.Model, layout: Layout, training: NetworkTraining, n_leads: int
    ) -> None:
        self.tensorflow, self.network, self.layout, self.training = tensorflow, network, layout, training
        self.n_samples, self.n_inputs = network.input.shape[1:]
        self.steps_a_pass = max(1, -(-n_leads // training.batch_size))
        self.optimizer = tensorflow.keras.optimizers.AdamW(
            training.learning_rate, weight_decay=training.weight_decay, clipnorm=_CLIP
        )
        self.optimizer.build(network.trainable_variables)
        self.train_loss = math.nan
        loss, optimizer = training.loss, self.optimizer

        @tensorflow.function(autograph=False)  # there is no control flow to translate
        def step(inputs: Any, classes: Any, known: Any) -> Any:
            with tensorflow.GradientTape() as tape:
                value = loss(network(inputs, training=True), classes, known)
            optimizer.apply(tape.gradient(value, network.trainable_variables))
            return value

        @tensorflow.function(autograph=False)
        def judge(inputs: Any, classes: Any, known: Any) -> Any:
            return loss(network(inputs, training=False), classes, known)

        self.step, self.judge = step, judge

    def do_pass(
        self, examples: Sequence[Sequence[NetworkExample]], done: int, progress: Callable[[int, int], None]
    ) -> None:
        """Take each lead once. Every pass has its own random numbers, so that a later one needs none of an earlier."""
        rng = np.random.default_rng([self.training.seed, done])
        order, total = rng.permutation(len(examples)), self.training.n_passes * self.steps_a_pass
        # Random layers draw from generators of their own, which start anew with each pass.
        for layer in self.network.layers:
            if hasattr(layer, "seed_generator"):
                layer.seed_generator.state.assign([self.training.seed, done])
        losses = []
        for k, part in enumerate(np.array_split(order, self.steps_a_pass)):
            at = done * self.steps_a_pass + k + 1
            self.optimizer.learning_rate.assign(self.rate(at / total))
            batch = [examples[lead][int(rng.integers(len(examples[lead])))] for lead in part.tolist()]
            losses.append(float(self.step(*self.arrays(batch, rng))))
            progress(at, total)
        self.train_loss = float(np.mean(losses))

    def rate(self, done: float) -> float:
        """Return the learning rate after a share of the steps."""
        rising, falling = done / _WARM_UP, max(0.0, done - _WARM_UP) / (1 - _WARM_UP)
        return self.training.learning_rate * min(rising, 0.5 + 0.5 * math.cos(math.pi * falling))

    def arrays(
        self, batch: Sequence[NetworkExample], rng: np.random.Generator | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float32]]:
        """Cut or pad leads to the network's length, at random if `rng`; return inputs, classes, and what is known."""
        stride, length = self.layout.stride, self.n_samples
        inputs = np.zeros((len(batch), length, self.n_inputs), np.float32)
        classes, known = np.zeros((2, len(batch), length), np.int32)
        for k, example in enumerate(batch):
            free = length - len(example.inputs)
            # Leads that are too short start somewhere in the block, on the network's grid or off it; of those that are
            # too long, some part is taken.
            start = int(rng.integers(min(0, free), max(0, free) + 1)) if rng is not None else min(0, free) // 2
            source = slice(max(0, -start), max(0, -start) + length)
            n = len(example.inputs[source])
            target = slice(max(0, start), max(0, start) + n)
            inputs[k, target] = example.inputs[source]
            classes[k, target], known[k, target] = example.classes[source], example.known[source]
            if free < 0:  # what a cut end hides, the network need not know; half of it blurs little
                known[k, : min(self.layout.before, length // 8)] = 0
                known[k, length - min(self.layout.after, length // 8) :] = 0
        middle = slice(stride // 2, None, stride)
        classes, known = classes[:, middle], known[:, middle]
        late = self.layout.lookahead // stride
        if late:
            classes = np.pad(classes, ((0, 0), (late, 0)))[:, :-late]
            known = np.pad(known, ((0, 0), (late, 0)))[:, :-late]
        return inputs, classes, known.astype(np.float32)

    def evaluate(self, validation: Sequence[NetworkExample]) -> float:
        """Return the loss on the validation examples."""
        losses, weights = [], []
        for k in range(0, len(validation), self.training.batch_size):
            arrays = self.arrays(validation[k : k + self.training.batch_size], None)
            losses.append(float(self.judge(*arrays)))
            weights.append(arrays[2].sum())
        return float(np.average(losses, weights=weights)) if np.sum(weights) else math.nan

    def about(self) -> str:
        """Return what a checkpoint must have in common with the training that goes on from it."""
        shapes = [list(weight.shape) for weight in self.network.get_weights()]
        return json.dumps({"training": asdict(self.training), "shapes": shapes, "steps": self.steps_a_pass})

    def save(self, path: Path, state: _State) -> None:
        """Write the state of the training as an ``.npz`` without pickle, as a whole or not at all."""
        arrays = {f"weight{k}": weight for k, weight in enumerate(self.network.get_weights())}
        arrays |= {f"best{k}": weight for k, weight in enumerate(state.best)}
        arrays |= {f"optimizer{k}": np.asarray(variable) for k, variable in enumerate(self.optimizer.variables)}
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, about=self.about(), losses=np.array(state.losses), **arrays)

    def resume(self, path: Path) -> _State:
        """Take up the state of an interrupted training."""
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            same = str(arrays["about"]) == self.about()
        except Exception as error:  # damage makes zipfile, zlib and numpy raise nearly anything
            raise ModelFileError(
                f"{path}: is no checkpoint, or a damaged one ({error}). Remove it to train anew."
            ) from error
        if not same:
            raise ModelFileError(
                f"{path}: is the checkpoint of another training (settings, network or data differ). Remove it to train "
                "anew."
            )
        n_weights = len(self.network.get_weights())
        self.network.set_weights([arrays[f"weight{k}"] for k in range(n_weights)])
        for k, variable in enumerate(self.optimizer.variables):
            variable.assign(arrays[f"optimizer{k}"])
        return _State(arrays["losses"].tolist(), [arrays[f"best{k}"] for k in range(n_weights)])

    def write_graph(self, board: Any) -> None:
        """Show the network's graph in TensorBoard."""
        summary, network = self.tensorflow.summary, self.network
        shape = self.tensorflow.TensorSpec((1, self.n_samples, self.n_inputs))
        graph = self.tensorflow.function(lambda inputs: network(inputs, training=False)).get_concrete_function(shape)
        with board.as_default(step=0):
            summary.graph(graph.graph)

    def write_pass(self, board: Any, done: int, loss: float) -> None:
        """Show a pass in TensorBoard."""
        values = {
            "loss/training": self.train_loss,
            "loss/validation": loss,
            "learning_rate": float(self.optimizer.learning_rate.numpy()),
        }
        # As tf.summary.scalar does, which needs TensorBoard itself to be installed.
        kind = self.tensorflow.compat.v1.SummaryMetadata(plugin_data={"plugin_name": "scalars"}, data_class=1)
        with board.as_default(step=done):
            for name, value in values.items():
                self.tensorflow.summary.write(name, np.float32(value), metadata=kind)
