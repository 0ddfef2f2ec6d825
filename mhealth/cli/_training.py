"""Annotated recordings in, a labeler out: what `mhealth train` and `mhealth evaluate` share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mhealth.cli._datasets import Dataset, chosen_records, open_dataset
from mhealth.cli._selection import Kind
from mhealth.cli._terminal import Bar, Terminal
from mhealth.core import BREATH_PHASES, ECG_WAVES
from mhealth.errors import InvalidParameterError

if TYPE_CHECKING:
    from mhealth.core import Annotation, Recording
    from mhealth.labeling import BreathLabeler, EcgLabeler

__all__ = ["Case", "fit", "kind_of_marks", "load_cases", "load_noise", "untrained"]


@dataclass(frozen=True, eq=False)
class Case:
    """One annotated record of a data set."""

    dataset: str
    name: str
    recording: Recording
    annotation: Annotation
    subject: str
    stratum: str


def load_cases(name: str, data: Path | None, listed: Path | None, terminal: Terminal) -> tuple[Dataset, list[Case]]:
    """Read a data set.

    Parameters
    ----------
    name : str
        Registered data set, or a folder of one's own.
    data : Path, optional
        Where the files of a registered data set are.
    listed : Path, optional
        Text file that names the records to use.
    terminal : Terminal
        Shows progress.

    Returns
    -------
    dataset : Dataset
    cases : list of Case
        In the order of the data set or list.
    """
    dataset = open_dataset(name, data)
    records = chosen_records(dataset, listed)
    cases = []
    with Bar(terminal, unit="records") as bar:
        for k, record in enumerate(records):
            bar.update(f"reading {name}", k, len(records))
            recording, annotation, subject = dataset.load(record)
            cases.append(Case(name, record, recording, annotation, subject, dataset.stratum(record)))
    return dataset, cases


def load_noise(name: str | None, data: Path | None) -> list[Recording] | None:
    """Return the records of a data set in which nothing is marked; none where no data set is named.

    Parameters
    ----------
    name : str, optional
        Registered data set, or a folder of one's own.
    data : Path, optional
        Where the files of a registered data set are.

    Raises
    ------
    InvalidParameterError
        If every record of the data set has marks.
    """
    if name is None:
        return None
    dataset = open_dataset(name, data)
    loaded = (dataset.load(record) for record in dataset.records)
    noise = [recording for recording, annotation, _ in loaded if not len(annotation.spans)]
    if not noise:
        raise InvalidParameterError(f"--noise {name}: every record there has marks; expected records of noise alone.")
    return noise


def kind_of_marks(cases: Iterable[Case]) -> Kind:
    """Return what experts marked, waves or breaths.

    Raises
    ------
    InvalidParameterError
        If they marked both: a labeler learns one of them.
    """
    labels: dict[str, set[str]] = {}
    for case in cases:
        spans = case.annotation.spans
        codes = set(spans.label.tolist()) or range(len(spans.classes))
        labels.setdefault(case.dataset, set()).update(spans.classes[code] for code in codes)
    of_kind = {
        "ecg": [name for name, marked in labels.items() if not marked.isdisjoint(ECG_WAVES)],
        "respiration": [name for name, marked in labels.items() if not marked.isdisjoint(BREATH_PHASES)],
    }
    if all(of_kind.values()):
        raise InvalidParameterError(
            f"Heartbeats are marked in {', '.join(of_kind['ecg'])}, breaths in {', '.join(of_kind['respiration'])}; "
            "a labeler learns one of them. Give the data sets of one kind."
        )
    return "respiration" if of_kind["respiration"] else "ecg"


def untrained(
    kind: Kind,
    *,
    noise: list[Recording] | None,
    seed: int,
    emission: str = "sparse",
    budget: Literal["cortex-m3"] | None = None,
    **of_network: Any,
) -> EcgLabeler | BreathLabeler:
    """Return a labeler of a kind of signal that has learned nothing yet.

    Parameters
    ----------
    kind : {"ecg", "respiration"}
    noise : list of Recording, optional
        To mix into altered copies.
    seed : int
    emission : {"sparse", "unet", "tcn"}
        What describes the signal.
    budget : {"cortex-m3"}, optional
        Device whose memory and time the codes keep to.
    **of_network
        Parameters of `NetworkEmission`; those that are None have their defaults.

    Raises
    ------
    InvalidParameterError
        If there is noise or a network for a labeler of breaths, which has neither, or a network's option without one.
    MissingExtraError
        If a network is to be trained and TensorFlow is not installed.
    """
    from mhealth.labeling import BreathLabeler, EcgLabeler

    of_network = {name: value for name, value in of_network.items() if value is not None}
    if emission == "sparse" and of_network:
        options = " and ".join(f"--{name.replace('_', '-')}" for name in of_network)
        raise InvalidParameterError(f"{options}: of a network only. Add --model unet or tcn, or leave it out.")
    if kind == "ecg":
        if emission == "sparse":
            return EcgLabeler(budget=budget, noise=noise, random_state=seed)
        from mhealth.labeling import NetworkEmission
        from mhealth.nn import require_tensorflow

        require_tensorflow()
        network = NetworkEmission(architecture=emission, **of_network)
        return EcgLabeler(emission=network, budget=budget, noise=noise, random_state=seed)
    if emission != "sparse":
        raise InvalidParameterError(f"The model {emission} is for ECG; breaths are learned above sparse codes.")
    if noise is not None:
        raise InvalidParameterError("--noise is mixed into ECG leads; breaths are learned without. Leave it out.")
    return BreathLabeler(budget=budget, random_state=seed)


def fit(labeler: EcgLabeler | BreathLabeler, cases: Iterable[Case], terminal: Terminal, *, prefix: str = "") -> None:
    """Train a labeler in place, with a line that shows how far it is.

    Parameters
    ----------
    labeler : EcgLabeler or BreathLabeler
        Keeps what it learns.
    cases : iterable of Case
        What to learn from.
    terminal : Terminal
        Shows progress.
    prefix : str
        Put before the name of each stage, for example ``"fold 2 of 5, "``.
    """
    used: Sequence[Case] = list(cases)
    with Bar(terminal) as bar:
        labeler.fit(
            [case.recording for case in used],
            [case.annotation for case in used],
            groups=[case.subject for case in used],
            progress=lambda stage, done, total: bar.update(f"{prefix}{stage}", done, total),
        )
