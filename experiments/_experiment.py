"""What an experiment is, and which there are."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mhealth.cli._training import Case
from mhealth.errors import InvalidParameterError, RecordingFileError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mhealth.cli._datasets import Dataset

__all__ = ["FOLDER", "Experiment", "Outcome", "Run", "Step", "find", "names"]

FOLDER = Path(__file__).parent
"""Where the experiments are: each in a folder of its name, as ``EXPERIMENT`` of the module ``experiment``."""

_NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
"""Names of steps, which become names of files."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Run:
    """What the steps of a run work with.

    Parameters
    ----------
    data : Path
        Folder that holds the folders of the data sets.
    settings : mapping of str to JSON
        Of the experiment; a quick run has its own.
    seed : int
        Of every draw.
    folder : Path
        Of the run. What one step leaves to the next, such as a model, lies in it.
    progress : callable
        Called as ``progress(what, done, total)`` during a long step.
    """

    data: Path
    settings: Mapping[str, Any]
    seed: int
    folder: Path
    progress: Callable[[str, int, int], None] = lambda what, done, total: None
    _made: dict[Hashable, tuple[Any, set[Path]]] = field(default_factory=dict, repr=False)

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return what several steps share; it is made when the first of them asks, anew in each sitting.

        The recordings that were read for it count as read by each of them.
        """
        from experiments._manifest import also_read, reading

        if key not in self._made:
            with reading(self.data) as files:
                made = make()
            self._made[key] = made, files
        value, files = self._made[key]
        also_read(files)
        return value

    def dataset(self, name: str) -> Dataset:
        """Return a data set of the data folder.

        Raises
        ------
        RecordingFileError
            If files are missing; the message says which, and where they are to be had.
        """
        from mhealth.cli._datasets import open_dataset

        return open_dataset(name, self.data / name)

    def cases(self, name: str, count: int | None = None) -> list[Case]:
        """Return so many records of a data set, evenly spread, or all; they are read once.

        Raises
        ------
        RecordingFileError
            As `dataset`.
        """
        return self.once(("cases", name, count), lambda: self._read(name, count))

    def _read(self, name: str, count: int | None) -> list[Case]:
        dataset = self.dataset(name)
        n = len(dataset.records)
        chosen = [dataset.records[k * n // (count or n)] for k in range(min(count or n, n))]
        cases = []
        for k, record in enumerate(chosen):
            self.progress(f"reading {name}", k, len(chosen))
            cases.append(Case(name, record, *dataset.load(record), dataset.stratum(record)))
        return cases


class Step(NamedTuple):
    """A part of an experiment that is not done twice.

    Attributes
    ----------
    name : str
        Lower-case letters and digits, joined by ``.``, ``_`` or ``-``.
    work : callable
        Takes the run, and what the steps before have left by name; returns what is to be kept, as JSON can hold it.
    fit : mapping of str to JSON, optional
        What decides what it leaves, beside code, recordings and seed. With it, what it leaves is kept in the repository
        and taken from there by later runs, unless it is None; see `experiments._fits`.
    """

    name: str
    work: Callable[[Run, Mapping[str, Any]], Any]
    fit: Mapping[str, Any] | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcome:
    """What came out.

    Parameters
    ----------
    metrics : dict of str to float
        What `reproduce` compares: no times, which never repeat.
    tables : dict of str to DataFrame
        By name.
    figures : dict of str to Figure
        By name; the first one is the one that the ledger shows.
    left_out : list of str
        What was not done, and why.
    """

    metrics: dict[str, float]
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False, kw_only=True)
class Experiment:
    """A question, and what answers it.

    Parameters
    ----------
    name : str
        Of its folder.
    question, expectation : str
        What is asked, and what was expected before the first full run.
    datasets : tuple of str
        Data sets that it reads, each in the folder of its name.
    settings, quick : dict of str to JSON
        Of a full run, and what differs in a quick one, which needs no extra and ends within two minutes.
    steps : callable
        Takes the run, returns its steps in order. An interrupted run goes on behind the last finished one.
    conclude : callable
        Takes the run and what the steps have left by name, returns the outcome. No draw, no training: it is done anew
        when a run goes on.
    tolerance : dict of str to float
        Pattern of metric names (as of `fnmatch`) to the largest difference that other machines or versions may cause;
        the first that matches counts. Without one: none.
    headline : tuple of str
        Metrics that the ledger shows.

    Raises
    ------
    InvalidParameterError
        If `quick` has a setting that `settings` lacks.
    """

    name: str
    question: str
    expectation: str
    datasets: tuple[str, ...]
    settings: dict[str, Any]
    quick: dict[str, Any]
    steps: Callable[[Run], Sequence[Step]]
    conclude: Callable[[Run, Mapping[str, Any]], Outcome]
    tolerance: dict[str, float] = field(default_factory=dict)
    headline: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the settings."""
        unknown = sorted(self.quick.keys() - self.settings.keys())
        if unknown:
            raise InvalidParameterError(f"quick has {unknown}, which settings of {self.name} lack: a misspelt name?")

    def settings_of(self, *, quick: bool) -> dict[str, Any]:
        """Return the settings of a quick or a full run."""
        return self.settings | self.quick if quick else dict(self.settings)

    def checked_steps(self, run: Run) -> list[Step]:
        """Return the steps of a run.

        Raises
        ------
        InvalidParameterError
            If two have one name, or a name cannot be that of a file.
        """
        steps = list(self.steps(run))
        found = [step.name for step in steps]
        wrong = [name for name in found if not _NAME.fullmatch(name) or found.count(name) > 1]
        if wrong:
            raise InvalidParameterError(f"{self.name} has the steps {wrong}; expected lower-case names, each once.")
        return steps

    def missing_data(self, data: Path) -> list[str]:
        """Return the data sets that have no folder there."""
        return [name for name in self.datasets if not (data / name).is_dir()]

    def check_data(self, data: Path) -> None:
        """Check that the folders of the data sets are there.

        Raises
        ------
        RecordingFileError
            If one is not; the message says what to put where.
        """
        missing = self.missing_data(data)
        if missing:
            wanted = "; ".join(f"{data / name}/ with {_source(name)}" for name in missing)
            raise RecordingFileError(
                f"{self.name} needs {wanted}. Put the publisher's files there as they are, name another folder with "
                "--data DIR or MHEALTH_DATA, or have them fetched: run --fetch."
            )


def _source(name: str) -> str:
    """Return what a data set is and where its publisher offers it."""
    from mhealth.cli._datasets import registered_datasets

    loader = registered_datasets()[name].load()
    version = getattr(loader, "version", "")
    return f"{name} {version} (https://physionet.org/content/{name}/{version}/)" if version else name


def names() -> list[str]:
    """Return the experiments that there are; imports none of them."""
    return sorted(path.parent.name for path in FOLDER.glob("*/experiment.py"))


def find(name: str) -> Experiment:
    """Return an experiment.

    Raises
    ------
    InvalidParameterError
        If there is none of that name.
    """
    if name not in names():
        raise InvalidParameterError(f"There is no experiment {name!r}; there are {', '.join(names())}.")
    return importlib.import_module(f"experiments.{name}.experiment").EXPERIMENT
