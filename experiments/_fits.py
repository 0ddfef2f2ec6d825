"""Fits that the repository keeps, so that an experiment of many hours may take several sittings, on several days."""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments._manifest import ROOT, changed_inputs
from mhealth.core import make_folder, write_file
from mhealth.errors import RecordingFileError

if TYPE_CHECKING:
    from experiments._experiment import Step

__all__ = ["Fits", "FOLDER_NAME", "deciding_code"]

FOLDER_NAME = "fits"
"""In the folder of the experiment."""

_INPUTS = "inputs.json"
"""The recordings that all fits of a folder were made from, as manifests have them: kept once, they are many."""

_DECIDING = ("_kernels", "core", "crf", "dsp", "labeling", "metrics", "nn", "segmentation", "sparse")
"""Packages of `mhealth` that learn, label and score."""

_EXPORTS = "_fixed"
"""How kernels begin that only `mhealth.export` uses."""

_TELLS = "experiments._experiment"
"""What steps are made of, which decides nothing."""


class Fits:
    """The fits of one experiment with one seed.

    Parameters
    ----------
    folder : Path
        Where they are: a file each, in the name of its step.
    data : Path
        Folder that holds the folders of the data sets.
    seed : int
    made : mapping of str to JSON
        The environment, which is kept with what is made in it. From a tree with changes nothing is kept.
    any_code : bool
        Take fits that were made with other code too.

    Raises
    ------
    RecordingFileError
        If the recordings are not those that the fits were made from.
    """

    def __init__(self, folder: Path, *, data: Path, seed: int, made: Mapping[str, Any], any_code: bool = False) -> None:
        self._folder, self._seed, self._made, self._any_code = folder, seed, made, any_code
        self.inputs = self._read_inputs()
        changed = changed_inputs(data, self.inputs)
        if changed:
            raise RecordingFileError(
                f"{changed[0]} since the fits in {folder} were made. Put the publisher's files back, or remove these "
                "fits."
            )

    def find(self, step: Step) -> dict[str, Any] | None:
        """Return what is kept of a step, if it was made from the same, with the same seed and code; else None."""
        path = self._folder / f"{step.name}.json"
        if step.fit is None or not path.is_file():
            return None
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["fit"] != step.fit or kept["seed"] != self._seed:
            return None
        return kept if self._any_code or kept["code_sha256"] == deciding_code(step) else None

    def keep(self, step: Step, told: Mapping[str, Any]) -> None:
        """Keep what a step has left; nothing where the tree has changes, or where it left nothing."""
        if step.fit is None or told["left"] is None or not self._made["clean"]:
            return
        make_folder(self._folder)
        self.inputs = self._read_inputs() | told["inputs"]  # another sitting may have written since
        _write(self._folder / _INPUTS, dict(sorted(self.inputs.items())))
        made = {name: self._made[name] for name in ("commit", "python", "platform", "processor", "threads", "packages")}
        figures = {name: told[name] for name in ("wall_s", "cpu_s", "left")}
        own = {"fit": step.fit, "seed": self._seed, "code_sha256": deciding_code(step), "finished": _now()}
        _write(self._folder / f"{step.name}.json", own | made | figures)

    def _read_inputs(self) -> dict[str, str]:
        path = self._folder / _INPUTS
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def deciding_code(step: Step) -> str:
    """Return a hash of the code that decides what a step leaves, but for what is said of it.

    That is the packages that learn, label and score, the module that holds the step's work, and what experiments share
    of which it imports. Comments, docstrings and layout do not count, nor does what draws or tells: changes to these
    leave a fit what it was.
    """
    work: Any = step.work
    while isinstance(work, partial):
        work = work.func
    paths = [path for package in _DECIDING for path in sorted((ROOT / "mhealth" / package).rglob("*.py"))]
    paths = [path for path in paths if not path.name.startswith(_EXPORTS)]
    own = Path(str(sys.modules[work.__module__].__file__))
    return _hash((*paths, *_shared(own), own))


@cache
def _shared(module: Path) -> list[Path]:
    """Return the modules directly in `experiments` that a module imports."""
    nodes = ast.walk(ast.parse(module.read_text(encoding="utf-8")))
    names = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)} - {_TELLS}
    return sorted(ROOT / f"{name.replace('.', '/')}.py" for name in names if name.startswith("experiments._"))


@cache
def _hash(paths: tuple[Path, ...]) -> str:
    """Return a hash over what files mean, once: code that changes during a run is not what is at work in it."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name} {meaning(path.read_text(encoding='utf-8'))}\n".encode())
    return digest.hexdigest()


def meaning(source: str) -> str:
    """Return Python code without comments, docstrings and layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [line for line in body if not _says_only(line)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _says_only(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)


def _write(path: Path, value: Any) -> None:
    write_file(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
