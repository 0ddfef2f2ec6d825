"""The signal path is the folder tree: what each package may import, and what `import mhealth` may cost."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FOUNDATION = {"errors", "core"}
SPARSE_PATH = {"dsp", "simulate", "segmentation", "sparse", "crf", "nn", "intervals", "metrics"}

# Each row may name rows above it only, so no cycle is possible. Rows that leave each other out are siblings.
ALLOWED = {
    "errors": set(),
    "_kernels": set(),
    "core": {"errors"},
    "dsp": FOUNDATION | {"_kernels"},
    "simulate": FOUNDATION | {"dsp"},
    "segmentation": FOUNDATION | {"dsp", "_kernels"},
    "sparse": FOUNDATION | {"_kernels"},
    "crf": FOUNDATION | {"_kernels"},
    "nn": FOUNDATION | {"dsp"},
    "intervals": FOUNDATION,
    "metrics": FOUNDATION,
    "labeling": FOUNDATION | SPARSE_PATH | {"_kernels"},
    "export": FOUNDATION | SPARSE_PATH | {"_kernels", "labeling"},
    "io": FOUNDATION,
    "report": FOUNDATION | {"segmentation", "sparse", "metrics", "intervals"},
    "cli": FOUNDATION | SPARSE_PATH | {"_kernels", "labeling", "export", "io", "report"},
}
LOADERS_MAY = {"errors", "core", "io"}
HEAVY = {"tensorflow", "keras", "numba", "matplotlib", "pandas", "sklearn", "wfdb"}


def files_of(package: str) -> list[Path]:
    """Return the modules of one row of the table."""
    folder = ROOT / "mhealth" / package
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def imported(path: Path) -> Iterator[tuple[str, ast.AST]]:
    """Yield the dotted name of every import in a file, nested ones and import_module("...") included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively; imports inside the package are absolute"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "import_module":
            for argument in node.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value, node


def packages_imported(path: Path) -> set[str]:
    """Return the rows that a file imports; the bare package counts as `mhealth`, its version as nothing."""
    names = set()
    for name, _ in imported(path):
        if name == "mhealth" or name.startswith("mhealth."):
            part = name.split(".")[1] if "." in name else "mhealth"
            if part != "__version__":
                names.add(part if part in ALLOWED else "mhealth")
    return names


@pytest.mark.parametrize("package", ALLOWED)
def test_dependencies_point_one_way(package):
    rows = list(ALLOWED)
    above = set(rows[: rows.index(package)])
    assert ALLOWED[package] <= above, f"{package} is declared above something it imports"
    for path in filter(Path.exists, files_of(package)):
        extra = packages_imported(path) - ALLOWED[package] - {package}
        assert not extra, f"{path.relative_to(ROOT)} may not import {sorted(extra)} of mhealth"


def test_every_package_has_its_row():
    found = {p.stem for p in (ROOT / "mhealth").iterdir() if p.suffix == ".py" or any(p.glob("*.py"))} - {"__init__"}
    assert found <= set(ALLOWED), f"not in the table of ARCHITECTURE §1: {sorted(found - set(ALLOWED))}"


def test_mhealth_never_imports_data_loaders():
    for path in (ROOT / "mhealth").rglob("*.py"):
        names = {name.split(".")[0] for name, _ in imported(path)}
        assert not names & {"data_loaders", "experiments", "tests"}, path


def test_data_loaders_import_core_io_and_errors_only():
    for path in (ROOT / "data_loaders").rglob("*.py"):
        assert packages_imported(path) <= LOADERS_MAY, f"{path} imports {packages_imported(path) - LOADERS_MAY}"


def test_numba_is_imported_at_module_level_by_kernels_only():
    for path in (ROOT / "mhealth").rglob("*.py"):
        names = {name.split(".")[0] for name, _ in imported(path)}
        assert "numba" not in names or path.parent.name == "_kernels", f"{path} imports numba outside _kernels"


def test_tensorflow_is_imported_by_nn_and_export_only():
    for path in (ROOT / "mhealth").rglob("*.py"):
        names = {name.split(".")[0] for name, _ in imported(path)}
        at_home = path.relative_to(ROOT / "mhealth").parts[0] in {"nn", "export"}
        assert not names & {"tensorflow", "keras"} or at_home, f"{path} imports TensorFlow"


def test_the_walk_sees_nested_imports(tmp_path):
    source = tmp_path / "sample.py"
    source.write_text(
        "def f():\n    from mhealth import crf\n    import mhealth.sparse\n    from mhealth.io import blocks\n"
        "import importlib\nimportlib.import_module('mhealth.nn')\nfrom mhealth import __version__\nimport mhealth\n"
    )
    assert packages_imported(source) == {"crf", "sparse", "io", "nn", "mhealth"}


@pytest.mark.parametrize("module", ["mhealth", "mhealth.core", "mhealth.cli"])
def test_importing_is_cheap(module):
    code = f"import sys, {module}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == [], f"import {module} pulls in {result.stdout}"
