"""Run the scripts of the course, and write each as a page of Markdown with what it printed and drew.

A script is cut into cells by lines ``# %%`` (code) and ``# %% [markdown]`` (comments that are text), as Jupyter, VS
Code, Spyder and PyCharm know them. It saves its figures in ``figures/``. ``make docs`` calls this.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import time
import warnings
from collections.abc import Sequence
from contextlib import chdir, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from course_data import is_real

FOLDER = Path(__file__).resolve().parent
SCRIPTS = sorted(FOLDER.glob("[0-9]*.py"))

_BEGIN = re.compile(r"^# %%( \[markdown\])?\n", re.MULTILINE)
_OUTPUT = re.compile(r"\n```text\n.*?\n```\n", re.DOTALL)


class Cell(NamedTuple):
    """A part of a script."""

    is_text: bool
    source: str
    line: int


def cells(script: Path) -> list[Cell]:
    """Return the cells of a script."""
    whole = script.read_text(encoding="utf-8")
    marks = list(_BEGIN.finditer(whole))
    stops = [mark.start() for mark in marks[1:]] + [len(whole)]
    return [
        Cell(bool(mark[1]), whole[mark.end() : stop].strip("\n"), whole.count("\n", 0, mark.end()))
        for mark, stop in zip(marks, stops, strict=True)
    ]


def run(script: Path, folder: Path) -> list[str]:
    """Run a script with `folder` as its working folder; return what each of its cells printed."""
    import matplotlib
    import matplotlib.pyplot as plt

    matplotlib.use("agg")
    names: dict[str, Any] = {"__name__": "__main__", "__file__": str(script)}
    printed = []
    sys.path.insert(0, str(script.parent))
    try:
        with chdir(folder):
            for cell in cells(script):
                with redirect_stdout(io.StringIO()) as output:
                    if not cell.is_text:
                        exec(compile("\n" * cell.line + cell.source, str(script), "exec"), names)
                printed.append(output.getvalue().rstrip())
    finally:
        sys.path.remove(str(script.parent))
        plt.close("all")
    return printed


def page(script: Path, printed: Sequence[str] | None = None) -> str:
    """Return the Markdown of a script; without what it printed, the part of it that follows from the script alone."""
    parts = [f"<!-- Made of {script.name} by `make docs`: change that, not this. -->"]
    of_script = cells(script)
    for cell, output in zip(of_script, printed or [""] * len(of_script), strict=True):
        if cell.is_text:
            parts.append(re.sub(r"^# ?", "", cell.source, flags=re.MULTILINE))
        else:
            parts.append(f"```python\n{cell.source}\n```")
        if output:
            parts.append(f"```text\n{output}\n```")
    return "\n\n".join(parts) + "\n"


def without_output(markdown: str) -> str:
    """Return a page without what its script printed."""
    return _OUTPUT.sub("", markdown)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*", help="which: 01 04 (default: all)")
    parser.add_argument("--simulated", action="store_true", help="write them even if LUDB is not at hand")
    options = parser.parse_args(arguments)
    if not (is_real() or options.simulated):
        print("LUDB is not at hand, so the course keeps the figures that were made of it. See docs/course/README.md.")
        return
    warnings.simplefilter("error")
    for script in SCRIPTS:
        if not options.pages or script.name.startswith(tuple(options.pages)):
            begin, cpu = time.monotonic(), time.process_time()
            markdown = page(script, run(script, FOLDER))
            script.with_suffix(".md").write_text(markdown, encoding="utf-8")
            print(f"{script.stem}: {time.monotonic() - begin:.0f} s, {time.process_time() - cpu:.0f} s of CPU")


if __name__ == "__main__":
    main()
