"""A network in place of the sparse codes: how it is trained, and how the CRF above it reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mhealth.errors import InvalidParameterError
from mhealth.labeling._augment import HARD, augmented
from mhealth.labeling._examples import LeadCase
from mhealth.labeling._network import NetworkContext, stretches
from mhealth.labeling._task import Task
from mhealth.labeling._training import Progress, TrainingSettings

if TYPE_CHECKING:
    from mhealth.nn import Network, NetworkExample, NetworkInput, NetworkTraining

__all__ = ["SCHEDULE", "NetworkEmission", "read_by_network"]

_TRAINED_ON = 2560
"""Samples at 250 Hz that a network is trained on at a time: 10 s, eight beats or more."""

_BLOCK = {"unet": 8192, "tcn": 1280}
"""Samples that the graph of a trained network takes at a time: long, for little overlap. A TCN runs sample by sample
here; the length of its graph is for others that use it.
"""

_LOOKAHEAD = {"unet": 0, "tcn": 76}
"""Samples by which the outputs of a causal network come late: 0.3 s, the longest wave but for T."""


SCHEDULE: dict[str, Any] = {
    "unet": {"n_passes": 120, "learning_rate": 4e-3, "patience": 40},
    "tcn": {"n_passes": 120, "learning_rate": 6e-3},
}

_FEWEST_STEPS = 1500
"""Steps of a network's training even if that makes more passes: few leads need as many as half of LUDB's."""

_REPRESENTATIVE = 40
"""Blocks by which the ranges of an int8 network are chosen: up to 87 minutes of leads."""


@dataclass(frozen=True, kw_only=True)
class NetworkEmission:
    """Log potentials from the logits of a neural network, read around each candidate.

    The network learns first, sample by sample, from four fifths of the subjects; the other fifth ends its training, and
    later calibrates the probabilities. The CRF learns second, as it does above sparse codes.

    Parameters
    ----------
    architecture : {"unet", "tcn"}
        A bidirectional U-Net for whole recordings, or a small causal network for streams.
    network : Network or path-like, optional
        A trained one, or the ``.keras`` file of one; `fit` then learns only the CRF above it.
    keep : path-like, optional
        ``.keras`` file that the trained network is written to, for other uses of it.
    precision : {"float32", "int8"}, default="float32"
        Of the network at work. In int8, as microcontrollers have it, the ranges are chosen by the recordings of `fit`.
    training : NetworkTraining, optional
        Loss and schedule; 120 passes at a learning rate of 0.004 for a U-Net, at 0.006 for a TCN by default, which were
        the best of five and of two on one fold of LUDB; more passes where leads are few, to 1500 steps.
    input : NetworkInput, optional
        What is made of a lead before the network sees it.
    n_augmented : int, default=12
        Altered copies of each lead, among which passes draw.
    wearing : {"usual", "hard"}, default="usual"
        How noisy copies are: "hard" has noise as large as the waves in 40 % of them instead of 12.5 %. A U-Net then
        finds far more in electrode motion, and loses 0.2 points of macro F1 on clean signals (`experiments/noise`).
    checkpoint : path-like, optional
        File that keeps the state of the training after each pass; `fit` goes on from there.
    log_dir : path-like, optional
        Folder for TensorBoard.

    Raises
    ------
    InvalidParameterError
        If there is no such architecture or precision, or `keep` is no ``.keras`` file.
    """

    architecture: str = "unet"
    network: Network | Path | str | None = None
    keep: Path | str | None = None
    precision: Literal["float32", "int8"] = "float32"
    training: NetworkTraining | None = None
    input: NetworkInput | None = None
    n_augmented: int = 12
    wearing: Literal["usual", "hard"] = "usual"
    checkpoint: Path | str | None = None
    log_dir: Path | str | None = None

    def __post_init__(self) -> None:
        """Check what can be checked before training."""
        if self.architecture not in _BLOCK:
            raise InvalidParameterError(f"architecture={self.architecture!r} must be 'unet' or 'tcn'.")
        if self.precision not in ("float32", "int8"):
            raise InvalidParameterError(f"precision={self.precision!r} must be 'float32' or 'int8'.")
        if self.wearing not in ("usual", "hard"):
            raise InvalidParameterError(f"wearing={self.wearing!r} must be 'usual' or 'hard'.")
        if self.precision == "int8" and not isinstance(self.network, str | Path | None):
            raise InvalidParameterError(
                "precision='int8', but the network has been converted already and keeps its precision. Give its .keras."
            )
        if self.keep is not None and Path(self.keep).suffix != ".keras":  # not after an hour of training
            raise InvalidParameterError(f"keep={str(self.keep)!r} must end in .keras.")
        if self.n_augmented < 0:
            raise InvalidParameterError(f"n_augmented={self.n_augmented!r} must not be negative.")

    @property
    def settings(self) -> TrainingSettings:
        """How the CRF above a network is trained: most has been learned below, so that small layers do.

        Above a TCN in int8 they are smaller still, for microcontrollers: macro F1 within 150 ms on two folds of LUDB,
        learned from half of the other records, is 98.06 and 97.71 with layers of 64 and 32, 98.11 and 97.73 with these.
        """
        first, second = (16, 16) if self.architecture == "tcn" and self.precision == "int8" else (64, 32)
        return TrainingSettings(n_first=first, n_second=second, dropout=0.0, fewest_steps=500, n_augmented=2)

    def worn(self, task: Task) -> Task:
        """Return the task with copies as noisy as is wished."""
        return replace(task, augmented=partial(augmented, wearing=HARD)) if self.wearing == "hard" else task

    def trained(
        self,
        task: Task,
        cases: Sequence[LeadCase],
        validation: Sequence[LeadCase],
        copies: Callable[[LeadCase], Iterator[LeadCase]],
        seed: int,
        progress: Progress,
    ) -> Network:
        """Return a network that has learned from the cases and their altered copies.

        Parameters
        ----------
        task : Task
        cases, validation : sequence of LeadCase
            Of different subjects.
        copies : callable
            Yields altered copies of a case without end.
        seed : int
            Of initial weights and draws, where `training` says none.
        progress : callable
            Called as ``progress(stage, done, total)``.
        """
        from mhealth.nn import Network, NetworkInput, load_keras, save_keras, to_network

        if isinstance(self.network, Network):
            return self.network
        network_input = self.input or NetworkInput()
        model = None if self.network is None else load_keras(self.network)
        if model is not None and model.name != self.architecture:
            raise InvalidParameterError(
                f"network={str(self.network)!r} is a {model.name}, not a {self.architecture}. Give them alike."
            )
        n_copies = self.n_augmented if model is None else 0
        examples: list[list[NetworkExample]] = []
        for done, case in enumerate(cases if model is None or self.precision == "int8" else ()):
            shown = [case, *(copy for copy, _ in zip(copies(case), range(n_copies), strict=False))]
            # What has no usable stretch is no example; a copy with several gives the first.
            found = [next(self._examples(copy, task, network_input), None) for copy in shown]
            if some := [example for example in found if example is not None]:
                examples.append(some)
            progress("altered copies" if n_copies else "inputs", done + 1, len(cases))
        if model is None:
            unseen = [example for case in validation for example in self._examples(case, task, network_input)]
            model = self._fitted(examples, unseen, seed, progress)
        if self.keep is not None:
            save_keras(model, self.keep)
        block = _BLOCK[self.architecture]
        return to_network(
            model, block=block, lookahead=_LOOKAHEAD[self.architecture], network_input=network_input,
            representative=_blocks(examples, block) if self.precision == "int8" else None,
        )  # fmt: skip

    def _fitted(
        self,
        examples: list[list[NetworkExample]],
        validation: list[NetworkExample],
        seed: int,
        progress: Progress,
    ) -> Any:
        """Return a Keras network that has learned from examples."""
        from mhealth.nn import NetworkTraining, tcn, train_network, unet

        training = self.training
        if training is None:
            training = NetworkTraining(**SCHEDULE[self.architecture], seed=seed)
            steps_a_pass = max(1, -(-len(examples) // training.batch_size))
            passes = max(training.n_passes, -(-_FEWEST_STEPS // steps_a_pass))
            patience = training.patience * passes // training.n_passes
            training = replace(training, n_passes=passes, patience=patience)
        build = unet if self.architecture == "unet" else tcn
        model = build(_TRAINED_ON, seed=training.seed)
        train_network(
            model, examples, validation, training, lookahead=_LOOKAHEAD[self.architecture],
            progress=lambda done, steps: progress(f"network, {self.architecture}", done, steps),
            checkpoint=None if self.checkpoint is None else Path(self.checkpoint),
            log_dir=None if self.log_dir is None else Path(self.log_dir),
        )  # fmt: skip
        return model

    @staticmethod
    def _examples(case: LeadCase, task: Task, network_input: NetworkInput) -> Iterator[NetworkExample]:
        """Return what a network sees of a case, a stretch at a time."""
        from mhealth.nn import NetworkExample

        for stretch in stretches(case, task):
            stream = network_input.open(fs=task.front_end.rate)
            inputs = np.concatenate([stream.push(stretch.lead), stream.flush()]).astype(np.float16)
            yield NetworkExample(inputs, stretch.classes, stretch.known)


def _blocks(examples: list[list[NetworkExample]], block: int) -> NDArray[np.float32]:
    """Return inputs of leads, one after the other, as blocks; every so many, if there are more than are needed."""
    inputs = np.concatenate([copies[0].inputs for copies in examples]).astype(np.float32)
    inputs = np.pad(inputs, ((0, -len(inputs) % block), (0, 0)))
    blocks = inputs.reshape(-1, block, inputs.shape[1])
    return blocks[:: -(-len(blocks) // _REPRESENTATIVE)]


def read_by_network(task: Task, network: Network) -> Task:
    """Return a task whose candidates are described by a network instead of windows."""
    context = NetworkContext(network=network)
    features = replace(
        task.front_end.features,
        windows=(),
        context=context,
        lookahead=max(task.front_end.features.lookahead, context.lookahead),
    )
    return replace(task, front_end=replace(task.front_end, features=features))
