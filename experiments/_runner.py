"""A run: steps that are done once, and a folder that says all about it."""

from __future__ import annotations

import io
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from experiments._experiment import Experiment, Outcome, Run
from experiments._fits import Fits
from experiments._manifest import changed_inputs, environment, hash_of, reading, reasons
from mhealth.cli._terminal import Bar, Terminal, write_table
from mhealth.core import make_folder, write_file
from mhealth.errors import InvalidParameterError, RecordingFileError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["MANIFEST", "RESULTS", "carry_out", "default_folder", "finished", "read_json"]

MANIFEST, RESULTS, REPORT = "manifest.json", "results.json", "report.html"
STEPS, TABLES, FIGURES = "steps", "tables", "figures"
CONCLUSION = "conclusion"
"""What the manifest calls the time that tables and figures took."""

_DPI = 110


def default_folder(experiment: Experiment, *, seed: int, quick: bool) -> Path:
    """Return the folder of a run that names none: with the same code it is the same one, so that a run goes on."""
    kind = "quick" if quick else "full"
    runs = Path("runs")
    make_folder(runs)
    if not (runs / ".gitignore").exists():
        write_file(runs / ".gitignore", b"*\n")
    return runs / f"{experiment.name}-{kind}-seed{seed}-{environment()['code_sha256'][:8]}"


def carry_out(
    experiment: Experiment,
    *,
    data: Path,
    out: Path,
    settings: Mapping[str, Any],
    seed: int,
    quick: bool,
    command: str,
    terminal: Terminal,
    fits: Path | None = None,
    any_code: bool = False,
    only: str = "*",
) -> Outcome | None:
    """Do what is not yet done of a run, and write its folder.

    Parameters
    ----------
    experiment : Experiment
    data : Path
        Folder that holds the folders of the data sets.
    out : Path
        Folder of the run; if it holds a run that was interrupted, that one goes on.
    settings : mapping of str to JSON
    seed : int
    quick : bool
        What the manifest calls the run.
    command : str
        What was typed.
    terminal : Terminal
    fits : Path, optional
        Folder of fits that are not done again; those that are done now are added. None: all is done.
    any_code : bool
        Take fits that were made with other code too.
    only : str
        Pattern (as of `fnmatch`) of the steps that this sitting does, if they are not done.

    Returns
    -------
    outcome : Outcome or None
        None while steps are left for another sitting.

    Raises
    ------
    RecordingFileError
        If recordings are missing, or are not those that the run began with.
    InvalidParameterError
        If the folder holds another run, or a finished one.
    UnwritableOutputError
        If the folder cannot be written to.
    """
    data = data.resolve()
    experiment.check_data(data)
    now = environment()
    manifest: dict[str, Any] = {
        "experiment": experiment.name,
        "question": experiment.question,
        "quick": quick,
        "settings": dict(settings),
        "seed": seed,
        "data": str(data),
        "sittings": [],
    }
    make_folder(out / STEPS)
    if (out / MANIFEST).exists():
        manifest = _continued(read_json(out / MANIFEST), manifest, now, out)
    manifest["sittings"].append({"command": command, "started": _now(), **now})
    _write_json(out / MANIFEST, manifest)

    # One thread in the linear algebra: sums split over several would depend on how many there are. What is loaded later
    # is not limited, and SciPy brings a library of its own.
    import scipy.linalg  # noqa: F401

    with Bar(terminal) as bar, threadpool_limits(1):
        progress = _Progress(bar)
        run = Run(data=data, settings=settings, seed=seed, folder=out, progress=progress)
        kept = Fits(fits, data=data, seed=seed, made=now, any_code=any_code) if fits else None
        done = _steps(experiment, run, progress, kept, only)
        if done is None:
            return None
        progress.begin("tables and figures")
        begin, cpu = time.monotonic(), _cpu()
        with reading(data) as files:
            outcome = experiment.conclude(run, {name: told["left"] for name, told in done.items()})
        done[CONCLUSION] = _told(None, files, data, begin, cpu)
        _write_outcome(experiment, outcome, out, quick=quick)
    read = [told["inputs"] for told in done.values()]
    if kept is not None and any("commit" in told for told in done.values()):
        read.append(kept.inputs)
    shown = ("wall_s", "cpu_s", "commit")
    manifest = read_json(out / MANIFEST) | {  # another sitting may have begun meanwhile
        "steps": {name: {key: told[key] for key in shown if key in told} for name, told in done.items()},
        "wall_s": round(sum(told["wall_s"] for told in done.values()), 1),
        "cpu_s": round(sum(told["cpu_s"] for told in done.values()), 1),
        "inputs": dict(sorted(pair for inputs in read for pair in inputs.items())),
        "finished": _now(),
    }
    from experiments._report import report

    write_file(out / REPORT, report(experiment, manifest, outcome).encode())
    _write_json(out / MANIFEST, manifest)  # last: a run is finished once its manifest says so
    return outcome


