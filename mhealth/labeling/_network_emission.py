"""A network in place of the sparse codes: how it is trained, and how the CRF above it reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mhealth.errors import InvalidParameterError
from mhealth.labeling._examples import LeadCase
from mhealth.labeling._network import NetworkContext, stretches
from mhealth.labeling._task import Task
from mhealth.labeling._training import Progress, TrainingSettings

if TYPE_CHECKING:
    from mhealth.nn import Network, NetworkExample, NetworkInput, NetworkTraining

__all__ = ["NetworkEmission", "read_by_network"]

_TRAINED_ON = 2560
"""Samples at 250 Hz that a network is trained on at a time: 10 s, eight beats or more."""

_BLOCK = {"unet": 8192, "tcn": 1280}
"""Samples that the graph of a trained network takes at a time: long, for little overlap. A TCN runs sample by sample
here; the length of its graph is for others that use it.
"""

_LOOKAHEAD = {"unet": 0, "tcn": 76}
"""Samples by which the outputs of a causal network come late: 0.3 s, the longest wave but for T."""


_SCHEDULE: dict[str, Any] = {
    "unet": {"n_passes": 60, "learning_rate": 4e-3},
    "tcn": {"n_passes": 120, "learning_rate": 6e-3},
}


@dataclass(frozen=True, kw_only=True)
class NetworkEmission:
    """Log potentials from the logits of a neural network, read around each candidate.

    The network learns first, sample by sample, from four fifths of the subjects; the other fifth ends its training, and
    later calibrates the probabilities. The CRF learns second, as it does above sparse codes.

    Parameters
    ----------
    architecture : {"unet", "tcn"}
        A bidirectional U-Net for whole recordings, or a small causal network for streams.
    network : Network, optional
        A trained one; `fit` then learns only the CRF above it.
    training : NetworkTraining, optional
        Loss and schedule; 60 passes at a learning rate of 0.004 for a U-Net, 120 at 0.006 for a TCN by default, which
        were the best of four and of two on one fold of LUDB.
    n_augmented : int, default=12
        Altered copies of each lead, among which passes draw.
    checkpoint : path-like, optional
        File that keeps the state of the training after each pass; `fit` goes on from there.
    log_dir : path-like, optional
        Folder for TensorBoard.

    Raises
    ------
    InvalidParameterError
        If there is no such architecture.
    """

    architecture: str = "unet"
    network: Network | None = None
    training: NetworkTraining | None = None
    n_augmented: int = 12
    checkpoint: Path | str | None = None
    log_dir: Path | str | None = None

    def __post_init__(self) -> None:
        """Check what can be checked before training."""
        if self.architecture not in _BLOCK:
            raise InvalidParameterError(f"architecture={self.architecture!r} must be 'unet' or 'tcn'.")
        if self.n_augmented < 0:
            raise InvalidParameterError(f"n_augmented={self.n_augmented!r} must not be negative.")

    @property
    def settings(self) -> TrainingSettings:
        """How the CRF above a network is trained: most has been learned below, so that small layers do."""
        return TrainingSettings(n_first=64, n_second=32, dropout=0.0, fewest_steps=500, n_augmented=2)

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
        if self.network is not None:
            return self.network
        from mhealth.nn import NetworkInput, NetworkTraining, tcn, to_network, train_network, unet

        network_input = NetworkInput()
        examples: list[list[NetworkExample]] = []
        for done, case in enumerate(cases):
            shown = [case, *(copy for copy, _ in zip(copies(case), range(self.n_augmented), strict=False))]
            # What has no usable stretch is no example; a copy with several gives the first.
            found = [next(self._examples(copy, task, network_input), None) for copy in shown]
            if some := [example for example in found if example is not None]:
                examples.append(some)
            progress("altered copies", done + 1, len(cases))
        unseen = [example for case in validation for example in self._examples(case, task, network_input)]
        training = self.training or NetworkTraining(**_SCHEDULE[self.architecture], seed=seed)
        lookahead = _LOOKAHEAD[self.architecture]
        build = unet if self.architecture == "unet" else tcn
        model = build(_TRAINED_ON, seed=training.seed)
        train_network(
            model, examples, unseen, training, lookahead=lookahead,
            progress=lambda done, steps: progress(f"network, {self.architecture}", done, steps),
            checkpoint=None if self.checkpoint is None else Path(self.checkpoint),
            log_dir=None if self.log_dir is None else Path(self.log_dir),
        )  # fmt: skip
        return to_network(model, block=_BLOCK[self.architecture], lookahead=lookahead, network_input=network_input)

    @staticmethod
    def _examples(case: LeadCase, task: Task, network_input: NetworkInput) -> Iterator[NetworkExample]:
        """Return what a network sees of a case, a stretch at a time."""
        from mhealth.nn import NetworkExample

        for stretch in stretches(case, task):
            stream = network_input.open(fs=task.front_end.rate)
            inputs = np.concatenate([stream.push(stretch.lead), stream.flush()]).astype(np.float16)
            yield NetworkExample(inputs, stretch.classes, stretch.known)


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
