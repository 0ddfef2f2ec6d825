"""What a run was made of: code, machine, packages, and every file that it read."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from experiments._experiment import FOLDER

__all__ = ["ROOT", "also_read", "changed_inputs", "code_hash", "environment", "hash_of", "reasons", "reading"]

ROOT = FOLDER.parent
_CODE = ("mhealth", "data_loaders", "experiments")
"""Folders whose files decide what comes out."""

_NOT_CODE = {".md", ".png", ".svg", ".csv"}
_NOT_CODE_FOLDERS = {"__pycache__", "fits", "result"}
"""Where Python and numba keep what they compiled, and experiments their fits and their latest run."""

_NO_FITS = ":(exclude)experiments/*/fits/*"
"""What the fits of one sitting leave does not make the tree of the next one unclean."""

_PACKAGES = (
    "numpy", "scipy", "scikit-learn", "sklearn-crfsuite", "numba", "pandas", "wfdb", "matplotlib", "threadpoolctl",
    "tensorflow", "ai-edge-litert", "neurokit2",
)  # fmt: skip
_THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_DISABLE_JIT")


def environment() -> dict[str, Any]:
    """Return code, machine and packages, as JSON can hold it."""
    status = _git("status", "--porcelain", "--untracked-files=all", "--", *_CODE, "pyproject.toml", _NO_FITS)
    return {
        "commit": _git("rev-parse", "HEAD"),
        "clean": None if status is None else not status,
        "changed": (status or "").splitlines(),
        "code_sha256": code_hash(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "n_processors": os.cpu_count(),
        "threads": {name: os.environ[name] for name in _THREADS if name in os.environ},
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
    }


def code_hash(root: Path = ROOT) -> str:
    """Return the SHA-256 over the code that decides what comes out: Python files and models, not texts or results."""
    digest = hashlib.sha256()
    for folder in _CODE:
        for path in sorted((root / folder).rglob("*")):
            inside = path.relative_to(root)
            if not path.is_file() or path.suffix in _NOT_CODE or not _NOT_CODE_FOLDERS.isdisjoint(inside.parts):
                continue
            digest.update(f"{inside.as_posix()} {hash_of(path)}\n".encode())
    return digest.hexdigest()


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def changed_inputs(data: Path, inputs: Mapping[str, str]) -> list[str]:
    """Return a text for each file that is missing or another than it was; `inputs` holds hashes by path in `data`."""
    texts = []
    for name, expected in inputs.items():
        path = data / name
        if not path.is_file():
            texts.append(f"{path} is missing")
        elif hash_of(path) != expected:
            texts.append(f"{path} has changed")
    return texts


class _Watch:
    """Notes which files Python opens below some folders: an audit hook, which stays until the end of the process."""

    def __init__(self) -> None:
        self.active: list[tuple[Path, set[Path]]] = []
        self.is_installed = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not self.active or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        path = Path(os.fsdecode(arguments[0])).resolve()
        for folder, files in self.active:
            if path.is_relative_to(folder) and path.is_file():
                files.add(path)


_watch = _Watch()


@contextmanager
def reading(folder: Path) -> Iterator[set[Path]]:
    """Collect the files below a folder that are opened while the block runs, whoever opens them.

    Yields
    ------
    files : set of Path
        Grows while the block runs.
    """
    if not _watch.is_installed:
        sys.addaudithook(_watch)
        _watch.is_installed = True
    watched = (folder.resolve(), set[Path]())
    _watch.active.append(watched)
    try:
        yield watched[1]
    finally:
        _watch.active.pop()  # blocks nest; two of them may have collected the same files, and be equal


def also_read(files: set[Path]) -> None:
    """Count files that were read earlier, for what is used again, as read now."""
    for folder, collected in _watch.active:
        collected.update(path for path in files if path.is_relative_to(folder))


def reasons(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """Say in which ways two environments differ that may change figures.

    Parameters
    ----------
    first, second : dict
        Of `environment`.
    """
    found = []
    if first["code_sha256"] != second["code_sha256"]:
        found.append(f"other code ({_code(first)}, then {_code(second)})")
    for name, text in (
        ("python", "Python"),
        ("processor", "processor"),
        ("platform", "system"),
        ("threads", "threads"),
    ):
        if first[name] != second[name]:
            found.append(f"other {text} ({_shown(first[name])}, then {_shown(second[name])})")
    packages = sorted(first["packages"].keys() | second["packages"].keys())
    for name in packages:
        before, after = (side["packages"].get(name, "not installed") for side in (first, second))
        if before != after:
            found.append(f"other {name} ({before}, then {after})")
    return found


def _code(of: dict[str, Any]) -> str:
    commit = (of["commit"] or "no commit")[:9]
    return commit if of["clean"] else f"{commit} with changes"


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={text}" for key, text in value.items()) or "as the packages choose"
    return str(value)


def _git(*arguments: str) -> str | None:
    """Return what git says, None where it says nothing: no repository, or no git."""
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.rstrip("\n")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """Return the model of the processor; Linux tells it in a file only."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
