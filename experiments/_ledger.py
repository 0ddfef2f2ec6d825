"""What the latest full run of each experiment gave, kept in the repository."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from experiments._experiment import FOLDER, Experiment, find, names
from experiments._runner import FIGURES, MANIFEST, RESULTS, TABLES, finished, read_json
from mhealth.core import replacing, write_file
from mhealth.errors import InvalidParameterError

__all__ = ["LEDGER", "KEPT", "keep", "ledger"]

LEDGER = "RESULTS.md"
KEPT = "result"
"""Folder, in that of an experiment, with the latest full run."""

_HEAD = """# Results

Written by `python -m experiments keep RUN_DIR`: the latest full run of each experiment, from a clean tree. The folder
`result` of each holds its manifest, metrics, tables and figures, and `python -m experiments reproduce
experiments/NAME/result` does it again and compares. What the figures mean is in the README of each.
"""


def keep(run: Path, folder: Path = FOLDER) -> None:
    """Keep a finished full run in the folder of its experiment, and write the ledger anew.

    Parameters
    ----------
    run : Path
    folder : Path
        That of the experiments.

    Raises
    ------
    InvalidParameterError
        If the run is quick, or was not made from a clean tree.
    """
    manifest, results = finished(run)
    dirty = [sitting for sitting in manifest["sittings"] if not sitting["clean"]]
    if manifest["quick"] or dirty:
        why = "is quick" if manifest["quick"] else f"was made from a tree with changes ({dirty[0]['changed'][:3]})"
        raise InvalidParameterError(f"The run in {run} {why}; the ledger shows full runs from a clean tree only.")
    kept = folder / manifest["experiment"] / KEPT
    tables = sorted((run / TABLES).glob("*.csv"))
    figures = [run / FIGURES / f"{name}.{kind}" for name in results["figures"] for kind in ("png", "svg")]
    if kept.exists():
        shutil.rmtree(kept)
    for path in [run / MANIFEST, run / RESULTS, *tables, *figures]:
        target = kept / path.relative_to(run)
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            shutil.copyfile(path, temporary)
    write_file(folder / LEDGER, ledger(folder).encode())


def ledger(folder: Path = FOLDER) -> str:
    """Return the ledger of the runs that are kept."""
    parts = [_HEAD]
    for name in names():
        kept = folder / name / KEPT
        if (kept / MANIFEST).is_file():
            parts.append(_part(find(name), read_json(kept / MANIFEST), read_json(kept / RESULTS)))
    return "\n".join(parts)


def _part(experiment: Experiment, manifest: dict[str, Any], results: dict[str, Any]) -> str:
    name, metrics = experiment.name, results["metrics"]
    begun = manifest["sittings"][0]
    commits = sorted({step["commit"][:9] for step in manifest["steps"].values() if "commit" in step})
    lines = [
        f"## [{name}]({name}/README.md)",
        "",
        experiment.question,
        "",
        "| metric | value |",
        "|---|---|",
        *(f"| {key} | {_shown(metrics.get(key))} |" for key in experiment.headline),
        "",
        f"{manifest['finished'][:10]}, commit {begun['commit'][:9]}, seed {manifest['seed']}: "
        f"{manifest['cpu_s'] / 60:.1f} minutes of CPU time, {manifest['wall_s'] / 60:.1f} on the clock, "
        f"on {begun['processor']}; {len(manifest['inputs'])} files read.",
        *([f"\nFits of earlier sittings: commit {', '.join(commits)}."] if commits else []),
        *(f"\nLeft out: {text}" for text in results["left_out"]),
        "",
        *(f"![{figure}]({name}/{KEPT}/{FIGURES}/{figure}.png)\n" for figure in results["figures"][:1]),
    ]
    return "\n".join(lines)


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
