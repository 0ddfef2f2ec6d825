"""The ECG labeler: P waves, QRS complexes and T waves of one or several leads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

import numpy as np

from mhealth.core import Annotation, Recording
from mhealth.errors import InvalidParameterError
from mhealth.labeling._ecg_task import ECG, ECG_MCU
from mhealth.labeling._examples import LeadCase
from mhealth.labeling._labeler import Labeler, LabelStream
from mhealth.labeling._network import NetworkContext
from mhealth.labeling._network_emission import NetworkEmission, read_by_network
from mhealth.labeling._task import Budget, Task
from mhealth.labeling._training import Progress, TrainingSettings

__all__ = ["EcgLabeler"]


class EcgLabeler(Labeler):
    """Label the waves of an ECG: adaptive segmentation, sparse codes or a network, a span CRF.

    Parameters
    ----------
    leads : {"fused", "independent", "early"}, default="fused"
        Whether simultaneous leads decide together which waves there are, or each on its own. With one of these two a
        model knows any lead, and how it is used can be chosen later. "early" puts the codes of all leads side by side
        from the start: `fit` learns the leads that are annotated in all recordings, and labelling needs them all, by
        name, in any order and among others, which are not labelled. Edges are then those of all leads together, peaks
        each lead's own; a lead that drops out now and then does no harm.
    lag : float or None, default=1.5
        Seconds behind the newest candidate after which labels are final; None decodes whole recordings (then there is
        no stream, as there is none with a U-Net).
    emission : NetworkEmission, optional
        A neural network in place of the sparse codes.
    budget : {"cortex-m3"} or None, default=None
        Learn what a microcontroller has room for, with 64 kB of flash memory and 20 kB of RAM: fewer and smaller
        codes that look back on 3 s of beats instead of 10 s. For sparse codes of single leads.
    training : TrainingSettings, optional
        Sizes and schedule of what `fit` learns: codes and CRF, or the CRF above a network.
    noise : sequence of Recording, optional
        Recorded noise that is mixed into augmented copies of the training data.
    random_state : int, default=0
        Seed of every draw: the same data, seed and machine give the same model.

    Attributes
    ----------
    model_ : Model
        What was learned.

    Notes
    -----
    A wave comes out of a stream at most 2 s after its end. State: about 13 s of signal and 4 s of candidates a lead.

    Examples
    --------
    >>> from mhealth.labeling import load
    >>> from mhealth.simulate import synthetic_ecg
    >>> recording, truth = synthetic_ecg(fs=250, duration=10, seed=0)
    >>> sorted(set(load("ecg").label(recording).to_frame().label))
    ['P', 'QRS', 'T']
    """

    _tasks: ClassVar = {task.budget: task for task in (ECG, ECG_MCU)}
    _block = 60.0

    def __init__(
        self,
        *,
        leads: Literal["fused", "independent", "early"] = "fused",
        lag: float | None = 1.5,
        emission: NetworkEmission | None = None,
        budget: Budget | None = None,
        training: TrainingSettings | None = None,
        noise: Sequence[Recording] | None = None,
        random_state: int = 0,
    ) -> None:
        self.leads = leads
        self.lag = lag
        self.emission = emission
        self.budget = budget
        self.training = training
        self.noise = noise
        self.random_state = random_state

    @property
    def _fused(self) -> bool:
        """Whether simultaneous leads decide together."""
        return self.leads == "fused"

    @property
    def _early(self) -> bool:
        """Whether simultaneous channels are described side by side."""
        return self.leads == "early"

    @property
    def _settings(self) -> TrainingSettings:
        """Sizes and schedule where the user names none."""
        if self.emission is not None:
            return self.emission.settings
        if self.budget is not None:
            # 15 kB of tables. Macro F1 within 150 ms on a fifth of LUDB, leads II, V2, V5, V6: 97.9; with 24 atoms 97.8
            # (21 kB), with three of them a window 97.7, with layers of 64 and 32 as well 97.7 (19 kB).
            return TrainingSettings(n_atoms=16, n_nonzero=4, n_first=48, n_second=24)
        # Leads side by side are one sequence, so there are few of them: three times the copies.
        return TrainingSettings(n_augmented=11) if self._early else TrainingSettings()

    def _prepared(self, cases: Sequence[tuple[LeadCase, bool]], report: Progress) -> Task:
        """Train the network, if there is to be one."""
        if self.emission is None:
            return self._task
        task = self.emission.worn(self._task)
        rng, noise = np.random.default_rng(self.random_state), self._recorded_noise

        def copies(case: LeadCase) -> Iterator[LeadCase]:
            while True:
                yield task.augmented(case, rng, noise)

        seen, unseen = ([case for case, held_out in cases if held_out == side] for side in (False, True))
        return read_by_network(task, self.emission.trained(task, seen, unseen, copies, self.random_state, report))

    @property
    def _noise(self) -> Sequence[Recording]:
        """Recorded noise to mix into altered copies."""
        return self.noise or ()

    def score(self, recordings: Sequence[Recording], annotations: Sequence[Annotation]) -> float:
        """Return the macro F1 of the six boundaries within 150 ms in all leads that are labelled, from 0 to 1."""
        from mhealth.metrics import score_delineation

        cases = [(a, self.label(r)) for r, a in zip(recordings, annotations, strict=True)]
        return score_delineation(cases, channels=self._fitted().leads or None).macro() / 100

    def _stream(self, fs: float, channels: Sequence[str]) -> LabelStream:
        leads = self._fitted().leads
        if leads and not self._early:
            raise InvalidParameterError(
                f"leads={self.leads!r}, but the model was trained on {', '.join(leads)} side by side and knows them "
                "together only. Set leads='early', or fit anew."
            )
        if self._early and not leads:
            raise InvalidParameterError(
                "leads='early', but the model was trained on single leads. Use 'fused' or 'independent', or fit anew."
            )
        return super()._stream(fs, channels)

    def _check_live(self) -> None:
        super()._check_live()
        context = self._fitted().task.front_end.features.context
        if isinstance(context, NetworkContext) and not context.network.is_causal:
            raise InvalidParameterError(
                f"The network {context.network.name!r} reads whole recordings and cannot stream: labels would come "
                f"{context.lookahead:.0f} s late. Use label(recording) or open_recorded(), or a model with a tcn or "
                "sparse codes."
            )

    def _check_parameters(self) -> None:
        if self.leads not in ("fused", "independent", "early"):
            raise InvalidParameterError(f"leads={self.leads!r} must be 'fused', 'independent' or 'early'.")
        if self._early and self.emission is not None:
            raise InvalidParameterError(
                f"leads='early' joins sparse codes, but emission={self.emission!r} is a network, which reads each lead "
                "on its own. Use leads='fused', or no network."
            )
        if self.budget is not None and (self._early or self.emission is not None):
            raise InvalidParameterError(
                f"budget={self.budget!r} sizes the sparse codes of single leads, not leads={self.leads!r} with "
                f"emission={self.emission!r}. Leave out the budget, or leads='early' and the network."
            )
        super()._check_parameters()
