"""``python -m experiments list | run | reproduce | compare | keep``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from experiments import _comparison, _ledger
from experiments._comparison import DIFFERENT, IDENTICAL, WITHIN, Comparison
from experiments._experiment import FOLDER, find, names
from experiments._fetching import recordings_of
from experiments._fits import FOLDER_NAME
from experiments._runner import carry_out, default_folder, finished
from mhealth.cli._terminal import Debug, Quiet, Terminal, print_table, reports_errors

app = typer.Typer(
    help="Experiments on public recordings. Each has a README in experiments/NAME.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Data = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder that holds the folders of the data sets, such as ludb/. (default: ~/.cache/mhealth/data)",
        envvar="MHEALTH_DATA",
        show_default=False,
    ),
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Folder of a finished run.")]
Out = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder of the new run. (default: in runs/)", show_default=False)
]


@app.command("list")
@reports_errors
def list_experiments() -> None:
    """Show which experiments there are, and what they read."""
    rows = [(name, find(name).question, ", ".join(find(name).datasets)) for name in names()]
    print_table("experiments", ["name", "question", "reads"], rows)


@app.command()
@reports_errors
def run(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An experiment, see `list`.")],
    data: Data = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of every draw.", min=0)] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Little of everything, under two minutes.")] = False,
    fetch: Annotated[bool, typer.Option("--fetch", help="Get missing data sets from their publishers.")] = False,
    out: Out = None,
    only: Annotated[
        str,
        typer.Option("--steps", metavar="PATTERN", help="Do these steps only, such as '*-fold1'; others another time."),
    ] = "*",
    any_code: Annotated[
        bool, typer.Option("--any-code", help="Take fits of the repository that were made with other code too.")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Carry an experiment out, or go on with it where it was interrupted.

    A full run takes the fits that the repository keeps (experiments/NAME/fits), if settings, seed, recordings and the
    code that decides them are the same, and adds those that it makes from a clean tree.
    """
    experiment = find(name)
    terminal = Terminal(quiet=quiet)
    recordings = recordings_of(experiment, data, consent=fetch, terminal=terminal)
    folder = out or default_folder(experiment, seed=seed, quick=quick)
    outcome = carry_out(
        experiment,
        data=recordings,
        out=folder,
        settings=experiment.settings_of(quick=quick),
        seed=seed,
        quick=quick,
        command=shlex.join(["python", "-m", "experiments", *sys.argv[1:]]),
        terminal=terminal,
        fits=None if quick else FOLDER / name / FOLDER_NAME,
        any_code=any_code,
        only=only,
    )
    if outcome is None:
        Terminal(quiet=quiet).say(f"What matches {only!r} is done, other steps are not -> {folder}")
        return
    shown = experiment.headline or tuple(outcome.metrics)
    print_table(
        f"{name}{', quick' if quick else ''}",
        ["metric", "value"],
        [(metric, outcome.metrics[metric]) for metric in shown if metric in outcome.metrics],
        note="\n".join(f"Left out: {text}" for text in outcome.left_out),
    )
    terminal.say(f"manifest, results, tables, figures, report -> {folder}")


@app.command()
@reports_errors
def reproduce(
    run_dir: RunFolder,
    data: Data = None,
    out: Out = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Do a run again, on the same recordings, and say metric by metric whether it gives the same.

    The exit status is 1 if a metric differs by more than its tolerance.
    """
    before, _ = finished(run_dir)
    folder = data or Path(before["data"])
    manifest = _comparison.check_inputs(run_dir, folder)
    experiment = find(manifest["experiment"])
    again = out or default_folder(experiment, seed=manifest["seed"], quick=manifest["quick"]).with_suffix(".again")
    carry_out(
        experiment,
        data=folder,
        out=again,
        settings=manifest["settings"],
        seed=manifest["seed"],
        quick=manifest["quick"],
        command=shlex.join(["python", "-m", "experiments", *sys.argv[1:]]),
        terminal=Terminal(quiet=quiet),
    )
    _say(_comparison.compare(run_dir, again), str(run_dir), str(again))


@app.command()
@reports_errors
def compare(
    first: RunFolder,
    second: RunFolder,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Say metric by metric whether two runs of one experiment gave the same.

    The exit status is 1 if a metric differs by more than its tolerance.
    """
    _say(_comparison.compare(first, second), str(first), str(second))


@app.command()
@reports_errors
def keep(run_dir: RunFolder, quiet: Quiet = False, debug: Debug = False) -> None:
    """Keep a full run in the repository, and write experiments/RESULTS.md anew."""
    _ledger.keep(run_dir)


def _say(comparison: Comparison, first: str, second: str) -> None:
    """Print a comparison; leave with 1 where something differs."""
    rows = [
        (row.metric, *("–" if value is None else f"{value:.6g}" for value in (row.first, row.second)), row.verdict)
        for row in comparison.rows
    ]
    counts = ", ".join(f"{comparison.count(verdict)} {verdict}" for verdict in (IDENTICAL, WITHIN, DIFFERENT))
    why = "; ".join(comparison.reasons) or "code, settings, recordings, machine and packages are the same"
    print_table("", ["metric", first, second, "verdict"], rows, note=f"{counts}.\nBetween the runs: {why}.")
    if comparison.count(DIFFERENT):
        raise typer.Exit(1)


if __name__ == "__main__":
    app(prog_name="python -m experiments")