def _continued(before: dict[str, Any], wanted: dict[str, Any], now: dict[str, Any], out: Path) -> dict[str, Any]:
    """Return the manifest of an interrupted run, if it is the one that is wanted and can go on."""
    remedy = "Name another folder with --out, or remove this one."
    if "finished" in before:
        raise InvalidParameterError(f"The run in {out} was finished at {before['finished']}. {remedy}")
    for name in ("experiment", "quick", "settings", "seed"):
        if before[name] != wanted[name]:
            raise InvalidParameterError(
                f"{out} holds a run with {name}={before[name]!r}, not {wanted[name]!r}, that was interrupted. {remedy}"
            )
    if before["sittings"] and before["sittings"][0]["code_sha256"] != now["code_sha256"]:
        raise InvalidParameterError(
            f"{out} holds a run that was begun with {reasons(before['sittings'][0], now)[0]}. {remedy}"
        )
    kept = [read_json(path) for path in sorted((out / STEPS).glob("*.json"))]
    changed = changed_inputs(Path(wanted["data"]), dict(pair for step in kept for pair in step["inputs"].items()))
    if changed:
        raise RecordingFileError(f"{changed[0]} since the run in {out} was begun. {remedy}")
    return before


class _Progress:
    """Shows which step is at work, and how far it is."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._step = ""

    def begin(self, step: str) -> None:
        self._step = step
        self._bar.update(step, 0, None)

    def __call__(self, what: str, done: int, total: int) -> None:
        self._bar.update(f"{self._step}: {what}", done, total)


def _steps(
    experiment: Experiment, run: Run, progress: _Progress, fits: Fits | None, only: str
) -> dict[str, dict[str, Any]] | None:
    """Do the steps that are to be done; return what each left, read and took, or None while some are not done."""
    steps = experiment.checked_steps(run)
    done: dict[str, dict[str, Any]] = {}
    for k, step in enumerate(steps):
        path = run.folder / STEPS / f"{step.name}.json"
        kept = fits.find(step) if fits and not path.exists() else None
        if kept:
            _write_json(path, {key: kept[key] for key in ("wall_s", "cpu_s", "commit", "left")} | {"inputs": {}})
        elif not path.exists() and fnmatchcase(step.name, only):
            progress.begin(f"step {k + 1} of {len(steps)}, {step.name}")
            begin, cpu = time.monotonic(), _cpu()
            with reading(run.data) as files:
                left = step.work(run, {name: told["left"] for name, told in done.items()})
            told = _told(left, files, run.data, begin, cpu)
            if left is None and step.fit is not None:  # left out here: another sitting may do it
                done[step.name] = told
                continue
            _write_json(path, told)
            if fits:
                fits.keep(step, read_json(path))
        if path.exists():
            done[step.name] = read_json(path)  # as a run that goes on would have it
    return done if len(done) == len(steps) else None


def _told(left: Any, files: set[Path], data: Path, begin: float, cpu: float) -> dict[str, Any]:
    """Return what is kept of a step."""
    return {
        "wall_s": round(time.monotonic() - begin, 2),
        "cpu_s": round(_cpu() - cpu, 2),
        "inputs": {path.relative_to(data).as_posix(): hash_of(path) for path in sorted(files)},
        "left": left,
    }


def _write_outcome(experiment: Experiment, outcome: Outcome, out: Path, *, quick: bool) -> None:
    metrics = {name: float(value) for name, value in outcome.metrics.items()}
    results = {
        "experiment": experiment.name,
        "quick": quick,
        "metrics": metrics,
        "left_out": outcome.left_out,
        "figures": list(outcome.figures),
    }
    _write_json(out / RESULTS, results)
    for name, table in outcome.tables.items():
        write_table(table, out / TABLES / f"{name}.csv")
    for name, figure in outcome.figures.items():
        for kind in ("png", "svg"):
            write_file(out / FIGURES / f"{name}.{kind}", _drawn(figure, kind))


def _drawn(figure: Figure, kind: str) -> bytes:
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "mhealth", "svg.fonttype": "none"}):  # no random names; text stays text
        figure.savefig(buffer, format=kind, dpi=_DPI, metadata={"Date": None} if kind == "svg" else None)
    return buffer.getvalue()


def finished(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return manifest and results of a finished run.

    Raises
    ------
    InvalidParameterError
        If the folder holds none.
    """
    if not (folder / MANIFEST).is_file():
        raise InvalidParameterError(f"{folder} holds no {MANIFEST}; expected the folder of a run.")
    manifest = read_json(folder / MANIFEST)
    if not isinstance(manifest, dict) or "finished" not in manifest or not (folder / RESULTS).is_file():
        raise InvalidParameterError(f"The run in {folder} is not finished; start it again with the same --out.")
    return manifest, read_json(folder / RESULTS)


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises
    ------
    InvalidParameterError
        If it is none.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidParameterError(
            f"{path} is no readable JSON ({error}). Remove it, or start the run anew."
        ) from error


def _write_json(path: Path, value: Any) -> None:
    write_file(path, (json.dumps(_standard(value), indent=1, allow_nan=False) + "\n").encode())


def _standard(value: Any) -> Any:
    """Return a value without NaN and infinity, which JSON lacks: null says that a figure is undefined."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _standard(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_standard(entry) for entry in value]
    return value


def _cpu() -> float:
    """Return the CPU seconds of this process, its threads and the children that have ended."""
    return sum(os.times()[:4])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
