"""What all commands share with the terminal: messages, progress, tables, and errors without tracebacks."""

from __future__ import annotations

import functools
import inspect
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

from mhealth.core import write_file
from mhealth.errors import MHealthError

if TYPE_CHECKING:
    import pandas as pd
    from rich.progress import Progress

__all__ = [
    "Bar",
    "Debug",
    "Quiet",
    "Terminal",
    "announce_compilation",
    "describe",
    "examples",
    "help_of",
    "print_table",
    "reports_errors",
    "write_table",
]

PATIENCE = 2.0
"""Seconds after which a bar appears."""

INTERRUPTED = 130
"""Exit status of a process that Ctrl-C ended: 128 + SIGINT."""

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Terminal:
    """Messages to people, on stderr, so that stdout carries results only.

    Parameters
    ----------
    quiet : bool
        Whether to keep everything but errors back.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Print a message, unless quiet."""
        if not self.quiet:
            self.console.print(text, markup=False)

    def complain(self, text: str) -> None:
        """Print an error."""
        self.console.print(f"[bold red]error:[/] {escape(text)}")

    @contextmanager
    def showing_warnings(self) -> Iterator[None]:
        """Print warnings of the library as notes, once each."""
        shown: set[str] = set()

        def show(message: Warning | str, *_: object, **__: object) -> None:
            if str(message) not in shown:
                shown.add(str(message))
                self.say(f"note: {message}")

        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = show
            yield


class Bar:
    """A progress bar that appears once its work has lasted two seconds; a line a stage where stderr is no terminal.

    Parameters
    ----------
    terminal : Terminal
        Where it is drawn.
    unit : str
        What is counted, for example ``"records"``.
    """

    def __init__(self, terminal: Terminal, unit: str = "") -> None:
        self._terminal = terminal
        self._unit = unit
        self._begin = time.monotonic()
        self._progress: Progress | None = None
        self._stage = ""

    def __enter__(self) -> Bar:
        """Begin to count the time."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bar."""
        if self._progress is not None:
            self._progress.stop()

    def update(self, stage: str, done: float, total: float | None) -> None:
        """Show that `done` of `total` (None: unknown) of a stage are done."""
        if self._terminal.quiet:
            return
        if not self._terminal.console.is_terminal:
            self._print_new_stage(stage)
        elif self._progress is None and time.monotonic() - self._begin > PATIENCE:
            self._progress = self._start()
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], description=stage, completed=done, total=total)

    def _print_new_stage(self, stage: str) -> None:
        if stage != self._stage and time.monotonic() - self._begin > PATIENCE:
            self._terminal.say(f"{stage} ...")
            self._stage = stage

    def _start(self) -> Progress:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(self._unit),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._terminal.console,
            transient=True,
        )
        progress.add_task("", total=None)
        progress.start()
        return progress


def describe(error: BaseException) -> str:
    """Return an error as one message; what we did not foresee is named a bug."""
    if isinstance(error, MHealthError | OSError):
        return str(error)
    return f"unexpected {type(error).__name__}: {error}. This is a bug in mhealth; --debug shows where."


def reports_errors(command: _Function) -> _Function:
    """Make a command print errors as one message and set the exit status, with the traceback only for ``--debug``."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        terminal = Terminal(quiet=kwargs.get("quiet", False))
        try:
            with terminal.showing_warnings():
                command(*args, **kwargs)
        except KeyboardInterrupt:
            terminal.complain("stopped by Ctrl-C. Files that were finished are complete, and none is half-written.")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except (typer.Exit, typer.BadParameter):
            raise
        except Exception as error:
            if kwargs.get("debug"):
                raise
            terminal.complain(describe(error))
            raise typer.Exit(1) from None

    return run  # type: ignore[return-value]


def announce_compilation(terminal: Terminal) -> None:
    """Say that the first call will take longer, where no compiled kernels are kept yet."""
    from mhealth._kernels import cache_folder

    folder = cache_folder()
    if not any(folder.glob("*.nbi")) and not any(folder.glob("_kernels_*/*.nbi")):
        terminal.say("The first call compiles the kernels, which takes up to a minute; later calls reuse them.")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, note: str = "") -> None:
    """Print a table on stdout; numbers are aligned on the right."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", caption=note, caption_justify="left", box=box.SIMPLE_HEAD)
    for k, name in enumerate(columns):
        numeric = any(isinstance(row[k], int | float) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(_cell(value)) for value in row))
    Console(highlight=False).print(table)


def write_table(table: pd.DataFrame, path: Path, *, float_format: str = "%.4f") -> None:
    """Write a table as CSV, as a whole or not at all."""
    write_file(path, table.to_csv(index=False, float_format=float_format, lineterminator="\n").encode())


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "–" if value != value else f"{value:.2f}"
    return str(value)


def examples(*lines: tuple[str, str]) -> str:
    """Return the epilog of a command's help from pairs (command, what it does)."""
    shown = [f"{escape(command)}  [dim]# {escape(text)}[/]" for command, text in lines]
    return "\n\n".join(["[bold]Examples[/]", *shown])


def help_of(command: Callable[..., Any]) -> str:
    """Return the docstring of a command with the lines of each paragraph joined, so that the terminal can wrap them."""
    return "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(command.__doc__ or "").split("\n\n"))
