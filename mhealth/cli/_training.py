"""Annotated recordings in, a labeler out: what `mhealth train` and `mhealth evaluate` share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mhealth.cli._datasets import Dataset, chosen_records, open_dataset
from mhealth.cli._terminal import Bar, Terminal
from mhealth.errors import InvalidParameterError

if TYPE_CHECKING:
    from mhealth.core import Annotation, Recording
    from mhealth.labeling import EcgLabeler

__all__ = ["Case", "fit", "load_cases", "load_noise"]


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


def fit(labeler: EcgLabeler, cases: Iterable[Case], terminal: Terminal, *, prefix: str = "") -> None:
    """Train a labeler in place, with a line that shows how far it is.

    Parameters
    ----------
    labeler : EcgLabeler
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
