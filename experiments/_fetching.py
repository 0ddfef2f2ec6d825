"""Where the recordings of an experiment are; with the user's consent their publishers are asked for them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import typer

from experiments._experiment import Experiment
from mhealth.cli._datasets import registered_datasets
from mhealth.cli._terminal import Bar, Terminal

__all__ = ["cache_folder", "recordings_of"]


def recordings_of(experiment: Experiment, data: Path | None, *, consent: bool, terminal: Terminal) -> Path:
    """Return the folder that holds the data sets of an experiment; fetch those that are missing, if that is wanted.

    Parameters
    ----------
    experiment : Experiment
    data : Path, optional
        The folder that the user named; else it is `cache_folder`.
    consent : bool
        Whether the user has asked for missing data sets to be fetched. If not, they are asked, on a terminal.
    terminal : Terminal

    Raises
    ------
    RecordingFileError
        If data sets are missing and not fetched, or cannot be; the message says what to put where.
    """
    folder = data or cache_folder()
    missing = experiment.missing_data(folder)
    loaders: dict[str, Any] = {name: registered_datasets()[name].load() for name in missing}
    if not missing or not (consent or _agrees(loaders, folder, terminal)):
        experiment.check_data(folder)
        return folder
    with Bar(terminal, "files") as bar:
        for name, loader in loaders.items():
            loader.fetch(folder / name, progress=bar.update)
    terminal.say("\n".join(f"{name} -> {folder / name}. Cite: {loader.citation}" for name, loader in loaders.items()))
    return folder


def cache_folder() -> Path:
    """Return where data sets are kept if the user names no folder: ``mhealth/data`` among the user's cached files."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mhealth" / "data"


def _agrees(loaders: dict[str, Any], folder: Path, terminal: Terminal) -> bool:
    """Ask whether to fetch data sets, where somebody can be asked."""
    if not _is_terminal(terminal):
        return False
    sets = ", ".join(
        f"{loader.database} {loader.version} ({loader.megabytes} MB, {loader.licence})" for loader in loaders.values()
    )
    return typer.confirm(f"Fetch {sets} from physionet.org into {folder}?", err=True)


def _is_terminal(terminal: Terminal) -> bool:
    """Return whether somebody reads messages and can answer."""
    return not terminal.quiet and sys.stdin.isatty() and terminal.console.is_terminal
